package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Sizes and offsets of the messages of NETLINK_SOCK_DIAG.
//
// Source: linux/inet_diag.h, struct inet_diag_req_v2, inet_diag_sockid, inet_diag_msg;
// sock_diag(7). Ports and addresses are big endian, other fields have the machine's byte order.
const (
	sockIDSize  = 2 + 2 + 16 + 16 + 4 + 8
	requestSize = unix.NLMSG_HDRLEN + 8 + sockIDSize
	answerSize  = 4 + sockIDSize + 5*4
	sockIDAt    = 4 // offset in the answer
	uidAt       = sockIDAt + sockIDSize + 3*4
	inodeAt     = uidAt + 4

	noCookie = ^uint32(0)
	sequence = 1 // each socket sends one request, so the number is constant
)

// answerTimeout bounds the wait for the kernel's answer.
var answerTimeout = unix.Timeval{Sec: 1}

var (
	errNoSocket = errors.New("no such connection")
	errOrphan   = errors.New("the socket has no owner any more")
	errAnswer   = errors.New("sock_diag: the answer is malformed")
)

// ownerOf returns the user id that owns the socket with the local address src and the remote address dst in this
// network namespace. Both addresses are IPv4 or both are IPv6.
func ownerOf(src, dst netip.AddrPort) (uint32, error) {
	// One netlink socket per lookup: a late answer cannot be taken for the answer to another request.
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, fmt.Errorf("opening sock_diag: %w", err)
	}
	defer unix.Close(fd) //nolint:errcheck // nothing is buffered
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &answerTimeout); err != nil {
		return 0, fmt.Errorf("sock_diag: %w", err)
	}
	req := request(src, dst)
	if err := unix.Sendto(fd, req[:], 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("sending to sock_diag: %w", err)
	}
	var buf [1024]byte // an answer has 88 bytes and optional attributes
	n, from, err := unix.Recvfrom(fd, buf[:], 0)
	for errors.Is(err, unix.EINTR) {
		n, from, err = unix.Recvfrom(fd, buf[:], 0)
	}
	if err != nil {
		return 0, fmt.Errorf("receiving from sock_diag: %w", err)
	}
	if k, ok := from.(*unix.SockaddrNetlink); !ok || k.Pid != 0 {
		return 0, errAnswer // not from the kernel
	}
	return readAnswer(buf[:n], src, dst)
}

// request returns the request for one socket by its exact addresses.
func request(src, dst netip.AddrPort) (b [requestSize]byte) {
	e := binary.NativeEndian
	e.PutUint32(b[0:], requestSize)
	e.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	e.PutUint16(b[6:], unix.NLM_F_REQUEST)
	e.PutUint32(b[8:], sequence)
	r := b[unix.NLMSG_HDRLEN:]
	r[0] = unix.AF_INET6
	if src.Addr().Is4() {
		r[0] = unix.AF_INET
	}
	r[1] = unix.IPPROTO_TCP
	e.PutUint32(r[4:], ^uint32(0)) // any state; connected checks the state of the answer
	id := r[8:]
	binary.BigEndian.PutUint16(id[0:], src.Port())
	binary.BigEndian.PutUint16(id[2:], dst.Port())
	copy(id[4:20], src.Addr().AsSlice())
	copy(id[20:36], dst.Addr().AsSlice())
	e.PutUint32(id[40:], noCookie)
	e.PutUint32(id[44:], noCookie)
	return b
}

// readAnswer returns the owner, if the answer has the requested addresses and the socket has an owner. A lookup
// without a match may return a listening socket of that port, which can belong to another user.
func readAnswer(b []byte, src, dst netip.AddrPort) (uint32, error) {
	e := binary.NativeEndian
	if len(b) < unix.NLMSG_HDRLEN {
		return 0, errAnswer
	}
	size, kind, seq := e.Uint32(b), e.Uint16(b[4:]), e.Uint32(b[8:])
	if int64(size) > int64(len(b)) || size < unix.NLMSG_HDRLEN || seq != sequence {
		return 0, errAnswer
	}
	m := b[unix.NLMSG_HDRLEN:size]
	if kind == unix.NLMSG_ERROR && len(m) >= 4 {
		if errno := -int32(e.Uint32(m)); errno > 0 && unix.Errno(errno) != unix.ENOENT {
			return 0, fmt.Errorf("sock_diag: %w", unix.Errno(errno))
		}
		return 0, errNoSocket
	}
	if kind != unix.SOCK_DIAG_BY_FAMILY || len(m) < answerSize {
		return 0, errAnswer
	}
	family, id := m[0], m[sockIDAt:]
	if endpoint(family, id[4:20], id[0:2]) != src || endpoint(family, id[20:36], id[2:4]) != dst {
		return 0, errNoSocket
	}
	// Orphans and sockets in TIME_WAIT have no inode; the kernel reports uid 0 for them.
	if !connected(m[1]) || e.Uint32(m[inodeAt:]) == 0 {
		return 0, errOrphan
	}
	return e.Uint32(m[uidAt:]), nil
}

// endpoint parses an address and a port. An IPv6 socket with IPv4 traffic is found by its IPv4 addresses and answers
// with mapped ones.
func endpoint(family uint8, addr, port []byte) netip.AddrPort {
	var a netip.Addr
	switch family {
	case unix.AF_INET:
		a = netip.AddrFrom4([4]byte(addr[:4]))
	case unix.AF_INET6:
		a = netip.AddrFrom16([16]byte(addr)).Unmap()
	}
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(port))
}

// connected reports whether a socket in this state has completed the TCP handshake and is not closed. Sockets in
// SYN_SENT are excluded on purpose: they may have the addresses of a connection whose real peer has closed.
func connected(state uint8) bool {
	switch state {
	case unix.BPF_TCP_ESTABLISHED, unix.BPF_TCP_FIN_WAIT1, unix.BPF_TCP_FIN_WAIT2,
		unix.BPF_TCP_CLOSE_WAIT, unix.BPF_TCP_LAST_ACK, unix.BPF_TCP_CLOSING:
		return true
	}
	return false
}
