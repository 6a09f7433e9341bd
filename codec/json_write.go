package codec

import (
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/hearthhost/hearth/object"
)

// jsonEncoder writes the output of Python's json.dumps with ensure_ascii off. Tuples and sets become lists, dates
// become texts in ISO form, and scalar keys become texts. Lone surrogates are not UTF-8 and are escaped.
type jsonEncoder struct{ encoderBase }

func (e *jsonEncoder) next() error { return e.separate(", ", ": ") }

// word writes a literal, in quotes if it is a key.
func (e *jsonEncoder) word(s string) error {
	key := e.nextIsKey()
	if err := e.next(); err != nil {
		return err
	}
	if key {
		e.buf = append(append(append(e.buf, '"'), s...), '"')
	} else {
		e.buf = append(e.buf, s...)
	}
	return nil
}

// nonKey starts a value that cannot be a key. label names its type in the error.
func (e *jsonEncoder) nonKey(label string) error {
	if e.err == nil && e.nextIsKey() {
		return e.fail(invalid(object.ReasonType, "keys must be str, int, float, bool or None, not %s", label))
	}
	return e.next()
}

func (e *jsonEncoder) Null() error { return e.word("null") }

func (e *jsonEncoder) Bool(v bool) error {
	if v {
		return e.word("true")
	}
	return e.word("false")
}

func (e *jsonEncoder) Int(v int64) error {
	key := e.nextIsKey()
	if err := e.next(); err != nil {
		return err
	}
	e.quote(key)
	e.buf = strconv.AppendInt(e.buf, v, 10)
	e.quote(key)
	return nil
}

func (e *jsonEncoder) quote(key bool) {
	if key {
		e.buf = append(e.buf, '"')
	}
}

func (e *jsonEncoder) BigInt(decimal []byte) error {
	key := e.nextIsKey()
	if err := e.next(); err != nil {
		return err
	}
	if err := checkDecimal(decimal); err != nil {
		return e.fail(err)
	}
	e.quote(key)
	e.buf = append(e.buf, decimal...)
	e.quote(key)
	return nil
}

func (e *jsonEncoder) Float(v float64) error {
	switch {
	case math.IsNaN(v):
		return e.word("NaN")
	case math.IsInf(v, 1):
		return e.word("Infinity")
	case math.IsInf(v, -1):
		return e.word("-Infinity")
	}
	key := e.nextIsKey()
	if err := e.next(); err != nil {
		return err
	}
	e.quote(key)
	e.buf = appendPyFloat(e.buf, v)
	e.quote(key)
	return nil
}

func (e *jsonEncoder) Complex(complex128) error {
	if e.err != nil {
		return e.err
	}
	return e.fail(invalid(object.ReasonType, "json: complex numbers cannot be written"))
}

func (e *jsonEncoder) Text(v []byte) error {
	if err := e.next(); err != nil {
		return err
	}
	buf, ok := appendJSONText(e.buf, v)
	if !ok {
		return e.fail(invalid(object.ReasonType, "json: a text that is not UTF-8 cannot be written"))
	}
	e.buf = buf
	return nil
}

// appendJSONText appends v in quotes. ok is false if v is not UTF-8 with surrogates.
func appendJSONText(b, v []byte) (_ []byte, ok bool) {
	b = append(slices.Grow(b, len(v)+2), '"')
	special := doubleQuoted
	checked := false // whether v is UTF-8 is checked once only
	run := 0
	for i := 0; ; {
		i += special.index(v[i:])
		if i == len(v) {
			break
		}
		c := v[i]
		if c >= utf8.RuneSelf {
			if !checked && utf8.Valid(v[i:]) {
				special = doubleQuotedWide // all of these bytes are copied
				continue
			}
			checked = true
			if r, size := utf8.DecodeRune(v[i:]); r != utf8.RuneError || size != 1 {
				i += size
				continue
			}
			s, ok := surrogate(v[i:])
			if !ok {
				return b, false
			}
			b = appendHex(append(append(b, v[run:i]...), `\u`...), s, 4)
			i += 3
			run = i
			continue
		}
		b = append(b, v[run:i]...)
		i++
		run = i
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		case '\f':
			b = append(b, `\f`...)
		case '\b':
			b = append(b, `\b`...)
		default:
			b = appendHex(append(b, `\u`...), rune(c), 4)
		}
	}
	return append(append(b, v[run:]...), '"'), true
}

// appendHex appends n hexadecimal digits of c.
func appendHex(b []byte, c rune, n int) []byte {
	for n--; n >= 0; n-- {
		b = append(b, "0123456789abcdef"[c>>(4*n)&0xf])
	}
	return b
}

// Bytes writes the dict of bytes.
func (e *jsonEncoder) Bytes(v []byte) error {
	if err := e.nonKey("bytes"); err != nil {
		return err
	}
	e.buf = append(e.buf, `{"data": "`...)
	e.buf = base64.StdEncoding.AppendEncode(e.buf, v)
	e.buf = append(e.buf, `", "encoding": "base64"}`...)
	return nil
}

func (e *jsonEncoder) DateTime(v float64) error {
	if err := e.nonKey("datetime"); err != nil {
		return err
	}
	buf, ok := appendISODateTime(append(e.buf, '"'), v)
	if !ok {
		return e.fail(invalid(object.ReasonType, "json: date and time outside years 1 to 9999"))
	}
	e.buf = append(buf, '"')
	return nil
}

func (e *jsonEncoder) Date(day int64) error {
	if err := e.nonKey("date"); err != nil {
		return err
	}
	buf, ok := appendISODate(append(e.buf, '"'), day)
	if !ok {
		return e.fail(invalid(object.ReasonType, "json: date outside years 1 to 9999"))
	}
	e.buf = append(buf, '"')
	return nil
}

func (e *jsonEncoder) Begin(k object.Kind, n int) error {
	if err := e.nonKey(k.String()); err != nil {
		return err
	}
	if err := e.push(k, n, len(e.buf), false); err != nil {
		return err
	}
	if k == object.DictKind {
		e.buf = append(e.buf, '{')
	} else {
		e.buf = append(e.buf, '[')
	}
	return nil
}

func (e *jsonEncoder) End() error {
	f, err := e.pop()
	if err != nil {
		return err
	}
	if f.kind == object.DictKind {
		e.buf = append(e.buf, '}')
	} else {
		e.buf = append(e.buf, ']')
	}
	return nil
}
