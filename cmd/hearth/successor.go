package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/internal/socketpair"
	"github.com/hearthhost/hearth/internal/systemd"
)

// How long hosts wait for each other.
const (
	readyPatience    = time.Minute      // a new host until it listens
	handoverPatience = 10 * time.Second // a message, and a process that is to end
)

// successor is a started process that is to take this host's place.
type successor struct {
	cmd    *exec.Cmd
	conn   net.Conn
	in     *json.Decoder
	exited chan error // holds what the process ended with
}

// start runs the program with this process's arguments and gives it what in holds.
func start(program string, in *host.Inheritance, m systemd.Facts, upgrades uint64) (*successor, error) {
	ours, theirs, err := socketpair.New()
	if err != nil {
		return nil, fmt.Errorf("making a channel to the new host: %w", err)
	}
	defer theirs.Close()
	will := bequest{Lock: in.Lock != nil, Audit: in.Audit != nil, Upgrades: upgrades, Notify: m.Notify, Watchdog: m.Watchdog}
	files := []*os.File{theirs}
	for _, s := range in.Sockets {
		will.Sockets = append(will.Sockets, bequestSocket{Name: s.Name, Keep: s.Keep})
		files = append(files, s.File)
	}
	for _, f := range []*os.File{in.Lock, in.Audit} {
		if f != nil {
			files = append(files, f)
		}
	}
	cmd := exec.Command(program, os.Args[1:]...) //nolint:gosec,noctx // it outlives this process
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), envHandover+"=3") //nolint:forbidigo // what was left of it
	cmd.ExtraFiles = files
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, fmt.Errorf("starting %s: %w", program, err)
	}
	s := &successor{cmd: cmd, conn: ours, in: json.NewDecoder(ours), exited: make(chan error, 1)}
	go func() { s.exited <- cmd.Wait() }() // ends with the process, or with this one
	if err := s.say(will); err != nil {
		return nil, s.end(err)
	}
	return s, nil
}

func (s *successor) say(v any) error {
	_ = s.conn.SetWriteDeadline(time.Now().Add(handoverPatience))
	if err := json.NewEncoder(s.conn).Encode(v); err != nil {
		return fmt.Errorf("speaking with the new host: %w", err)
	}
	return nil
}

// listens waits until the new host listens. The error says why it does not.
func (s *successor) listens(ctx context.Context) (a answer, err error) {
	_ = s.conn.SetReadDeadline(time.Now().Add(readyPatience))
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err = s.in.Decode(&a)
	switch {
	case ctx.Err() != nil:
		return a, errors.New("this host was told to end")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return a, fmt.Errorf("the new host was not ready within %s", readyPatience)
	case err != nil:
		return a, errors.New("the new host ended before it was ready")
	case a.Error != "":
		return a, errors.New(a.Error)
	}
	_ = s.conn.SetReadDeadline(time.Time{})
	return a, nil
}

// end ends the process, which is not to take over after all, and returns why, with how it
// ended if that says more.
func (s *successor) end(why error) error {
	s.conn.Close() // it gives up when it sees that
	var state error
	select {
	case state = <-s.exited:
	case <-time.After(handoverPatience):
		_ = s.cmd.Process.Kill()
		state = <-s.exited
	}
	var code *exec.ExitError
	if errors.As(state, &code) && code.ExitCode() != exitFailed {
		why = fmt.Errorf("%w (%w; see what it printed)", why, state)
	}
	return why
}

// outlive waits for the new host's last word: that it ends, in order or not.
func (s *successor) outlive() (inOrder bool) {
	var w word
	for {
		if err := s.in.Decode(&w); err != nil {
			return false
		}
		if w.Bye {
			return true
		}
	}
}
