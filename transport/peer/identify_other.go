//go:build !linux && !darwin

package peer

import (
	"net"
	"net/netip"
)

// UnixUser identifies no peer on this system.
func UnixUser(*net.UnixConn) (uid uint32, ok bool) { return 0, false }

// tcpPeer identifies no peer on this system.
func tcpPeer(*net.TCPConn, netip.AddrPort, netip.AddrPort) (uid uint32, ok bool) {
	return 0, false
}
