// Package linktest connects both ends of a link within one process, for tests under testing/synctest.
package linktest

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"github.com/hearthhost/hearth/internal/socketpair"
)

// End is one end of a socket pair. It waits on channels and not on the system's poller, so that a goroutine that
// waits is durably blocked in the sense of testing/synctest.
//
// One goroutine may wait for input and one write at a time. Close may be called concurrently with both.
type End struct {
	file *os.File
	raw  syscall.RawConn
	peer *End

	input  chan struct{} // holds a token when the peer has written or closed
	room   chan struct{} // holds a token when the peer has read
	closed chan struct{}
	close  sync.Once
}

// Pair returns two connected ends.
func Pair() (a, b *End, err error) {
	one, other, err := socketpair.Files()
	if err != nil {
		return nil, nil, err
	}
	if a, err = newEnd(one); err != nil {
		other.Close()
		return nil, nil, err
	}
	if b, err = newEnd(other); err != nil {
		a.file.Close()
		return nil, nil, err
	}
	a.peer, b.peer = b, a
	return a, b, nil
}

// newEnd takes over the file and closes it if it fails.
func newEnd(file *os.File) (*End, error) {
	e := &End{
		file:   file,
		input:  make(chan struct{}, 1),
		room:   make(chan struct{}, 1),
		closed: make(chan struct{}),
	}
	var err error
	if e.raw, err = file.SyscallConn(); err == nil {
		err = errors.Join(e.raw.Control(func(fd uintptr) { err = syscall.SetNonblock(int(fd), true) }), err)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return e, nil
}

// signal puts a token into a channel that holds at most one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// control calls f with the socket. A socket that is closed meanwhile stays open until f returns, so that the peer
// learns of its end only then.
func (e *End) control(f func(fd uintptr)) error {
	err := e.raw.Control(f)
	select {
	case <-e.closed:
		signal(e.peer.input)
	default:
	}
	if err != nil {
		return os.ErrClosed
	}
	return nil
}

// Write writes all of p. It waits while the socket is full.
func (e *End) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		var n int
		var failed error
		if err := e.control(func(fd uintptr) { n, failed = syscall.Write(int(fd), p[written:]) }); err != nil {
			return written, err
		}
		if n > 0 {
			written += n
			signal(e.peer.input)
			continue
		}
		if !errors.Is(failed, syscall.EAGAIN) && !errors.Is(failed, syscall.EINTR) {
			return written, failed
		}
		select {
		case <-e.room:
		case <-e.closed:
			return written, os.ErrClosed
		case <-e.peer.closed:
			return written, syscall.EPIPE
		}
	}
	return written, nil
}

// TryWrite writes the part of p that the socket accepts now.
func (e *End) TryWrite(p []byte) (n int, err error) {
	var failed error
	if err := e.control(func(fd uintptr) { n, failed = syscall.Write(int(fd), p) }); err != nil {
		return 0, err
	}
	if n > 0 {
		signal(e.peer.input)
		return n, nil
	}
	if errors.Is(failed, syscall.EAGAIN) || errors.Is(failed, syscall.EINTR) {
		return 0, nil
	}
	return 0, failed
}

// Close ends reads and writes of both ends. It is idempotent.
func (e *End) Close() error {
	e.close.Do(func() {
		e.file.Close()
		close(e.closed)
		signal(e.peer.input)
	})
	return nil
}

// SyscallConn returns access to the socket for a reader.
func (e *End) SyscallConn() (syscall.RawConn, error) { return reader{e}, nil }

type reader struct{ e *End }

// Control implements [syscall.RawConn].
func (r reader) Control(f func(fd uintptr)) error {
	err := r.e.control(f)
	signal(r.e.peer.room)
	return err
}

// Read implements [syscall.RawConn].
func (r reader) Read(f func(fd uintptr) bool) error {
	for {
		done := false
		if err := r.Control(func(fd uintptr) { done = f(fd) }); err != nil || done {
			return err
		}
		select {
		case <-r.e.input:
		case <-r.e.closed:
			return os.ErrClosed
		}
	}
}

// Write implements [syscall.RawConn].
func (reader) Write(func(fd uintptr) bool) error { return errors.ErrUnsupported }
