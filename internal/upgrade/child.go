package upgrade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/hearthhost/hearth/internal/socketpair"
	"github.com/hearthhost/hearth/internal/systemd"
)

// exitReported is the exit code of a child that has reported its error in a readyMsg.
const exitReported = 1

// child is the parent's side: the process that replaces this one.
type child struct {
	cmd    *exec.Cmd
	conn   net.Conn
	in     *json.Decoder
	exited chan error // result of the process, one value
}

// start starts a program with the arguments args, args[0] being its name, and passes it the files of h. The caller
// keeps the files.
func start(program string, args []string, h *Handoff, env systemd.Environment, upgrades uint64) (*child, error) {
	ours, theirs, err := socketpair.New()
	if err != nil {
		return nil, fmt.Errorf("creating a socket pair for the new process: %w", err)
	}
	defer theirs.Close()
	msg := handoffMsg{
		Lock:        h.Lock != nil,
		Audit:       h.Audit != nil,
		Connections: h.Connections != nil,
		Upgrades:    upgrades,
		Notify:      env.Notify,
		Watchdog:    env.Watchdog,
	}
	files := []*os.File{theirs}
	for _, s := range h.Sockets {
		msg.Sockets = append(msg.Sockets, socketMsg{Name: s.Name, Keep: s.Keep})
		files = append(files, s.File)
	}
	for _, f := range []*os.File{h.Lock, h.Audit, h.Connections} {
		if f != nil {
			files = append(files, f)
		}
	}
	cmd := exec.Command(program, args[1:]...) //nolint:gosec,noctx // the child outlives this process
	cmd.Args[0] = args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), EnvFD+"=3") //nolint:forbidigo // the variables that cmd has kept
	cmd.ExtraFiles = files
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, fmt.Errorf("starting %s: %w", program, err)
	}
	c := &child{cmd: cmd, conn: ours, in: json.NewDecoder(ours), exited: make(chan error, 1)}
	go func() { c.exited <- cmd.Wait() }() // ends with the child, or with this process
	if err := c.send(msg); err != nil {
		return nil, c.abort(err)
	}
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

func (c *child) send(v any) error {
	if err := send(c.conn, v); err != nil {
		return fmt.Errorf("sending a message to the new process: %w", err)
	}
	return nil
}

// send writes a message within stepTimeout.
func send(conn net.Conn, v any) error {
	_ = conn.SetWriteDeadline(time.Now().Add(stepTimeout))
	return json.NewEncoder(conn).Encode(v)
}

// awaitReady waits for the child's readyMsg, for readyTimeout at most. A child that reports an error is an error.
func (c *child) awaitReady(ctx context.Context) (msg readyMsg, err error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(readyTimeout))
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err = c.in.Decode(&msg)
	switch {
	case ctx.Err() != nil:
		return msg, errors.New("this host shuts down")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return msg, fmt.Errorf("the new process was not ready within %s", readyTimeout)
	case err != nil:
		return msg, errors.New("the new process ended before it was ready")
	case msg.Error != "":
		return msg, errors.New(msg.Error)
	}
	_ = c.conn.SetReadDeadline(time.Time{})
	return msg, nil
}

// abort ends a child that must not take over: it closes the socket, and kills the child after stepTimeout. It
// returns cause, with the exit status of a child that did not report its error.
func (c *child) abort(cause error) error {
	c.conn.Close()
	var status error
	select {
	case status = <-c.exited:
	case <-time.After(stepTimeout):
		_ = c.cmd.Process.Kill()
		status = <-c.exited
	}
	var exit *exec.ExitError
	if errors.As(status, &exit) && exit.ExitCode() != exitReported {
		cause = fmt.Errorf("%w (%w; see its output)", cause, status)
	}
	return cause
}

// awaitExit waits until the child shuts down. It returns false if the child ended without a message.
func (c *child) awaitExit() (announced bool) {
	for {
		var msg controlMsg
		if err := c.in.Decode(&msg); err != nil {
			return false
		}
		if msg.Exit {
			return true
		}
	}
}
