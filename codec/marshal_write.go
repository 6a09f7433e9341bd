package codec

import (
	"encoding/binary"
	"math"
	"math/big"
	"unicode/utf8"

	"github.com/hearthhost/hearth/object"
)

// marshalEncoder writes plain type codes and never references, which every Python 3
// reads. Dates, for which marshal has no code, become text in ISO form; a set that
// must be hashable becomes a frozenset.
type marshalEncoder struct{ nesting }

// code counts a value and writes its type.
func (e *marshalEncoder) code(c byte) error {
	if err := e.add(); err != nil {
		return err
	}
	e.buf = append(e.buf, c)
	return nil
}

func (e *marshalEncoder) Null() error { return e.code('N') }

func (e *marshalEncoder) Bool(v bool) error {
	if v {
		return e.code('T')
	}
	return e.code('F')
}

func (e *marshalEncoder) Int(v int64) error {
	if v >= math.MinInt32 && v <= math.MaxInt32 {
		if err := e.code('i'); err != nil {
			return err
		}
		e.buf = binary.LittleEndian.AppendUint32(e.buf, uint32(v))
		return nil
	}
	if err := e.code('l'); err != nil {
		return err
	}
	u, n := uint64(v), int32(0)
	if v < 0 {
		u = -u
	}
	at := len(e.buf)
	e.buf = append(e.buf, 0, 0, 0, 0)
	for ; u != 0; u >>= 15 {
		e.buf = binary.LittleEndian.AppendUint16(e.buf, uint16(u&0x7fff))
		n++
	}
	if v < 0 {
		n = -n
	}
	binary.LittleEndian.PutUint32(e.buf[at:], uint32(n))
	return nil
}

func (e *marshalEncoder) BigInt(decimal []byte) error {
	if e.err != nil {
		return e.err
	}
	if err := checkDecimal(decimal); err != nil {
		return e.fail(err)
	}
	v, ok := new(big.Int).SetString(string(decimal), 10)
	if !ok {
		return e.fail(object.Errorf(object.CodeInternal, "integer is not in decimal"))
	}
	if v.IsInt64() {
		return e.Int(v.Int64())
	}
	if err := e.code('l'); err != nil {
		return err
	}
	n := (v.BitLen() + 14) / 15
	if v.Sign() < 0 {
		e.buf = binary.LittleEndian.AppendUint32(e.buf, uint32(-n))
	} else {
		e.buf = binary.LittleEndian.AppendUint32(e.buf, uint32(n))
	}
	magnitude := v.Bytes()
	var acc uint32
	var bits uint
	for i := len(magnitude) - 1; i >= 0; i-- {
		acc |= uint32(magnitude[i]) << bits
		if bits += 8; bits >= 15 {
			e.buf = binary.LittleEndian.AppendUint16(e.buf, uint16(acc&0x7fff))
			acc >>= 15
			bits -= 15
			n--
		}
	}
	if n > 0 {
		e.buf = binary.LittleEndian.AppendUint16(e.buf, uint16(acc))
	}
	return nil
}

func (e *marshalEncoder) Float(v float64) error {
	if err := e.code('g'); err != nil {
		return err
	}
	e.buf = binary.LittleEndian.AppendUint64(e.buf, math.Float64bits(v))
	return nil
}

func (e *marshalEncoder) Complex(v complex128) error {
	if err := e.code('y'); err != nil {
		return err
	}
	e.buf = binary.LittleEndian.AppendUint64(e.buf, math.Float64bits(real(v)))
	e.buf = binary.LittleEndian.AppendUint64(e.buf, math.Float64bits(imag(v)))
	return nil
}

func (e *marshalEncoder) Text(v []byte) error {
	if err := e.add(); err != nil {
		return err
	}
	short := len(v) <= math.MaxUint8
	for i := 0; short && i < len(v); i++ {
		short = v[i] < utf8.RuneSelf
	}
	if short {
		e.buf = append(append(e.buf, 'z', byte(len(v))), v...)
		return nil
	}
	if !validWithSurrogates(v) {
		return e.fail(invalid("TypeError", "marshal: a text that is not UTF-8 cannot be written"))
	}
	return e.sized('u', v)
}

func (e *marshalEncoder) Bytes(v []byte) error {
	if err := e.add(); err != nil {
		return err
	}
	return e.sized('s', v)
}

// sized writes a type, a length of four bytes, and the bytes.
func (e *marshalEncoder) sized(c byte, v []byte) error {
	if len(v) > math.MaxInt32 {
		return e.fail(object.Errorf(object.CodeTooLarge, "value of %d bytes", len(v)))
	}
	e.buf = binary.LittleEndian.AppendUint32(append(e.buf, c), uint32(len(v)))
	e.raw(v)
	return nil
}

// DateTime writes text as Python's isoformat gives it.
func (e *marshalEncoder) DateTime(v float64) error {
	text, ok := appendISODateTime(nil, v)
	if !ok {
		return e.fail(invalid("TypeError", "marshal: date and time outside years 1 to 9999"))
	}
	return e.Text(text)
}

// Date writes text of the form 2001-02-03.
func (e *marshalEncoder) Date(day int64) error {
	text, ok := appendISODate(nil, day)
	if !ok {
		return e.fail(invalid("TypeError", "marshal: date outside years 1 to 9999"))
	}
	return e.Text(text)
}

// Begin opens a container; a count that is not yet known is filled in by End.
func (e *marshalEncoder) Begin(k object.Kind, n int) error {
	hash := e.atHashable()
	if e.err == nil && hash && (k == object.ListKind || k == object.DictKind) {
		return e.fail(invalid("TypeError", "unhashable type: '%s'", k))
	}
	if err := e.add(); err != nil {
		return err
	}
	if n > math.MaxInt32 {
		return e.fail(object.Errorf(object.CodeTooLarge, "%s of %d elements", k, n))
	}
	if err := e.push(k, n, len(e.buf), hash || k == object.SetKind); err != nil {
		return err
	}
	c := byte('[')
	switch {
	case k == object.DictKind:
		e.buf = append(e.buf, '{')
		return nil
	case k == object.TupleKind && n >= 0 && n <= math.MaxUint8:
		e.buf = append(e.buf, ')', byte(n))
		return nil
	case k == object.TupleKind:
		c = '('
	case k == object.SetKind && hash:
		c = '>'
	case k == object.SetKind:
		c = '<'
	}
	e.buf = binary.LittleEndian.AppendUint32(append(e.buf, c), uint32(max(n, 0)))
	return nil
}

func (e *marshalEncoder) End() error {
	f, err := e.pop()
	if err != nil {
		return err
	}
	switch {
	case f.kind == object.DictKind:
		e.buf = append(e.buf, '0')
	case f.n < 0 && f.count > math.MaxInt32:
		return e.fail(object.Errorf(object.CodeTooLarge, "%s of %d elements", f.kind, f.count))
	case f.n < 0:
		binary.LittleEndian.PutUint32(e.buf[f.start+1:], uint32(f.count))
	}
	return nil
}
