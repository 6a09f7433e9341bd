//go:build !linux && !darwin

package transport

import (
	"net"
	"net/netip"
)

// unixPeer identifies no peer on this system.
func unixPeer(*net.UnixConn) (uid uint32, ok bool) { return 0, false }

// tcpPeer identifies no peer on this system.
func tcpPeer(*net.TCPConn, netip.AddrPort, netip.AddrPort) (uid uint32, ok bool) {
	return 0, false
}
