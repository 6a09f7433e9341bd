package nonblock

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
)

// Socket is one end of a pair of Unix sockets between two processes.
//
// Go's poller waits for all that can happen to a socket, also that its peer has read: a Unix
// socket says so each time, and wakes a process that only waits for the next message. Woken
// twice for each call, workers took a quarter more processor time. A Socket waits for what
// arrives, and for room only where there was none. It does so by an epoll of its own, for
// whose events Go's poller waits.
//
// One goroutine may wait for what arrives and one write at a time.
type Socket struct {
	file    *os.File // not known to Go's poller
	raw     syscall.RawConn
	in, out *watched // out is made with in: later there might be no descriptor left for it
	closed  atomic.Bool

	writing operation // as in Conn
	write   func(fd uintptr)
	stuck   bool
}

// NewSocket takes over a socket, which must be in blocking mode.
func NewSocket(f *os.File) (*Socket, error) {
	s := &Socket{file: f}
	s.write = func(fd uintptr) {
		s.stuck = false
		for s.writing.n < len(s.writing.p) && !s.stuck && s.writing.err == nil {
			var n int
			var ok bool
			n, ok, s.writing.err = Write(fd, s.writing.p[s.writing.n:])
			s.writing.n += n
			s.stuck = !ok
		}
	}
	var err error
	if s.raw, err = f.SyscallConn(); err == nil {
		err = s.control(func(fd uintptr) error { return syscall.SetNonblock(int(fd), true) })
	}
	if err == nil {
		s.in, err = s.watch(syscall.EPOLLIN | syscall.EPOLLRDHUP)
	}
	if err == nil {
		if s.out, err = s.watch(0); err != nil {
			s.in.file.Close()
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

func (s *Socket) control(f func(fd uintptr) error) error {
	var err error
	if closed := s.raw.Control(func(fd uintptr) { err = f(fd) }); closed != nil {
		return closed
	}
	return err
}

// watched is an epoll with one descriptor in it, which Go's poller knows as a file that can be
// read once something happens.
type watched struct {
	file *os.File
	raw  syscall.RawConn
}

func (s *Socket) watch(events uint32) (*watched, error) {
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	err = syscall.SetNonblock(ep, true) // by that os.NewFile tells what the poller can wait for
	w := &watched{file: os.NewFile(uintptr(ep), "epoll")}
	if err == nil {
		err = s.control(func(fd uintptr) error { return change(uintptr(ep), syscall.EPOLL_CTL_ADD, fd, events) })
	}
	if err == nil {
		w.raw, err = w.file.SyscallConn()
	}
	if err != nil {
		w.file.Close()
		return nil, err
	}
	return w, nil
}

func change(ep uintptr, op int, fd uintptr, events uint32) error {
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(int(ep), op, int(fd), &syscall.EpollEvent{Events: events}))
}

// Write writes all of p.
func (s *Socket) Write(p []byte) (int, error) {
	s.writing = operation{p: p}
	err := s.raw.Control(s.write)
	if err == nil && s.stuck {
		err = s.writeOn()
	}
	n := s.writing.n
	if err == nil {
		err = s.writing.err
	}
	s.writing = operation{}
	return n, s.told(err)
}

// writeOn writes the rest whenever there is room.
func (s *Socket) writeOn() error {
	asked := false
	var failed error
	err := s.out.raw.Read(func(ep uintptr) bool {
		failed = s.control(func(fd uintptr) error {
			if !asked {
				// The system may not tell of room that there is already, so this comes before a try.
				if err := change(ep, syscall.EPOLL_CTL_MOD, fd, syscall.EPOLLOUT); err != nil {
					return err
				}
				asked = true
			}
			if s.write(fd); s.stuck {
				return nil
			}
			return change(ep, syscall.EPOLL_CTL_MOD, fd, 0)
		})
		return failed != nil || !s.stuck
	})
	return errors.Join(err, failed)
}

// told makes of what the runtime says of closed files what others can ask for.
func (s *Socket) told(err error) error {
	if err != nil && s.closed.Load() {
		return os.ErrClosed
	}
	return err
}

// Close ends whoever waits or writes.
func (s *Socket) Close() error {
	if s.closed.Swap(true) {
		return os.ErrClosed
	}
	// Closing what somebody waits in waits for him, and who reads may be writing: that ends first.
	s.out.file.Close()
	s.in.file.Close()
	return s.file.Close()
}

// SyscallConn returns what waits for input and works on the socket's descriptor; it cannot
// wait for room.
func (s *Socket) SyscallConn() (syscall.RawConn, error) { return input{s}, nil }

type input struct{ s *Socket }

// Control implements [syscall.RawConn].
func (i input) Control(f func(fd uintptr)) error { return i.s.raw.Control(f) }

// Read implements [syscall.RawConn].
func (i input) Read(f func(fd uintptr) bool) error {
	var done bool
	var closed error
	inner := func(fd uintptr) { done = f(fd) }
	err := i.s.in.raw.Read(func(uintptr) bool {
		closed = i.s.raw.Control(inner)
		return done || closed != nil
	})
	return i.s.told(errors.Join(err, closed))
}

// Write implements [syscall.RawConn].
func (input) Write(func(fd uintptr) bool) error { return errors.ErrUnsupported }
