//go:build linux

package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/hearthhost/hearth/internal/systemd"
	"github.com/hearthhost/hearth/transport"
)

// TestMain runs the test binary as a child if a test started it as one. The first argument selects its behaviour.
func TestMain(m *testing.M) {
	if fd, ok := os.LookupEnv(EnvFD); ok {
		os.Exit(runChild(fd, os.Args[1]))
	}
	os.Exit(m.Run())
}

// runChild is the program of a child. It returns the exit code.
func runChild(fd, behaviour string) int {
	if behaviour == "exit" {
		return 7
	}
	p, h, err := Accept(fd)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	switch behaviour {
	case "report":
		p.Fail("the policy has an error")
		return exitReported
	case "garbage":
		_, _ = p.conn.Write([]byte("\x7fELF\n"))
		_, _ = io.Copy(io.Discard, p.conn)
		return exitReported
	case "silent": // until the parent gives up
		_, _ = io.Copy(io.Discard, p.conn)
		return exitReported
	case "crash": // after it took over
		err = p.ready(context.Background(), "v2", nil)
	default:
		err = serveOne(p, &h)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	return 0
}

// serveOne takes over, answers one connection of the listener "local" with the content of the audit log, and
// shuts down in order.
func serveOne(p *Parent, h *Handoff) error {
	assigned, err := h.Assign([]Listener{{Name: "local", Address: "127.0.0.1:0"}})
	if err != nil {
		return err
	}
	if assigned["local"] == nil || h.Lock == nil || h.Audit == nil {
		return fmt.Errorf("incomplete handoff: %v, %v, %v", assigned, h.Lock, h.Audit)
	}
	ln, err := net.FileListener(assigned["local"].File)
	if err != nil {
		return err
	}
	lock, err := LockState(context.Background(), os.Args[2], h.Lock)
	if err != nil {
		return err
	}
	server := &fakeServer{lock: lock, inherited: []string{"local"}}
	u := New(Config{
		Server:   server,
		Parent:   p,
		Signals:  &Signals{upgrade: make(chan os.Signal)},
		Notifier: systemd.NewNotifier(p.Environment(), slog.Default()),
		Status:   func() string { return "STATUS=child" },
		Log:      slog.New(slog.DiscardHandler),
		Version:  "v2",
	})
	if err := u.Begin(context.Background()); err != nil {
		return err
	}
	serving, shutdown := context.WithCancel(context.Background())
	wait := u.Run(serving, shutdown)
	c, err := ln.Accept()
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.NewSectionReader(h.Audit, 0, 100))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c, "%s, owner %t", text, server.has("take over"))
	c.Close()
	shutdown()
	wait()
	if !server.has("end handoff") {
		err = errors.Join(err, errors.New("EndHandoff was not called after the parent's end"))
	}
	return err
}

// fakeServer records the calls of an Upgrader.
type fakeServer struct {
	lock      *StateLock
	socket    *net.TCPListener
	audit     *os.File
	inherited []string

	mu       sync.Mutex // guards the fields below
	calls    []string
	announce []Running
	retired  chan []string // receives the argument of Retire; nil: Retire is not expected
}

func (s *fakeServer) record(call string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
}

func (s *fakeServer) has(call string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c == call {
			return true
		}
	}
	return false
}

func (s *fakeServer) Handoff() (*Handoff, error) {
	s.record("handoff")
	h := &Handoff{ParentPID: os.Getpid()}
	f, err := s.socket.File()
	if err != nil {
		return nil, err
	}
	h.Sockets = []transport.Socket{{Name: "local", File: f}}
	if h.Lock, err = s.lock.Duplicate(); err != nil {
		return nil, err
	}
	h.Audit, err = os.Open(s.audit.Name())
	return h, err
}

func (s *fakeServer) EndHandoff()                   { s.record("end handoff") }
func (s *fakeServer) InheritedListeners() []string  { return s.inherited }
func (s *fakeServer) TakeOver()                     { s.record("take over") }
func (s *fakeServer) Answers(context.Context) error { return nil }

func (s *fakeServer) Announce(r Running) error {
	s.mu.Lock()
	s.announce = append(s.announce, r)
	s.mu.Unlock()
	return s.lock.Announce(r)
}

func (s *fakeServer) Retire(to Successor, _ time.Duration) {
	s.lock.HandOver()
	s.socket.Close()
	s.retired <- to.Listeners
}
