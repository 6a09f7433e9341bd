package wire

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/hearthhost/hearth/object"
)

// compressAbove is the smallest payload, in bytes, that is compressed: the larger threshold of the two generations.
const compressAbove = 200

// inflater is a reusable zlib reader with its input.
type inflater struct {
	in  bytes.Reader
	out io.ReadCloser
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

// Inflate appends the inflated zlib data of payload to dst, at most max bytes; 0 means [DefaultMaxBytes]. The memory
// of dst grows with the inflated bytes, so a small payload cannot claim much memory. dst must not overlap payload.
//
// Malformed or truncated data, a wrong checksum and trailing bytes are CodeInvalid. More than max bytes are
// CodeTooLarge. After an error dst is returned unchanged.
func Inflate(dst []byte, payload []byte, max int) ([]byte, error) {
	return InflateGuarded(dst, payload, max, nil)
}

// Guard controls an inflation. It is called before the result grows.
type Guard interface {
	// Head receives the first [HeadBytes] bytes of a result of at least that size.
	Head(head []byte) error
	// Grow is called before the memory of the result grows by n bytes.
	Grow(n int) error
}

// HeadBytes is the size of the part that a [Guard] inspects before the rest of a payload is inflated.
const HeadBytes = 12 << 10

// InflateGuarded is [Inflate] with a guard, whose errors it returns unchanged. A nil guard is allowed.
func InflateGuarded(dst []byte, payload []byte, max int, g Guard) ([]byte, error) {
	if max <= 0 {
		max = DefaultMaxBytes
	}
	f := inflaters.Get().(*inflater)
	defer func() {
		f.in.Reset(nil)
		inflaters.Put(f)
	}()
	f.in.Reset(payload)
	var err error
	if f.out == nil {
		f.out, err = zlib.NewReader(&f.in)
	} else {
		err = f.out.(zlib.Resetter).Reset(&f.in, nil)
	}
	if err != nil {
		return dst, broken("Error -3 while decompressing data: incorrect header check", err)
	}
	out, err := inflate(dst, f.out, max, g)
	if err != nil {
		return dst, err
	}
	if f.in.Len() > 0 {
		return dst, broken("data after the end of the compressed payload", nil)
	}
	return out, nil
}

func inflate(dst []byte, r io.Reader, max int, g Guard) ([]byte, error) {
	out, left := dst, max // left may become -1
	head := HeadBytes
	if g == nil {
		head = -1 // not required
	}
	for {
		// Room for one byte above the bound distinguishes a full result from an overflow.
		if len(out) == cap(out) {
			more := min(left+1, 512+len(out)-len(dst))
			if g != nil {
				if err := g.Grow(more); err != nil {
					return dst, err
				}
			}
			out = slices.Grow(out, more)
		}
		end := min(cap(out), len(out)+left+1)
		if head >= 0 {
			end = min(end, len(dst)+head)
		}
		n, err := r.Read(out[len(out):end])
		out, left = out[:len(out)+n], left-n
		switch {
		case left < 0:
			return dst, &object.Error{Code: object.CodeTooLarge, Reason: object.ReasonMessage,
				Msg: fmt.Sprintf("message too large once decompressed (max=%d)", max)}
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return dst, broken("broken compressed payload", err)
		}
		if len(out)-len(dst) == head {
			if err := g.Head(out[len(dst):]); err != nil {
				return dst, err
			}
			head = -1
		}
	}
}

func broken(msg string, cause error) error {
	return &object.Error{Code: object.CodeInvalid, Reason: object.ReasonValue, Msg: msg, Err: cause}
}

// deflater is a reusable zlib writer that appends to a slice.
type deflater struct {
	w   *zlib.Writer
	out []byte
}

// Write appends p.
func (d *deflater) Write(p []byte) (int, error) {
	d.out = append(d.out, p...)
	return len(p), nil
}

// deflateLevel is the compression level of Pyro5.
const deflateLevel = 4

var deflaters = sync.Pool{New: func() any {
	d := new(deflater)
	d.w, _ = zlib.NewWriterLevel(d, deflateLevel) // the level is valid
	return d
}}

// Deflate appends payload to dst as zlib data. dst must not overlap payload.
func Deflate(dst []byte, payload []byte) []byte {
	d := deflaters.Get().(*deflater)
	d.out = dst
	d.w.Reset(d)
	_, _ = d.w.Write(payload) // writes to memory do not fail
	_ = d.w.Close()
	dst, d.out = d.out, nil
	deflaters.Put(d)
	return dst
}

// AppendCompressed is [Append] with compression. A payload of at least 200 bytes that becomes shorter is written as
// zlib data with the flag Compressed. m is not changed. A message with the flag Compressed is appended as it is.
func AppendCompressed(dst []byte, m *Message) ([]byte, error) {
	if len(m.Payload) < compressAbove || m.Flags&Compressed != 0 {
		return Append(dst, m)
	}
	packed := packBuffers.Get().(*[]byte)
	defer packBuffers.Put(packed)
	*packed = Deflate((*packed)[:0], m.Payload)
	if len(*packed) >= len(m.Payload) {
		return Append(dst, m)
	}
	c := *m
	c.Flags |= Compressed
	c.Payload = *packed
	return Append(dst, &c)
}

var packBuffers = sync.Pool{New: func() any { return new([]byte) }}
