package link

import (
	"encoding/binary"
	"errors"
)

// Encoder builds one frame. Begin, then the fields in order, then Frame.
type Encoder struct{ B []byte }

// Begin starts a frame, reusing the encoder's buffer.
func (e *Encoder) Begin(t Type, id uint64) {
	e.B = append(e.B[:0], 0, 0, 0, 0, byte(t))
	e.B = binary.LittleEndian.AppendUint64(e.B, id)
}

// Frame finishes the frame and returns it. It aliases the encoder's buffer.
func (e *Encoder) Frame() []byte { return e.FramePrefix(0) }

// FramePrefix is Frame for a frame whose last field is raw and lacks its last more bytes. They are written after it.
func (e *Encoder) FramePrefix(more int) []byte {
	binary.LittleEndian.PutUint32(e.B, uint32(len(e.B)-4+more))
	return e.B
}

// Byte appends one byte.
func (e *Encoder) Byte(v byte) { e.B = append(e.B, v) }

// Bool appends a truth value.
func (e *Encoder) Bool(v bool) {
	if v {
		e.B = append(e.B, 1)
	} else {
		e.B = append(e.B, 0)
	}
}

// Uint appends an unsigned integer.
func (e *Encoder) Uint(v uint64) { e.B = binary.AppendUvarint(e.B, v) }

// Text appends a text with its length.
func (e *Encoder) Text(s string) {
	e.Uint(uint64(len(s)))
	e.B = append(e.B, s...)
}

// Raw appends bytes without a length; only the last field of a frame may be raw.
func (e *Encoder) Raw(b []byte) { e.B = append(e.B, b...) }

// errShort is the error for a body that is shorter than its fields.
var errShort = errors.New("link: malformed frame body")

// Decoder reads the fields of a body. The first error is in Err.
type Decoder struct {
	B   []byte
	Err error
}

// Byte reads one byte.
func (d *Decoder) Byte() byte {
	if len(d.B) < 1 {
		d.Err = errShort
		return 0
	}
	v := d.B[0]
	d.B = d.B[1:]
	return v
}

// Bool reads a truth value.
func (d *Decoder) Bool() bool { return d.Byte() == 1 }

// Uint reads an unsigned integer.
func (d *Decoder) Uint() uint64 {
	v, n := binary.Uvarint(d.B)
	if n <= 0 {
		d.Err, d.B = errShort, nil
		return 0
	}
	d.B = d.B[n:]
	return v
}

// Bytes reads a text as bytes that alias the body.
func (d *Decoder) Bytes() []byte {
	n := d.Uint()
	if n > uint64(len(d.B)) {
		d.Err, d.B = errShort, nil
		return nil
	}
	v := d.B[:n]
	d.B = d.B[n:]
	return v
}

// Bounded reads a text of at most max bytes, which aliases the body. A longer one is an error.
func (d *Decoder) Bounded(max int) []byte {
	v := d.Bytes()
	if len(v) > max {
		d.fail(errShort)
		return nil
	}
	return v
}

// fail keeps the first error. No more fields are read.
func (d *Decoder) fail(err error) {
	if d.Err == nil {
		d.Err = err
	}
	d.B = nil
}

// Text reads a text.
func (d *Decoder) Text() string { return string(d.Bytes()) }

// Count reads the number of items that follow, each of at least one byte.
func (d *Decoder) Count() int {
	n := d.Uint()
	if n > uint64(len(d.B)) {
		d.Err, d.B = errShort, nil
		return 0
	}
	return int(n)
}

// Fixed fills p.
func (d *Decoder) Fixed(p []byte) {
	if len(d.B) < len(p) {
		d.Err, d.B = errShort, nil
		return
	}
	d.B = d.B[copy(p, d.B):]
}

// Raw returns the rest of the body.
func (d *Decoder) Raw() []byte {
	v := d.B
	d.B = nil
	return v
}
