package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// unixPeer returns the uid that the kernel recorded when the peer connected.
func unixPeer(c *net.UnixConn) (uint32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var inner error
	if err := raw.Control(func(fd uintptr) { cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return 0, err
	}
	if inner != nil {
		return 0, inner
	}
	return cred.Uid, nil
}

// The parts of a sock_diag request and reply.
//
// Source: linux/inet_diag.h.
const (
	sockDiagByFamily = 20
	diagReqBytes     = 56
	diagMsgBytes     = 72
	lookupTimeout    = time.Second
)

var errNoPeer = errors.New("the kernel knows no such socket")

// tcpPeer returns the uid that owns the other end of a loopback connection, by an exact
// lookup in the kernel's socket table. A socket that is nobody's any more (no inode: its
// owner closed it, and the kernel would report uid 0) is an error.
func tcpPeer(c *net.TCPConn) (uint32, error) {
	peer := c.RemoteAddr().(*net.TCPAddr).AddrPort()
	ours := c.LocalAddr().(*net.TCPAddr).AddrPort()
	if !peer.Addr().Unmap().IsLoopback() || !ours.Addr().Unmap().IsLoopback() {
		return 0, errors.New("not a loopback connection")
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, fmt.Errorf("opening sock_diag: %w", err)
	}
	defer unix.Close(fd)
	tv := unix.NsecToTimeval(int64(lookupTimeout))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return 0, err
	}
	if err := unix.Sendto(fd, diagRequest(peer, ours), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("asking sock_diag: %w", err)
	}
	buf := make([]byte, 4096)
	n, from, err := unix.Recvfrom(fd, buf, 0)
	if err != nil {
		return 0, fmt.Errorf("reading sock_diag: %w", err)
	}
	if nl, ok := from.(*unix.SockaddrNetlink); !ok || nl.Pid != 0 {
		return 0, errors.New("an answer that is not the kernel's")
	}
	return diagUID(buf[:n], peer, ours)
}

// diagRequest asks for the one socket whose own address is peer and whose other end is
// ours.
func diagRequest(peer, ours netip.AddrPort) []byte {
	ne := binary.NativeEndian
	b := make([]byte, 0, unix.NLMSG_HDRLEN+diagReqBytes)
	b = ne.AppendUint32(b, unix.NLMSG_HDRLEN+diagReqBytes)
	b = ne.AppendUint16(b, sockDiagByFamily)
	b = ne.AppendUint16(b, unix.NLM_F_REQUEST)
	b = ne.AppendUint32(b, 1) // sequence number
	b = ne.AppendUint32(b, 0) // port id: the kernel fills it in
	family := byte(unix.AF_INET6)
	if peer.Addr().Unmap().Is4() {
		family = unix.AF_INET
	}
	b = append(b, family, unix.IPPROTO_TCP, 0, 0)
	b = ne.AppendUint32(b, 0xffffffff) // states: ignored by an exact lookup
	b = appendSockID(b, peer, ours)
	return b
}

func appendSockID(b []byte, src, dst netip.AddrPort) []byte {
	b = binary.BigEndian.AppendUint16(b, src.Port())
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	b = appendAddr(b, src.Addr().Unmap())
	b = appendAddr(b, dst.Addr().Unmap())
	b = binary.NativeEndian.AppendUint32(b, 0)                       // interface: any
	return append(b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) // no cookie
}

func appendAddr(b []byte, a netip.Addr) []byte {
	var out [16]byte
	copy(out[:], a.AsSlice())
	return append(b, out[:]...)
}

// diagUID reads the uid from an answer, which must be about the socket that was asked for.
func diagUID(b []byte, peer, ours netip.AddrPort) (uint32, error) {
	ne := binary.NativeEndian
	if len(b) < unix.NLMSG_HDRLEN {
		return 0, errNoPeer
	}
	if typ := ne.Uint16(b[4:]); typ != sockDiagByFamily || len(b) < unix.NLMSG_HDRLEN+diagMsgBytes {
		return 0, errNoPeer
	}
	m := b[unix.NLMSG_HDRLEN:]
	want := appendSockID(nil, peer, ours)
	// Ports and addresses; the interface and the cookie are the kernel's to fill in. An
	// IPv4 connection of an IPv6 socket may come with mapped addresses.
	if string(m[4:8]) != string(want[:4]) || !sameAddr(m[8:24], peer.Addr()) || !sameAddr(m[24:40], ours.Addr()) {
		return 0, errors.New("an answer about another socket")
	}
	uid, inode := ne.Uint32(m[64:]), ne.Uint32(m[68:])
	if inode == 0 {
		return 0, errNoPeer
	}
	return uid, nil
}

func sameAddr(b []byte, a netip.Addr) bool {
	a = a.Unmap()
	if a.Is4() {
		four := a.As4()
		return string(b[:4]) == string(four[:]) || netip.AddrFrom16([16]byte(b)).Unmap() == a
	}
	return netip.AddrFrom16([16]byte(b)) == a
}
