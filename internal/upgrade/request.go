package upgrade

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pollInterval is the time between two reads of the description of the running host.
const pollInterval = 50 * time.Millisecond

// Request signals the host that runs with a state folder to upgrade, and waits for the result until ctx ends. It
// returns the process that served before and the one that serves now. Any user can call it who may read the
// folder and signal the process.
func Request(ctx context.Context, dir string) (before, after *Running, err error) {
	before, err = FindRunning(dir)
	if err != nil {
		return nil, nil, err
	}
	if before == nil {
		return nil, nil, fmt.Errorf("no host runs with the state folder %s; start one with hearth serve, "+
			"or name its policy with --policy", dir)
	}
	if err := before.signal(); err != nil {
		return nil, nil, err
	}
	for {
		select {
		case <-ctx.Done():
			return nil, nil, errors.New("the host has not finished the upgrade yet; its log has the result")
		case <-time.After(pollInterval):
		}
		after, err = FindRunning(dir)
		switch {
		case err != nil:
			return nil, nil, err
		case after == nil:
			return nil, nil, fmt.Errorf("the host, process %d, has ended; its log has the reason", before.PID)
		case after.Upgrades > before.Upgrades && after.Failure != "":
			return nil, nil, fmt.Errorf("not upgraded, process %d still serves: %s", after.PID, after.Failure)
		case after.Upgrades > before.Upgrades:
			return before, after, nil
		case exited(before.PID):
			// The child writes its description before the parent exits, so it may have written it just now.
			after, err = FindRunning(dir)
			if err == nil && after != nil && after.PID == before.PID {
				return nil, nil, staleError(before.PID)
			}
		}
	}
}

// exited reports whether no process has this number.
func exited(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// staleError is the error for a description whose process has ended while the folder is locked.
func staleError(pid int) error {
	return fmt.Errorf(`process %d has ended, and its successor cannot write %s: is the disk of the state folder full?
The successor tries again every second, and its log has the reason`, pid, runningFile)
}

// signal sends SIGUSR2 to the host. The host's user writes the description, and the caller may be root, so the
// process must belong to that user.
func (r *Running) signal() error {
	proc, err := os.FindProcess(r.PID) // on Linux a handle, which never names a later process with the same number
	if err != nil {
		return fmt.Errorf("process %d: %w", r.PID, err)
	}
	defer func() { _ = proc.Release() }()
	// The owner of /proc/PID would be root for a program that its user may not read.
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.PID))
	if errors.Is(err, os.ErrNotExist) && exited(r.PID) {
		return staleError(r.PID)
	}
	if err != nil {
		return fmt.Errorf("process %d: %w", r.PID, err)
	}
	_, uids, _ := strings.Cut(string(status), "\nUid:")
	if f := strings.Fields(uids); len(f) < 2 || f[1] != strconv.FormatUint(uint64(r.UID), 10) { // real, effective
		return fmt.Errorf("process %d is not the host of uid %d, which owns this state folder", r.PID, r.UID)
	}
	err = proc.Signal(syscall.SIGUSR2)
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("process %d belongs to uid %d; run this as that user or as root", r.PID, r.UID)
	}
	if err != nil {
		return fmt.Errorf("process %d: %w", r.PID, err)
	}
	return nil
}
