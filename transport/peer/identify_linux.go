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
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil || credErr != nil || cred == nil {
		return 0, false
	}
	return cred.Uid, true
}

// tcpPeer returns the user who owns the other end of a loopback TCP connection.
func tcpPeer(c *net.TCPConn, local, remote netip.AddrPort) (uid uint32, ok bool) {
	uid, err := ownerOf(remote, local)
	// The order matters. A port of a closed connection can be reused by another process. While our end of the
	// connection is alive, no other socket can have the same addresses. So if it is alive after the lookup, the lookup
	// found its peer.
	if err != nil || !alive(c) {
		return 0, false
	}
	return uid, true
}

// alive reports whether our end of the connection is still connected.
func alive(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	var info *unix.TCPInfo
	var infoErr error
	err = raw.Control(func(fd uintptr) {
		info, infoErr = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	return err == nil && infoErr == nil && connected(info.State)
}
