package transport

import (
	"errors"

	"golang.org/x/sys/unix"
)

// checkProtocol rejects multipath TCP: such a connection has several sockets, and the owner lookup needs exactly one.
func checkProtocol(fd int) error {
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err == nil && v != 0 && v != unix.IPPROTO_TCP {
		err = errors.New("its protocol is not TCP: remove SocketProtocol= from the socket unit")
	}
	return err
}
