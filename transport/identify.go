package transport

import (
	"net"
	"net/netip"

	"github.com/hearthhost/hearth/object"
)

// noUID is the user id that no user has; the kernel says it when it knows none.
const noUID = ^uint32(0)

// Identify asks the kernel which OS user is at the other end of c.
//
// On a Unix socket that is the user who connected (SO_PEERCRED, LOCAL_PEERCRED on
// darwin), even if it left since. On loopback TCP, on Linux, it is the user who owns the
// peer's socket now: the table of sockets is asked for exactly this connection. Whatever
// is in doubt, such as a peer that has closed its end, an address that is not loopback
// or an error of the kernel, gives Auth "": there is no default user.
//
// Users of other user namespaces appear as the overflow uid, mostly 65534.
//
// It does not read from c and waits for nobody but the kernel.
func Identify(c net.Conn) object.Peer {
	p := peerOf(c)
	var uid uint32
	var ok bool
	switch c := c.(type) {
	case *net.UnixConn:
		uid, ok = unixPeer(c)
	case *net.TCPConn:
		remote, known := addrPort(c.RemoteAddr())
		local, knownToo := addrPort(c.LocalAddr())
		if known && knownToo && local.Addr().IsLoopback() && remote.Addr().IsLoopback() &&
			local.Addr().Is4() == remote.Addr().Is4() {
			uid, ok = tcpPeer(c, local, remote)
		}
	}
	if ok && uid != noUID {
		p.Auth, p.UID = object.AuthPeer, uid
	}
	return p
}

// peerOf returns what is known of a peer without asking anybody.
func peerOf(c net.Conn) (p object.Peer) {
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

// Network returns the network of another machine's connection, under which its connections are
// counted: the IPv4 address, or the IPv6 /64, from which one machine may choose its addresses. ok
// is false for connections from this machine.
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
