// Package peer identifies the process at the other end of a connection, as the kernel reports it.
//
// On a Unix socket the kernel stores the user who connected. On loopback TCP, Linux reports the owner of the peer's
// socket: the package requests it by the exact addresses of the connection (NETLINK_SOCK_DIAG), and then checks that
// the connection still exists. Every doubt means that the peer is not identified.
//
// The package does not authenticate by keys or certificates, and maps no user to a principal.
package peer

import (
	"net"
	"net/netip"

	"github.com/hearthhost/hearth/object"
)

// NoUID is the kernel's value for an unknown user id. No user has it.
const NoUID = ^uint32(0)

// Identify returns the OS user at the other end of c, as reported by the kernel.
//
// On a Unix socket it is the user who connected (SO_PEERCRED; LOCAL_PEERCRED on darwin), even if the process has ended
// since. On loopback TCP on Linux it is the current owner of the peer's socket, found by the exact addresses of the
// connection. In all doubtful cases Auth is "": the peer has closed its end, the address is not loopback, or the kernel
// returns an error. There is no default user.
//
// Users of other user namespaces appear as the overflow uid, usually 65534.
//
// Identify does not read from c and waits for the kernel only.
func Identify(c net.Conn) object.Peer {
	p := Describe(c)
	var uid uint32
	var ok bool
	switch c := c.(type) {
	case *net.UnixConn:
		uid, ok = UnixUser(c)
	case *net.TCPConn:
		remote, known := addrPort(c.RemoteAddr())
		local, knownToo := addrPort(c.LocalAddr())
		if known && knownToo && local.Addr().IsLoopback() && remote.Addr().IsLoopback() &&
			local.Addr().Is4() == remote.Addr().Is4() {
			uid, ok = tcpPeer(c, local, remote)
		}
	}
	if ok && uid != NoUID {
		p.Auth, p.UID = object.AuthPeer, uid
	}
	return p
}

// Describe returns the address and channel of a peer without a system call.
func Describe(c net.Conn) (p object.Peer) {
	switch c := c.(type) {
	case *net.UnixConn:
		p.Channel, p.Addr = "unix", "unix"
	case *net.TCPConn:
		p.Channel = "tcp"
		if remote, ok := addrPort(c.RemoteAddr()); ok {
			p.Addr = remote.String()
		}
	}
	return p
}

// addrPort returns a as numbers, v4-mapped addresses as v4.
func addrPort(a net.Addr) (netip.AddrPort, bool) {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), ap.IsValid()
}

// Network returns the network of a remote peer, under which its connections are counted: the IPv4 address, or the IPv6
// /64 because a machine can choose addresses within it. ok is false for local connections.
func Network(nc net.Conn) (network netip.Prefix, ok bool) {
	remote, ok := addrPort(nc.RemoteAddr())
	addr := remote.Addr().WithZone("")
	if !ok || addr.IsLoopback() {
		return network, false
	}
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	network, err := addr.Prefix(bits)
	return network, err == nil
}
