package client

import (
	"errors"
	"syscall"
)

// alive reports whether an idle connection seems usable: the server neither closed it
// nor sent what nobody asked for. It costs one system call and does not wait. Kinds of
// connection that cannot be asked are taken to be usable.
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
	// Silence is the only good sign: a read that returns has found bytes or the end.
	return err == nil && (errors.Is(peeked, syscall.EAGAIN) || errors.Is(peeked, syscall.EINTR))
}
