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

// compressAbove is the payload size in bytes from which compression is tried: the larger
// of what the two generations' own peers use.
const compressAbove = 200

// inflater is a zlib reader with its input; both are reused.
type inflater struct {
	in  bytes.Reader
	out io.ReadCloser
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

// Inflate appends to dst what the zlib data in payload unpacks to, at most max bytes; 0
// means [DefaultMaxBytes]. dst grows with what was unpacked and is never far larger, so
// that a small payload cannot claim much memory. dst must not overlap payload.
//
// Data that is not zlib, is cut short, has a wrong checksum or anything after its end is
// CodeInvalid; more than max bytes are CodeTooLarge. dst is then returned unchanged.
func Inflate(dst []byte, payload []byte, max int) ([]byte, error) {
	return InflateGuarded(dst, payload, max, nil)
}

// Guard watches over an inflation. It sees what is unpacked before there is more.
type Guard interface {
	// Head gets the first [HeadBytes] bytes, if there are as many.
	Head(head []byte) error
	// Grow is called before the memory of the result grows by so many bytes.
	Grow(n int) error
}

// HeadBytes is how much of a payload is unpacked before its [Guard] has seen what it begins with.
const HeadBytes = 12 << 10

// InflateGuarded is [Inflate] under a guard, whose errors it returns unchanged; nil is none.
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
	out, room, head := dst, max, HeadBytes
	if g == nil {
		head = -1 // seen
	}
	for {
		// One byte more than allowed tells a full buffer from an overflow.
		if len(out) == cap(out) {
			more := min(room+1, 512+len(out)-len(dst))
			if g != nil {
				if err := g.Grow(more); err != nil {
					return dst, err
				}
			}
			out = slices.Grow(out, more)
		}
		to := min(cap(out), len(out)+room+1)
		if head >= 0 {
			to = min(to, len(dst)+head)
		}
		n, err := r.Read(out[len(out):to])
		out, room = out[:len(out)+n], room-n
		switch {
		case room < 0:
			return dst, &object.Error{Code: object.CodeTooLarge, Class: ClassTooLarge,
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
	return &object.Error{Code: object.CodeInvalid, Class: "ValueError", Msg: msg, Err: cause}
}

// deflater is a zlib writer that appends to a slice; both are reused.
type deflater struct {
	w   *zlib.Writer
	out []byte
}

// Write appends p.
func (d *deflater) Write(p []byte) (int, error) {
	d.out = append(d.out, p...)
	return len(p), nil
}

// deflateLevel is what Pyro5 uses.
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

// AppendCompressed is [Append] for senders who want compression: the payload is written
// as zlib data, with the flag Compressed, if it has at least 200 bytes and gets shorter.
// m is left as it was. A message that says Compressed already is only appended.
func AppendCompressed(dst []byte, m *Message) ([]byte, error) {
	if len(m.Payload) < compressAbove || m.Flags&Compressed != 0 {
		return Append(dst, m)
	}
	packed := packs.Get().(*[]byte)
	defer packs.Put(packed)
	*packed = Deflate((*packed)[:0], m.Payload)
	if len(*packed) >= len(m.Payload) {
		return Append(dst, m)
	}
	c := *m
	c.Flags |= Compressed
	c.Payload = *packed
	return Append(dst, &c)
}

var packs = sync.Pool{New: func() any { return new([]byte) }}
