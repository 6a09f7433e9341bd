package codec

import (
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/hearthhost/hearth/object"
)

// marshal is Python's marshal format, reduced to rejections. The host accepts no message in marshal, but it answers in
// marshal: with a text or an exception. Clients read such a text. It has no state.
//
// Source: doc/wire.md "Payloads"; vectors in testdata/values-marshal.jsonl.
type marshal struct{}

// ID returns [MarshalData].
func (marshal) ID() ID { return MarshalData }

// Name returns "marshal".
func (marshal) Name() string { return "marshal" }

// Decode feeds the text at the start of doc to the sink. It rejects all other values. It ignores bytes behind the
// text, as Python does.
func (marshal) Decode(doc []byte, _ Limits, sink object.Sink) error {
	const flag = 0x80 // Python numbers the value for later references
	size := 0
	if len(doc) > 0 {
		switch doc[0] &^ flag {
		case 'z', 'Z':
			size = 1
		case 'a', 'A', 'u', 't':
			size = 4
		default:
			return invalid(object.ReasonType, "marshal: only texts are accepted")
		}
	}
	if size == 0 || len(doc) < 1+size {
		return marshalTooShort()
	}
	var length [4]byte
	copy(length[:], doc[1:1+size])
	n, text := int64(binary.LittleEndian.Uint32(length[:])), doc[1+size:]
	if n > int64(len(text)) {
		return marshalTooShort()
	}
	text = text[:n:n]
	if !validWithSurrogates(text) {
		return notUTF8(0)
	}
	return sink.Text(text)
}

func marshalTooShort() error { return invalid(object.ReasonTruncated, "marshal data too short") }

// NewEncoder returns an encoder that appends one document to buf. It accepts the values of an exception: null, bool,
// text, and lists, tuples and dicts of announced size.
func (marshal) NewEncoder(buf []byte) Encoder {
	e := &marshalEncoder{}
	e.Reset(buf)
	return e
}

// marshalEncoder writes type codes that every Python 3 reads, and no references.
type marshalEncoder struct{ encoderBase }

// code counts a value and writes its type.
func (e *marshalEncoder) code(c byte) error {
	if err := e.add(); err != nil {
		return err
	}
	e.buf = append(e.buf, c)
	return nil
}

// sized writes a type and a size of four bytes.
func (e *marshalEncoder) sized(c byte, n int) error {
	if err := e.code(c); err != nil {
		return err
	}
	if n > math.MaxInt32 {
		return e.fail(object.Errorf(object.CodeTooLarge, "value of %d elements", n))
	}
	e.buf = binary.LittleEndian.AppendUint32(e.buf, uint32(n))
	return nil
}

func (e *marshalEncoder) reject() error {
	return e.fail(invalid(object.ReasonType, "marshal: only texts and exceptions can be written"))
}

func (e *marshalEncoder) Null() error { return e.code('N') }

func (e *marshalEncoder) Bool(v bool) error {
	if v {
		return e.code('T')
	}
	return e.code('F')
}

func (e *marshalEncoder) Text(v []byte) error {
	if !validWithSurrogates(v) {
		return e.fail(invalid(object.ReasonType, "marshal: a text that is not UTF-8 cannot be written"))
	}
	short := len(v) <= math.MaxUint8
	for i := 0; short && i < len(v); i++ {
		short = v[i] < utf8.RuneSelf
	}
	var err error
	if short {
		err = e.code('z')
		if err == nil {
			e.buf = append(e.buf, byte(len(v)))
		}
	} else {
		err = e.sized('u', len(v))
	}
	if err == nil {
		e.appendRaw(v)
	}
	return err
}

func (e *marshalEncoder) Int(int64) error          { return e.reject() }
func (e *marshalEncoder) BigInt([]byte) error      { return e.reject() }
func (e *marshalEncoder) Float(float64) error      { return e.reject() }
func (e *marshalEncoder) Complex(complex128) error { return e.reject() }
func (e *marshalEncoder) Bytes([]byte) error       { return e.reject() }
func (e *marshalEncoder) DateTime(float64) error   { return e.reject() }
func (e *marshalEncoder) Date(int64) error         { return e.reject() }

func (e *marshalEncoder) Begin(k object.Kind, n int) error {
	if n < 0 || k == object.SetKind || k == object.TupleKind && n > math.MaxUint8 || e.nextIsKey() {
		return e.reject()
	}
	var err error
	switch k {
	case object.DictKind:
		err = e.code('{')
	case object.TupleKind:
		err = e.code(')')
		if err == nil {
			e.buf = append(e.buf, byte(n))
		}
	default:
		err = e.sized('[', n)
	}
	if err != nil {
		return err
	}
	return e.push(k, n, len(e.buf), false)
}

func (e *marshalEncoder) End() error {
	f, err := e.pop()
	if err == nil && f.kind == object.DictKind {
		e.buf = append(e.buf, '0')
	}
	return err
}

// validWithSurrogates reports whether b is UTF-8 in which lone surrogates may be encoded.
func validWithSurrogates(b []byte) bool {
	for !utf8.Valid(b) {
		for {
			c, size := utf8.DecodeRune(b)
			if c == utf8.RuneError && size == 1 {
				break
			}
			b = b[size:]
		}
		if _, ok := surrogate(b); !ok {
			return false
		}
		b = b[3:]
	}
	return true
}
