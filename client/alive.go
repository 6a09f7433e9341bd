package client

import (
	"errors"
	"syscall"
)

// alive reports whether an idle connection seems usable: the server has neither closed it nor sent data. It makes one
// system call and does not block. A connection without a file descriptor is reported as usable.
func (c *conn) alive() bool {
	if c.in.Buffered() > 0 {
		return false
	}
	sc, ok := c.nc.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	var peeked error
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, peeked = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	// EAGAIN means open and silent. A successful read has found data or the end of the stream.
	return err == nil && (errors.Is(peeked, syscall.EAGAIN) || errors.Is(peeked, syscall.EINTR))
}
