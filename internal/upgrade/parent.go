package upgrade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"

	"github.com/hearthhost/hearth/internal/systemd"
	"github.com/hearthhost/hearth/transport"
)

// Parent is the child's side: the process that this one replaces.
type Parent struct {
	conn      net.Conn
	in        *json.Decoder
	msg       handoffMsg
	proceeded bool
	exited    chan struct{} // closed when the parent has exited
}

// Accept reads the handoff of the parent. fd is the value of [EnvFD]. It returns an error unless the kernel
// reports this process's parent, with the same user, as the creator of the socket.
func Accept(fd string) (*Parent, Handoff, error) {
	p, h, err := accept(fd)
	if err != nil {
		return nil, Handoff{}, fmt.Errorf("accepting the handoff of another host (%s): %w", EnvFD, err)
	}
	return p, h, nil
}

func accept(text string) (*Parent, Handoff, error) {
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return nil, Handoff{}, fmt.Errorf("%q is not the number of a descriptor", text)
	}
	if err := checkParent(fd); err != nil {
		return nil, Handoff{}, err
	}
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "handoff")
	conn, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return nil, Handoff{}, err
	}
	p := &Parent{conn: conn, in: json.NewDecoder(conn), exited: make(chan struct{})}
	if err := p.in.Decode(&p.msg); err != nil {
		conn.Close()
		return nil, Handoff{}, err
	}
	return p, p.handoff(fd + 1), nil
}

// handoff opens the descriptors from fd on, in the order of handoffMsg.
func (p *Parent) handoff(fd int) Handoff {
	h := Handoff{ParentPID: os.Getppid()}
	next := func(name string) *os.File {
		syscall.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), name)
		fd++
		return f
	}
	for _, s := range p.msg.Sockets {
		h.Sockets = append(h.Sockets, transport.Socket{Name: s.Name, Keep: s.Keep, File: next(s.Name)})
	}
	if p.msg.Lock {
		h.Lock = next("lock")
	}
	if p.msg.Audit {
		h.Audit = next("audit log")
	}
	if p.msg.Connections {
		h.Connections = next("connections")
	}
	return h
}

// Environment returns the service manager's settings, which the parent passes on without the sockets.
func (p *Parent) Environment() systemd.Environment {
	return systemd.Environment{Notify: p.msg.Notify, Watchdog: p.msg.Watchdog}
}

// Fail reports to the parent why this process does not take over. It does nothing for a nil Parent, and after the
// parent has stopped accepting.
func (p *Parent) Fail(reason string) {
	if p == nil || p.proceeded {
		return
	}
	_ = p.send(readyMsg{Error: reason})
	p.conn.Close()
}

// ready reports to the parent that this process listens, and waits until the parent stops accepting. listeners
// are the names of the listeners with a passed socket.
func (p *Parent) ready(ctx context.Context, version string, listeners []string) error {
	stop := context.AfterFunc(ctx, func() { p.conn.Close() })
	defer stop()
	if err := p.send(readyMsg{Version: version, Listeners: listeners, Connections: p.msg.Connections}); err != nil {
		return err
	}
	var msg controlMsg
	if err := p.in.Decode(&msg); err != nil || !msg.Proceed {
		return errors.New("the old process has cancelled the upgrade, or has ended")
	}
	p.proceeded = true
	return nil
}

func (p *Parent) send(v any) error {
	if err := send(p.conn, v); err != nil {
		return fmt.Errorf("sending a message to the old process: %w", err)
	}
	return nil
}

// awaitExit waits until the parent has exited, and closes exited.
func (p *Parent) awaitExit() {
	_, _ = io.Copy(io.Discard, p.conn)
	p.conn.Close()
	close(p.exited)
}

// requestExit makes the parent drain now, because this process shuts down. It does nothing for a nil Parent.
func (p *Parent) requestExit() {
	if p != nil {
		_ = p.send(controlMsg{Exit: true})
	}
}
