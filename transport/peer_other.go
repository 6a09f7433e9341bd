//go:build !linux

package transport

import (
	"errors"
	"net"
)

var errUnsupported = errors.New("this system does not tell who a peer is")

func unixPeer(c *net.UnixConn) (uint32, error) { return 0, errUnsupported }

func tcpPeer(*net.TCPConn) (uint32, error) { return 0, errUnsupported }
