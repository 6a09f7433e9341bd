package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/internal/schedstat"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link/linktest"
	"github.com/hearthhost/hearth/sandbox/process"
	"github.com/hearthhost/hearth/sandbox/worker"
)

// localWorker is a real worker that serves in the test's process.
type localWorker struct {
	number int
	end    *linktest.End // the worker's end of the link
	paused atomic.Pointer[chan struct{}]
	served chan error
	waited bool // Wait has returned; read it when the worker has ended
}

// PID implements [process.System]. No process has this number.
func (w *localWorker) PID() int { return 1<<30 + w.number }

// Times implements [process.System].
func (w *localWorker) Times() (t schedstat.Times, ok bool) { return t, false }

// Kill implements [process.System]. Scripts that run end soon, but nothing that they do reaches the host.
func (w *localWorker) Kill() {
	w.resume()
	w.end.Close()
}

// Wait implements [process.System].
func (w *localWorker) Wait() (*os.ProcessState, error) {
	<-w.served
	w.waited = true
	return nil, errors.New("exit status 1")
}

// pause stops the worker's reader before its next read.
func (w *localWorker) pause() {
	c := make(chan struct{})
	if !w.paused.CompareAndSwap(nil, &c) {
		close(c)
	}
}

// resume ends a pause.
func (w *localWorker) resume() {
	if c := w.paused.Swap(nil); c != nil {
		close(*c)
	}
}

// Write implements worker.Conn.
func (w *localWorker) Write(p []byte) (int, error) { return w.end.Write(p) }

// Close implements worker.Conn.
func (w *localWorker) Close() error { return w.end.Close() }

// SyscallConn implements worker.Conn.
func (w *localWorker) SyscallConn() (syscall.RawConn, error) {
	raw, err := w.end.SyscallConn()
	return pausedConn{raw, w}, err
}

type pausedConn struct {
	syscall.RawConn
	w *localWorker
}

// Read implements [syscall.RawConn].
func (c pausedConn) Read(f func(fd uintptr) bool) error {
	return c.RawConn.Read(func(fd uintptr) bool {
		if wait := c.w.paused.Load(); wait != nil {
			<-*wait
		}
		return f(fd)
	})
}

// services plays the other objects that scripts call: a register of the calls that were executed, and a gate
// at which calls wait until a test lets them continue. Safe for concurrent use.
type services struct {
	mu       sync.Mutex // guards the fields below
	executed map[string]int
	count    map[object.ID]int // executed calls of an object in the current worker
	position map[string]int    // count after a call, by the call's tag
	gates    map[string]chan struct{}
	born     int  // instances
	remember bool // the current worker may hold instances that remember
}

func newServices() *services {
	return &services{
		executed: map[string]int{},
		count:    map[object.ID]int{},
		position: map[string]int{},
		gates:    map[string]chan struct{}{},
	}
}

// call is the method of another object that a script calls.
func (s *services) call(ctx context.Context, from object.ID, _ bool, c *object.Call) (object.Reply, error) {
	args, _, err := pyro.UnmarshalCall(codec.ByID(codec.Serpent), c.Payload, codec.Limits{})
	if err != nil {
		return object.Reply{}, err
	}
	var value any
	switch c.Method {
	case "born":
		s.mu.Lock()
		s.born++
		value = s.born
		s.mu.Unlock()
	case "note":
		s.note(from, fmt.Sprint(args[0]))
	case "pass":
		if err := s.pass(ctx, fmt.Sprint(args[0])); err != nil {
			return object.Reply{}, err
		}
	}
	b, err := codec.Append(codec.ByID(codec.Serpent), nil, value)
	return object.Reply{Payload: b}, err
}

// note registers that a call is executed.
func (s *services) note(from object.ID, tag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.executed[tag]++
	s.count[from]++
	s.position[tag] = s.count[from]
}

// pass waits until the test opens the gate or the call ends.
func (s *services) pass(ctx context.Context, tag string) error {
	open := make(chan struct{})
	s.mu.Lock()
	s.gates[tag] = open
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.gates, tag)
		s.mu.Unlock()
	}()
	select {
	case <-open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// open lets a call continue.
func (s *services) open(tag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.gates[tag]; c != nil {
		delete(s.gates, tag)
		close(c)
	}
}

// held returns the tags of the calls at the gate.
func (s *services) held() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]bool{}
	for tag := range s.gates {
		all[tag] = true
	}
	return all
}

// restart forgets the state of the worker that has ended.
func (s *services) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.count)
	s.remember = false
}

// setStateful registers that the current worker may hold instances that remember.
func (s *services) setStateful() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remember = true
}

// holdsState reports whether the current worker may hold instances that remember.
func (s *services) holdsState() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remember
}

// instances returns how many instances have been made.
func (s *services) instances() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.born
}

// forget forgets the state of one object.
func (s *services) forget(id object.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.count, id)
}

// locals starts workers in the test's process.
type locals struct {
	all     []*localWorker
	refuse  int // starts that fail
	started func()
}

// start is a Tenant's start.
func (l *locals) start(cfg Config, owner process.Owner) (*process.Process, error) {
	if l.refuse > 0 {
		l.refuse--
		return nil, errors.New("no worker can be started now")
	}
	ours, theirs, err := linktest.Pair()
	if err != nil {
		return nil, err
	}
	l.started()
	w := &localWorker{number: len(l.all), end: theirs, served: make(chan error, 1)}
	l.all = append(l.all, w)
	go func() { w.served <- worker.Serve(w, false) }()
	return process.Attach(cfg, owner, w, ours, strings.NewReader("a line that the worker prints\n"))
}

// current returns the last worker, nil if none has been started.
func (l *locals) current() *localWorker {
	if len(l.all) == 0 {
		return nil
	}
	return l.all[len(l.all)-1]
}
