package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/policy"
)

func newUpgrade() *cobra.Command {
	var f policyFlags
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Put a new process into the place of the running host",
		Long: `Tell the host that runs with the policy's state folder to start the program that is now where it
was started from, with the same arguments, and to make room for it: after a new version was
installed, or to take a changed policy. No call fails: the new process takes over the sockets,
and what is connected goes on in the old one (hearth serve --drain says for how long). If the
new one does not get ready, the old one goes on, and this prints why; the exit code is 1 then.

What objects remember does not move: instances and streams of a connection live as long as it
does, in the old process, and a "single" instance begins anew in the new one.`,
		Example: `  hearth upgrade
  sudo hearth upgrade --policy /etc/hearth/policy.hcl`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if canUpgrade != nil {
				return canUpgrade
			}
			p, _, err := f.loadUntested() // the new host looks at the tests
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			was, now, err := upgrade(ctx, p)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "upgraded: process %d (%s) serves, process %d (%s) finishes what is connected to it\n",
				now.PID, now.Version, was.PID, was.Version)
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Minute, "give up waiting after this long; what was begun goes on")
	return cmd
}

// upgrade tells the host to, and waits for what becomes of it.
func upgrade(ctx context.Context, p *policy.Policy) (was, now *host.Running, err error) {
	was, err = host.FindRunning(p)
	if err != nil {
		return nil, nil, err
	}
	if was == nil {
		return nil, nil, fmt.Errorf("no host runs with the state folder %s: start one with hearth serve, or name its policy with --policy", p.State)
	}
	if err := tellUpgrade(was); err != nil {
		return nil, nil, err
	}
	for {
		// A file tells nobody when it changes.
		select {
		case <-ctx.Done():
			return nil, nil, errors.New("the host has not come to an end with it yet: its log says how it goes on")
		case <-time.After(50 * time.Millisecond):
		}
		now, err = host.FindRunning(p)
		switch {
		case err != nil:
			return nil, nil, err
		case now == nil:
			return nil, nil, fmt.Errorf("the host, process %d, has ended: its log says why", was.PID)
		case now.Upgrades > was.Upgrades && now.Failure != "":
			return nil, nil, fmt.Errorf("not upgraded, process %d goes on: %s", now.PID, now.Failure)
		case now.Upgrades > was.Upgrades:
			return was, now, nil
		case ended(was.PID):
			// It left to another, which writes itself down first: it could have done so after the look.
			if now, err = host.FindRunning(p); err == nil && now != nil && now.PID == was.PID {
				return nil, nil, unwritten(was.PID)
			}
		}
	}
}

// ended reports whether there is no such process.
func ended(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// unwritten is the error for a host that is not the one that its state folder names.
func unwritten(pid int) error {
	return fmt.Errorf(`process %d has ended, and the host that took its place cannot write down that it runs
its log says why: is the disk of the state folder full? It tries again every second`, pid)
}

// tellUpgrade signals a host. The number stands in a file that its user writes, so who asks
// with more rights looks first whether the process is that user's.
func tellUpgrade(r *host.Running) error {
	proc, err := os.FindProcess(r.PID) // on Linux a handle, which is no other process's later
	if err != nil {
		return fmt.Errorf("process %d: %w", r.PID, err)
	}
	defer func() { _ = proc.Release() }()
	// Not the owner of the folder, which is root's where a program keeps others from looking.
	facts, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.PID))
	if errors.Is(err, os.ErrNotExist) && ended(r.PID) {
		return unwritten(r.PID)
	}
	if err != nil {
		return fmt.Errorf("process %d: %w", r.PID, err)
	}
	_, uids, _ := strings.Cut(string(facts), "\nUid:")
	if f := strings.Fields(uids); len(f) < 2 || f[1] != strconv.FormatUint(uint64(r.UID), 10) { // real, effective
		return fmt.Errorf("process %d is not the host of user %d whose state folder this is", r.PID, r.UID)
	}
	if err := proc.Signal(syscall.SIGUSR2); errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("process %d belongs to user %d: run this as that user or as root", r.PID, r.UID)
	} else if err != nil {
		return fmt.Errorf("process %d: %w", r.PID, err)
	}
	return nil
}
