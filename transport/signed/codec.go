package signed

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"slices"
)

// opener verifies the records of one direction. It does no I/O.
type opener struct {
	tagger tagger
	err    error // final error
}

func (o *opener) init(key []byte) { o.tagger.mac = hmac.New(sha256.New, key) }

// open verifies the record at the start of b and returns its bytes, which alias b, and its size. If b ends before the
// record does, size is 0 and need is a number of bytes above len(b) without which open cannot continue. The final
// record is io.EOF. Every error is final.
func (o *opener) open(b []byte) (plain []byte, size, need int, err error) {
	if o.err != nil {
		return nil, 0, 0, o.err
	}
	if len(b) < lengthBytes {
		return nil, 0, lengthBytes, nil
	}
	n := int64(binary.BigEndian.Uint32(b))
	if n > MaxRecord {
		o.err = fmt.Errorf("%w: a record of %d bytes (at most %d)", ErrIntegrity, n, MaxRecord)
		return nil, 0, 0, o.err
	}
	end := lengthBytes + int(n)
	if len(b) < end+macBytes {
		return nil, 0, end + macBytes, nil
	}
	switch {
	case !hmac.Equal(b[end:end+macBytes], o.tagger.next(b[:end])):
		o.err = ErrIntegrity
	case n == 0:
		o.err = io.EOF
	}
	if o.err != nil {
		return nil, 0, 0, o.err
	}
	return b[lengthBytes:end:end], end + macBytes, 0, nil
}

// sealer makes the records of one direction. It does no I/O.
type sealer struct {
	tagger tagger
	err    error // final error
}

func (s *sealer) init(key []byte) { s.tagger.mac = hmac.New(sha256.New, key) }

// record appends one record to dst. plain has at most MaxRecord bytes; the final record has none.
func (s *sealer) record(dst, plain []byte) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(plain)))
	dst = append(dst, plain...)
	return append(dst, s.tagger.next(dst[start:])...)
}

// tagger computes the tags of one direction.
type tagger struct {
	mac     hash.Hash
	counter uint64
	head    [8]byte
	tag     [macBytes]byte
}

// next returns the tag of the next record, given its length and bytes. The result is valid until the next call.
func (t *tagger) next(record []byte) []byte {
	t.mac.Reset()
	binary.BigEndian.PutUint64(t.head[:], t.counter)
	t.counter++
	t.mac.Write(t.head[:])
	t.mac.Write(record)
	return t.mac.Sum(t.tag[:0])
}

// Codec is both directions of a channel without a connection: a [github.com/hearthhost/hearth/transport/channel.Codec].
// Not safe for concurrent use.
type Codec struct {
	in      opener
	out     sealer
	plain   []byte // that the connection had verified, and nothing has read
	partial []byte // start of an incomplete record
}

// Codec returns the codec of a connection after its handshake. The connection must not be used otherwise from now on.
// It may have read bytes behind the last record: call Feed without bytes once. ok is false before the handshake.
func (c *Conn) Codec() (codec *Codec, ok bool) {
	if !c.done.Load() {
		return nil, false
	}
	r := &c.in
	return &Codec{
		in:      r.opener,
		out:     c.out.sealer,
		plain:   slices.Clone(r.plain),
		partial: slices.Clone(r.buf[r.start:r.end]),
	}, true
}

// Feed takes the next bytes of the stream, and appends the plaintext that they complete to dst. An error is final:
// io.EOF after the final record, otherwise [ErrIntegrity]. Plaintext of the records before it is returned with it.
func (c *Codec) Feed(dst, in []byte) ([]byte, error) {
	dst = append(dst, c.plain...)
	c.plain = nil
	if len(c.partial) > 0 {
		c.partial = append(c.partial, in...)
		in = c.partial
	}
	for {
		plain, size, need, err := c.in.open(in)
		if err != nil {
			c.partial = nil
			if !errors.Is(err, io.EOF) { // wrong input ends both directions
				c.out.err = err
			}
			return dst, err
		}
		if need > 0 {
			c.keep(in)
			return dst, nil
		}
		dst = append(dst, plain...)
		in = in[size:]
	}
}

// keep keeps the start of an incomplete record, which may be a part of c.partial.
func (c *Codec) keep(rest []byte) {
	if len(rest) == 0 {
		c.partial = nil
		return
	}
	c.partial = append(c.partial[:0], rest...)
}

// Pending returns the number of fed bytes that belong to an incomplete record.
func (c *Codec) Pending() int { return len(c.partial) }

// Cut returns the error of a stream that ended after the bytes that were fed: nil after the final record.
func (c *Codec) Cut() error {
	if errors.Is(c.in.err, io.EOF) {
		return nil
	}
	return errCut
}

// Seal appends the records of plain to dst. The error is [net.ErrClosed] after End, and that of Feed after wrong input.
func (c *Codec) Seal(dst, plain []byte) ([]byte, error) {
	if c.out.err != nil {
		return dst, c.out.err
	}
	for len(plain) > 0 {
		n := min(len(plain), MaxRecord)
		dst = c.out.record(dst, plain[:n])
		plain = plain[n:]
	}
	return dst, nil
}

// End appends the final record to dst. Further calls append nothing.
func (c *Codec) End(dst []byte) []byte {
	if c.out.err != nil {
		return dst
	}
	c.out.err = net.ErrClosed
	return c.out.record(dst, nil)
}

// Control appends nothing: the channel sends records only.
func (c *Codec) Control(dst []byte) []byte { return dst }
