package peer

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

var (
	testSrc = netip.MustParseAddrPort("127.0.0.1:40000")
	testDst = netip.MustParseAddrPort("127.0.0.1:7766")
)

// answer is a good one: ESTABLISHED, uid 1000, inode 7.
func answer() []byte {
	b := make([]byte, unix.NLMSG_HDRLEN+answerSize)
	e := binary.NativeEndian
	e.PutUint32(b, uint32(len(b)))
	e.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	e.PutUint32(b[8:], sequence)
	m := b[unix.NLMSG_HDRLEN:]
	m[0], m[1] = unix.AF_INET, unix.BPF_TCP_ESTABLISHED
	id := m[sockIDAt:]
	binary.BigEndian.PutUint16(id, testSrc.Port())
	binary.BigEndian.PutUint16(id[2:], testDst.Port())
	copy(id[4:], testSrc.Addr().AsSlice())
	copy(id[20:], testDst.Addr().AsSlice())
	e.PutUint32(m[uidAt:], 1000)
	e.PutUint32(m[inodeAt:], 7)
	return b
}

func TestReadAnswer(t *testing.T) {
	const h = unix.NLMSG_HDRLEN
	set := func(at int, v ...byte) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[at:], v); return b }
	}
	tests := []struct {
		name   string
		change func([]byte) []byte
		err    error
	}{
		{"good", set(0), nil},
		{"attributes follow", func(b []byte) []byte {
			b = append(b, make([]byte, 8)...)
			binary.NativeEndian.PutUint32(b, uint32(len(b)))
			return b
		}, nil},
		{"empty", func([]byte) []byte { return nil }, errAnswer},
		{"half a header", func(b []byte) []byte { return b[:10] }, errAnswer},
		{"cut", func(b []byte) []byte { return b[:len(b)-1] }, errAnswer},
		{"size too small", func(b []byte) []byte { binary.NativeEndian.PutUint32(b, 8); return b }, errAnswer},
		{"size without uid", func(b []byte) []byte { binary.NativeEndian.PutUint32(b, h+40); return b }, errAnswer},
		{"another's answer", set(8, 9, 9, 9, 9), errAnswer},
		{"another message", func(b []byte) []byte { binary.NativeEndian.PutUint16(b[4:], 77); return b }, errAnswer},
		{"orphan", set(h+inodeAt, 0, 0, 0, 0), errOrphan},
		{"time wait", set(h+1, unix.BPF_TCP_TIME_WAIT), errOrphan},
		{"about to connect", set(h+1, unix.BPF_TCP_SYN_SENT), errOrphan},
		{"listening", set(h+1, unix.BPF_TCP_LISTEN), errOrphan},
		{"closed", set(h+1, unix.BPF_TCP_CLOSE), errOrphan},
		{"unknown state", set(h+1, 200), errOrphan},
		{"unknown family", set(h, 99), errNoSocket},
		{"source port", set(h+sockIDAt, 1), errNoSocket},
		{"destination port", set(h+sockIDAt+2, 0, 0), errNoSocket},
		{"source address", set(h+sockIDAt+4, 10), errNoSocket},
		{"destination address", set(h+sockIDAt+20, 0, 0, 0, 0), errNoSocket},
	}
	for _, tt := range tests {
		uid, err := readAnswer(tt.change(answer()), testSrc, testDst)
		if !errors.Is(err, tt.err) || err == nil && uid != 1000 || err != nil && uid != 0 {
			t.Errorf("%s: readAnswer = %d, %v; want %v", tt.name, uid, err, tt.err)
		}
	}
}

func TestReadError(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOENT, unix.EPERM, unix.EINVAL} {
		b := make([]byte, unix.NLMSG_HDRLEN+4)
		binary.NativeEndian.PutUint32(b, uint32(len(b)))
		binary.NativeEndian.PutUint16(b[4:], unix.NLMSG_ERROR)
		binary.NativeEndian.PutUint32(b[8:], sequence)
		binary.NativeEndian.PutUint32(b[16:], uint32(-int32(errno)))
		_, err := readAnswer(b, testSrc, testDst)
		if errno == unix.ENOENT && !errors.Is(err, errNoSocket) || errno != unix.ENOENT && !errors.Is(err, errno) {
			t.Errorf("%v: readAnswer = %v", errno, err)
		}
	}
}

func FuzzReadAnswer(f *testing.F) {
	good := answer()
	f.Add(good)
	f.Add(good[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		in := slices.Clone(b)
		uid, err := readAnswer(b, testSrc, testDst)
		if err != nil && uid != 0 {
			t.Errorf("uid %d with error %v", uid, err)
		}
		if err == nil && (len(in) < unix.NLMSG_HDRLEN+answerSize ||
			binary.NativeEndian.Uint32(in[unix.NLMSG_HDRLEN+inodeAt:]) == 0) {
			t.Errorf("an owner, %d, of a socket without an owner", uid)
		}
	})
}
