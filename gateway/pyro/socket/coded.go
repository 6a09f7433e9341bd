package socket

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hearthhost/hearth/transport/channel"
)

// Sizes of buffers in bytes.
const (
	firstIn  = 4 << 10  // for received bytes
	maxIn    = 64 << 10 // the same, while a large message arrives
	sealStep = 64 << 10 // plaintext that is sealed at a time
)

// closeTimeout bounds the transmission of the end of a channel.
const closeTimeout = time.Second

// coded is a TLS or HMAC channel whose codec is separate from the socket, so that a goroutine and an event loop can use
// it in turn. Reads belong to the socket's owner. Writers hold outbound.mu.
type coded struct {
	net.Conn // the socket
	s        *Socket

	mu    sync.Mutex // guards codec: probe may seal while the owner feeds
	codec channel.Codec

	in    []byte // memory for received bytes
	plain []byte // verified bytes, of which start were read
	start int
	err   error // final error of reads

	sealed []byte // memory for bytes to write; guarded by outbound.mu
	broken error  // final error of writes; guarded by outbound.mu
}

// newCoded returns a channel that continues where the codec's connection was.
func newCoded(s *Socket, codec channel.Codec, socket net.Conn) *coded {
	c := &coded{Conn: socket, s: s, codec: codec}
	c.plain, _ = c.feed(nil, nil)
	return c
}

// feed appends the plaintext of received bytes to dst. whole reports that no record is incomplete.
//
// If one of the bytes' records is invalid, the valid ones before it are dropped, too: the codec cannot seal any longer,
// and a call must not run whose reply cannot be sent.
func (c *coded) feed(dst, in []byte) (plain []byte, whole bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := len(dst)
	dst, c.err = c.codec.Feed(dst, in)
	if c.err != nil && !errors.Is(c.err, io.EOF) {
		dst = dst[:before]
	}
	return dst, c.codec.Pending() == 0
}

// pending reports whether a part of a record has arrived.
func (c *coded) pending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.codec.Pending() > 0
}

// idle reports whether nothing has arrived that was not read.
func (c *coded) idle() bool { return c.start == len(c.plain) && c.err == nil && !c.pending() }

// Read implements [net.Conn].
func (c *coded) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for c.start == len(c.plain) {
		c.plain, c.start = c.plain[:0], 0
		c.flush()
		if c.err != nil {
			return 0, c.err
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.plain[c.start:])
	c.start += n
	return n, nil
}

// fill reads once from the socket. An error that is not final, such as that of a deadline, is returned.
func (c *coded) fill() error {
	if c.in == nil {
		c.in = make([]byte, firstIn)
	}
	n, err := c.Conn.Read(c.in)
	switch {
	case n > 0:
		c.plain, _ = c.feed(c.plain, c.in[:n])
	case errors.Is(err, io.EOF):
		c.err = c.cut()
	case err != nil:
		return err
	}
	if n == len(c.in) && n < maxIn {
		c.in = make([]byte, 2*n)
	}
	return nil
}

// cut returns the error for the end of the socket. Many clients close a TLS connection without its end: that is
// orderly between records, because messages have a length.
func (c *coded) cut() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.codec.Cut()
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) && c.codec.Pending() == 0 {
		return io.EOF
	}
	return err
}

// flush writes the messages of the codec itself.
func (c *coded) flush() {
	c.s.out.mu.Lock()
	defer c.s.out.mu.Unlock()
	c.mu.Lock()
	b := c.codec.Control(c.sealed[:0])
	c.mu.Unlock()
	if len(b) > 0 {
		c.s.renewDeadlineLocked()
		_ = c.writeSealed(b) // later writes return the error
	}
}

// Write implements [net.Conn].
func (c *coded) Write(p []byte) (n int, err error) {
	for n < len(p) {
		part := p[n:min(n+sealStep, len(p))]
		b, err := c.seal(c.sealed[:0], part)
		if err == nil {
			c.sealed = b
			err = c.writeSealed(b)
		}
		if err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

// seal appends the bytes to dst that transmit plain.
func (c *coded) seal(dst, plain []byte) ([]byte, error) {
	if c.broken != nil {
		return dst, c.broken
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.codec.Seal(dst, plain)
}

// writeSealed writes bytes of the codec. A partly written record cannot be undone: an error is final.
func (c *coded) writeSealed(b []byte) error {
	if c.broken == nil {
		_, c.broken = c.Conn.Write(b)
	}
	return c.broken
}

// size returns the bytes of the buffers.
func (c *coded) size() int { return cap(c.in) + cap(c.plain) + cap(c.sealed) }

// drop releases the buffers, which are empty.
func (c *coded) drop() { c.in, c.plain, c.start, c.sealed = nil, nil, 0, nil }

// CloseWrite ends the stream to the peer.
func (c *coded) CloseWrite() error {
	c.s.out.mu.Lock()
	defer c.s.out.mu.Unlock()
	err := c.endLocked()
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok && err == nil {
		err = w.CloseWrite()
	}
	return err
}

// endLocked writes the end of the channel.
func (c *coded) endLocked() error {
	c.mu.Lock()
	b := c.codec.End(nil)
	c.mu.Unlock()
	if len(b) == 0 {
		return nil
	}
	_ = c.Conn.SetWriteDeadline(time.Now().Add(closeTimeout))
	return c.writeSealed(b)
}

// Close ends the channel and closes the socket. It does not wait for a running write.
func (c *coded) Close() error {
	if c.s.out.mu.TryLock() {
		_ = c.endLocked()
		c.s.out.mu.Unlock()
	}
	return c.Conn.Close()
}
