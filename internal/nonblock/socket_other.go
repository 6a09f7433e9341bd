//go:build !linux

package nonblock

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// Socket is one end of a pair of Unix sockets between two processes.
type Socket struct{ net.Conn }

// NewSocket returns a Socket that owns f.
func NewSocket(f *os.File) (*Socket, error) {
	defer f.Close() // net.FileConn duplicates it
	nc, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return &Socket{Wrap(nc)}, nil
}

// SyscallConn implements [syscall.Conn].
func (s *Socket) SyscallConn() (syscall.RawConn, error) {
	return s.Conn.(syscall.Conn).SyscallConn() //nolint:forcetypeassert // a socket implements it
}

// Descriptor returns errors.ErrUnsupported: there are no event loops on this system.
func (s *Socket) Descriptor() (fd int, err error) { return 0, errors.ErrUnsupported }
