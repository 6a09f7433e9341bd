package channel

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// Memory is the connection below a TLS connection. Until [NewTLS] it is the socket; then it is two buffers.
type Memory struct {
	net.Conn
	detached bool    // the buffers replace the socket
	records  records // that TLS has read
	in       []byte  // fed bytes that TLS has not read
	out      []byte  // written bytes that no method has returned
}

// records follows the records of a stream by their headers.
type records struct {
	head [recordHead]byte
	got  int // bytes of the incomplete record
	size int // of the incomplete record, once its header is complete
}

// recordHead is the size of a record's header in bytes: type, version and length.
const recordHead = 5

// add takes the next bytes of the stream.
func (r *records) add(b []byte) {
	for len(b) > 0 {
		if r.got < recordHead {
			n := copy(r.head[r.got:], b)
			r.got += n
			b = b[n:]
			if r.got < recordHead {
				return
			}
			r.size = recordHead + int(binary.BigEndian.Uint16(r.head[3:]))
		}
		n := min(len(b), r.size-r.got)
		r.got += n
		b = b[n:]
		if r.got == r.size {
			r.got = 0
		}
	}
}

// Read implements [net.Conn]. With an empty buffer it returns a temporary error, after which crypto/tls continues.
func (m *Memory) Read(p []byte) (int, error) {
	n, err := 0, error(errEmpty{})
	switch {
	case !m.detached:
		n, err = m.Conn.Read(p)
	case len(m.in) > 0:
		n, err = copy(p, m.in), nil
		m.in = m.in[n:]
	}
	m.records.add(p[:n])
	return n, err
}

// Write implements [net.Conn].
func (m *Memory) Write(p []byte) (int, error) {
	if !m.detached {
		return m.Conn.Write(p)
	}
	m.out = append(m.out, p...)
	return len(p), nil
}

// SetWriteDeadline implements [net.Conn]. crypto/tls calls it before an alert.
func (m *Memory) SetWriteDeadline(t time.Time) error {
	if !m.detached {
		return m.Conn.SetWriteDeadline(t)
	}
	return nil
}

// errEmpty is the error of an empty buffer. crypto/tls keeps errors of its connection, except those that are Temporary.
type errEmpty struct{}

func (errEmpty) Error() string   { return "no more bytes have arrived" }
func (errEmpty) Timeout() bool   { return true }
func (errEmpty) Temporary() bool { return true }

// TLS is the codec of a TLS connection.
type TLS struct {
	conn *tls.Conn
	mem  *Memory
	err  error // final error of Feed
	end  bool  // End was called
}

// NewTLS returns the codec of a TLS connection on m, after its handshake. The connection must not be used otherwise
// from now on; the socket then belongs to the caller. crypto/tls may have read bytes behind the handshake: call Feed
// without bytes once.
func NewTLS(conn *tls.Conn, m *Memory) (*TLS, error) {
	if !conn.ConnectionState().HandshakeComplete {
		return nil, errors.New("TLS codec: the handshake is not complete")
	}
	m.detached, m.Conn = true, nil
	return &TLS{conn: conn, mem: m}, nil
}

// readStep is the free space of dst in bytes for one read of plaintext.
const readStep = 4 << 10

// Feed implements [Codec].
func (t *TLS) Feed(dst, in []byte) ([]byte, error) {
	if t.err != nil {
		return dst, t.err
	}
	t.mem.in = in
	for {
		dst = slices.Grow(dst, readStep)
		n, err := t.conn.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case err == nil:
		case errors.Is(err, errEmpty{}):
			t.mem.in = nil
			return dst, nil
		default:
			t.mem.in, t.err = nil, err
			return dst, err
		}
	}
}

// Cut implements [Codec].
func (t *TLS) Cut() error {
	if errors.Is(t.err, io.EOF) {
		return nil
	}
	return fmt.Errorf("TLS connection without its end: %w", io.ErrUnexpectedEOF)
}

// Seal implements [Codec].
func (t *TLS) Seal(dst, plain []byte) ([]byte, error) {
	if t.err != nil && !errors.Is(t.err, io.EOF) { // wrong input ends both directions
		return dst, t.err
	}
	t.mem.out = t.Control(dst) // TLS appends to dst
	_, err := t.conn.Write(plain)
	dst, t.mem.out = t.mem.out, nil
	return dst, err
}

// End implements [Codec].
func (t *TLS) End(dst []byte) []byte {
	if !t.end {
		t.end = true
		_ = t.conn.CloseWrite() // the memory does not fail
	}
	return t.Control(dst)
}

// Pending implements [Codec].
func (t *TLS) Pending() int { return t.mem.records.got }

// Control implements [Codec].
func (t *TLS) Control(dst []byte) []byte {
	dst = append(dst, t.mem.out...)
	t.mem.out = nil
	return dst
}
