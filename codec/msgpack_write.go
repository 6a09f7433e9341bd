package codec

import (
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/hearthhost/hearth/object"
)

// msgpackEncoder writes the forms of Python's packer: the shortest integers and lengths, and doubles. Keys must be
// texts or bytes: Python rejects others when it reads. Tuples and sets become arrays.
type msgpackEncoder struct{ encoderBase }

// nonKey counts a value that cannot be a key. label names its type in the error.
func (e *msgpackEncoder) nonKey(label string) error {
	if e.err == nil && e.nextIsKey() {
		return e.fail(invalid(object.ReasonType,
			"msgpack: %s as a key cannot be read by Python, only texts and bytes can", label))
	}
	return e.add()
}

func (e *msgpackEncoder) Null() error {
	if err := e.nonKey("None"); err != nil {
		return err
	}
	e.buf = append(e.buf, 0xc0)
	return nil
}

func (e *msgpackEncoder) Bool(v bool) error {
	if err := e.nonKey("bool"); err != nil {
		return err
	}
	if v {
		e.buf = append(e.buf, 0xc3)
	} else {
		e.buf = append(e.buf, 0xc2)
	}
	return nil
}

func (e *msgpackEncoder) Int(v int64) error {
	if err := e.nonKey("int"); err != nil {
		return err
	}
	e.buf = appendMsgpackInt(e.buf, v)
	return nil
}

func appendMsgpackInt(b []byte, v int64) []byte {
	switch {
	case v >= 0:
		return appendMsgpackUint(b, uint64(v))
	case v >= -32:
		return append(b, byte(v))
	case v >= math.MinInt8:
		return append(b, 0xd0, byte(v))
	case v >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(b, 0xd1), uint16(v))
	case v >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(b, 0xd2), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(v))
}

func appendMsgpackUint(b []byte, u uint64) []byte {
	switch {
	case u <= 0x7f:
		return append(b, byte(u))
	case u <= math.MaxUint8:
		return append(b, 0xcc, byte(u))
	case u <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(u))
	case u <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(u))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xcf), u)
}

func (e *msgpackEncoder) BigInt(decimal []byte) error {
	if err := e.nonKey("int"); err != nil {
		return err
	}
	if err := checkDecimal(decimal); err != nil {
		return e.fail(err)
	}
	if neg, u, ok := smallDecimal(decimal); ok {
		if v, ok := fitsInt64(neg, u); ok {
			e.buf = appendMsgpackInt(e.buf, v)
			return nil
		}
		if !neg {
			e.buf = appendMsgpackUint(e.buf, u)
			return nil
		}
	}
	// The decimal has at least 20 characters: no fixed size fits.
	if n := len(decimal); n <= math.MaxUint8 {
		e.buf = append(e.buf, 0xc7, byte(n))
	} else {
		e.buf = binary.BigEndian.AppendUint16(append(e.buf, 0xc8), uint16(n))
	}
	e.buf = append(append(e.buf, extBigInt), decimal...)
	return nil
}

func (e *msgpackEncoder) Float(v float64) error {
	if err := e.nonKey("float"); err != nil {
		return err
	}
	e.buf = binary.BigEndian.AppendUint64(append(e.buf, 0xcb), math.Float64bits(v))
	return nil
}

func (e *msgpackEncoder) Complex(v complex128) error {
	if err := e.nonKey("complex"); err != nil {
		return err
	}
	e.buf = binary.LittleEndian.AppendUint64(append(e.buf, 0xd8, extComplex), math.Float64bits(real(v)))
	e.buf = binary.LittleEndian.AppendUint64(e.buf, math.Float64bits(imag(v)))
	return nil
}

