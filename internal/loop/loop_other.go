//go:build !linux

package loop

import (
	"net"
	"os"
)

// Loop is not supported on this system.
type Loop struct {
	EndRound func()
	Busy     func() bool

	TakenOver func()
}

// New returns ErrUnsupported.
func New() (*Loop, error) { return nil, ErrUnsupported }

// Run does nothing.
func (*Loop) Run() {}

// Close does nothing.
func (*Loop) Close() {}

// Block runs f.
func (*Loop) Block(f func()) (still bool) { f(); return true }

// Post does nothing.
func (*Loop) Post(func()) {}

// Watch returns ErrUnsupported.
func (*Loop) Watch(int, Handler) (stop func(), err error) { return nil, ErrUnsupported }

// Adopt returns ErrUnsupported.
func (*Loop) Adopt(net.Conn) (*Conn, error) { return nil, ErrUnsupported }

// Conn is a socket of a loop.
type Conn struct{ net.Conn }

// Park does nothing.
func (*Conn) Park(Handler) {}

// Unpark does nothing.
func (*Conn) Unpark() {}

// Notify does nothing.
func (*Conn) Notify() {}

// Duplicate returns ErrUnsupported.
func (*Conn) Duplicate() (*os.File, error) { return nil, ErrUnsupported }

// TryRead returns ErrUnsupported.
func (*Conn) TryRead([]byte) (n int, ok bool, err error) { return 0, true, ErrUnsupported }

// TryWrite returns ErrUnsupported.
func (*Conn) TryWrite([]byte) (n int, err error) { return 0, ErrUnsupported }
