package transport

import (
	"errors"

	"golang.org/x/sys/unix"
)

// checkProtocol refuses multipath TCP: such a connection has several sockets, and the
// kernel's table is asked about one.
func checkProtocol(fd int) error {
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err == nil && v != 0 && v != unix.IPPROTO_TCP {
		err = errors.New("it speaks another protocol than TCP: leave SocketProtocol= out of the socket unit")
	}
	return err
}
