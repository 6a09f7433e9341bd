package nonblock

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
)

// Socket is one end of a pair of Unix sockets between two processes.
//
// Go's poller waits for every event of a socket, also for room after the peer has read. A Unix socket sends that event
// after each read, so a process that only waits for the next message is woken twice for each call. Workers used a
// quarter more processor time that way. A Socket waits for input, and for room only after a write that did not fit. It
// uses two separate epolls, and Go's poller waits for their events.
//
// One goroutine may wait for input and one may write at a time.
type Socket struct {
	file    *os.File // not registered with Go's poller
	raw     syscall.RawConn
	in, out *poll // both are created by NewSocket: later the process may have no descriptor left
	closed  atomic.Bool

	writing operation // as in Conn
	write   func(fd uintptr)
	blocked bool // the last write did not fit
}

// NewSocket returns a Socket that owns f, a socket in blocking mode.
func NewSocket(f *os.File) (*Socket, error) {
	s := &Socket{file: f}
	s.write = func(fd uintptr) {
		s.blocked = false
		for s.writing.n < len(s.writing.p) && !s.blocked && s.writing.err == nil {
			var n int
			var ok bool
			n, ok, s.writing.err = Write(fd, s.writing.p[s.writing.n:])
			s.writing.n += n
			s.blocked = !ok
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

// poll is an epoll with one descriptor. For Go's poller it is a file that becomes readable with each event.
type poll struct {
	file *os.File
	raw  syscall.RawConn
}

func (s *Socket) watch(events uint32) (*poll, error) {
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	err = syscall.SetNonblock(ep, true) // os.NewFile registers nonblocking files with Go's poller
	w := &poll{file: os.NewFile(uintptr(ep), "epoll")}
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
	if err == nil && s.blocked {
		err = s.writeRest()
	}
	n := s.writing.n
	if err == nil {
		err = s.writing.err
	}
	s.writing = operation{}
	return n, s.closedError(err)
}

// TryWrite writes the part of p that the socket accepts now. It must not be called during Write.
func (s *Socket) TryWrite(p []byte) (int, error) {
	s.writing = operation{p: p}
	err := s.raw.Control(s.write)
	n := s.writing.n
	if err == nil {
		err = s.writing.err
	}
	s.writing = operation{}
	return n, s.closedError(err)
}

// Descriptor ends the waiting for input, for a loop that waits in its place, and returns the socket's descriptor. It is
// valid until Close.
func (s *Socket) Descriptor() (fd int, err error) {
	s.in.file.Close()
	err = s.raw.Control(func(d uintptr) { fd = int(d) })
	return fd, s.closedError(err)
}

// writeRest writes the remaining bytes when the socket has room.
func (s *Socket) writeRest() error {
	armed := false
	var failed error
	err := s.out.raw.Read(func(ep uintptr) bool {
		failed = s.control(func(fd uintptr) error {
			if !armed {
				// The epoll may report only later room, so it is armed before the next attempt.
				if err := change(ep, syscall.EPOLL_CTL_MOD, fd, syscall.EPOLLOUT); err != nil {
					return err
				}
				armed = true
			}
			if s.write(fd); s.blocked {
				return nil
			}
			return change(ep, syscall.EPOLL_CTL_MOD, fd, 0)
		})
		return failed != nil || !s.blocked
	})
	return errors.Join(err, failed)
}

// closedError replaces an error of a closed socket by os.ErrClosed.
func (s *Socket) closedError(err error) error {
	if err != nil && s.closed.Load() {
		return os.ErrClosed
	}
	return err
}

// Close closes the socket. Waiting reads and writes return os.ErrClosed.
func (s *Socket) Close() error {
	if s.closed.Swap(true) {
		return os.ErrClosed
	}
	// Closing an epoll waits for its users. A goroutine that reads may be writing, so the output closes first.
	s.out.file.Close()
	s.in.file.Close()
	return s.file.Close()
}

// SyscallConn returns a connection that waits for input of the socket. Its Write is not supported.
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
	return i.s.closedError(errors.Join(err, closed))
}

// Write implements [syscall.RawConn].
func (input) Write(func(fd uintptr) bool) error { return errors.ErrUnsupported }