func (e *msgpackEncoder) Text(v []byte) error {
	if err := e.add(); err != nil {
		return err
	}
	if !utf8.Valid(v) {
		return e.fail(invalid(object.ReasonType, "msgpack: a text with lone surrogates cannot be written"))
	}
	switch n := len(v); {
	case n <= 31:
		e.buf = append(e.buf, 0xa0|byte(n))
	case n <= math.MaxUint8:
		e.buf = append(e.buf, 0xd9, byte(n))
	case n <= math.MaxUint16:
		e.buf = binary.BigEndian.AppendUint16(append(e.buf, 0xda), uint16(n))
	case n <= math.MaxUint32:
		e.buf = binary.BigEndian.AppendUint32(append(e.buf, 0xdb), uint32(n))
	default:
		return e.fail(object.Errorf(object.CodeTooLarge, "text of %d bytes", n))
	}
	e.appendRaw(v)
	return nil
}

func (e *msgpackEncoder) Bytes(v []byte) error {
	if err := e.add(); err != nil {
		return err
	}
	switch n := len(v); {
	case n <= math.MaxUint8:
		e.buf = append(e.buf, 0xc4, byte(n))
	case n <= math.MaxUint16:
		e.buf = binary.BigEndian.AppendUint16(append(e.buf, 0xc5), uint16(n))
	case n <= math.MaxUint32:
		e.buf = binary.BigEndian.AppendUint32(append(e.buf, 0xc6), uint32(n))
	default:
		return e.fail(object.Errorf(object.CodeTooLarge, "bytes of length %d", n))
	}
	e.appendRaw(v)
	return nil
}

func (e *msgpackEncoder) DateTime(v float64) error {
	if err := e.nonKey("datetime"); err != nil {
		return err
	}
	if !validDateTime(v) {
		return e.fail(invalid(object.ReasonType, "msgpack: date and time outside years 1 to 9999"))
	}
	e.buf = binary.LittleEndian.AppendUint64(append(e.buf, 0xd7, extDateTime), math.Float64bits(v))
	return nil
}

func (e *msgpackEncoder) Date(day int64) error {
	if err := e.nonKey("date"); err != nil {
		return err
	}
	if !validDate(day) {
		return e.fail(invalid(object.ReasonType, "msgpack: date outside years 1 to 9999"))
	}
	e.buf = binary.LittleEndian.AppendUint64(append(e.buf, 0xd7, extDate), uint64(day))
	return nil
}

// Begin writes the header if n is known, otherwise a placeholder of one byte.
func (e *msgpackEncoder) Begin(k object.Kind, n int) error {
	if err := e.nonKey(k.String()); err != nil {
		return err
	}
	if err := e.push(k, n, len(e.buf), false); err != nil {
		return err
	}
	if n < 0 {
		e.buf = append(e.buf, 0)
		return nil
	}
	if n > math.MaxUint32 {
		return e.fail(object.Errorf(object.CodeTooLarge, "%s of %d elements", k, n))
	}
	e.buf = appendMsgpackHeader(e.buf, k, n)
	return nil
}

// End writes the header of a container of unknown size. A header of more than one byte moves the content.
func (e *msgpackEncoder) End() error {
	f, err := e.pop()
	if err != nil || f.n >= 0 {
		return err
	}
	n := f.count
	if f.kind == object.DictKind {
		n /= 2
	}
	if n > math.MaxUint32 {
		return e.fail(object.Errorf(object.CodeTooLarge, "%s of %d elements", f.kind, n))
	}
	var room [5]byte
	head := appendMsgpackHeader(room[:0], f.kind, n)
	if more := len(head) - 1; more > 0 {
		e.buf = append(e.buf, room[:more]...)
		copy(e.buf[f.start+len(head):], e.buf[f.start+1:len(e.buf)-more])
		if e.borrowedAt > f.start {
			e.borrowedAt += more
		}
	}
	copy(e.buf[f.start:], head)
	return nil
}

func appendMsgpackHeader(b []byte, k object.Kind, n int) []byte {
	fix, long := byte(0x90), byte(0xdc)
	if k == object.DictKind {
		fix, long = 0x80, 0xde
	}
	switch {
	case n <= 15:
		return append(b, fix|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, long), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, long+1), uint32(n))
}
