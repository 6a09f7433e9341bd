package peer

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// UnixUser returns the effective user id with which the peer connected.
func UnixUser(c *net.UnixConn) (uid uint32, ok bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false
	}
	var cred *unix.Xucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	})
	if err != nil || credErr != nil || cred == nil || cred.Version != 0 { // XUCRED_VERSION
		return 0, false
	}
	return cred.Uid, true
}

// tcpPeer identifies no peer: this system has no safe lookup of a socket's owner.
func tcpPeer(*net.TCPConn, netip.AddrPort, netip.AddrPort) (uid uint32, ok bool) {
	return 0, false
}
