package codec

import (
	"bytes"
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/hearthhost/hearth/object"
)

// serpentHeader is the first line of every written document.
const serpentHeader = "# serpent utf-8 python3.2\n"

// serpentEncoder writes the output of Python's serpent byte for byte. One difference: an imaginary part of negative
// zero is written in a form that can be read.
type serpentEncoder struct{ encoderBase }

// Reset starts a document with its header.
func (e *serpentEncoder) Reset(buf []byte) { e.encoderBase.Reset(append(buf, serpentHeader...)) }

func (e *serpentEncoder) next() error { return e.separate(",", ":") }

// unhashable starts a value that Python cannot read as a key or element of a set. label names its type in the error.
func (e *serpentEncoder) unhashable(label string) error {
	if e.err == nil && e.nextIsHashable() {
		return e.fail(invalid(object.ReasonType, "serpent: %s as a key or in a set cannot be read by Python", label))
	}
	return e.next()
}

func (e *serpentEncoder) word(s string) error {
	if err := e.next(); err != nil {
		return err
	}
	e.buf = append(e.buf, s...)
	return nil
}

func (e *serpentEncoder) Null() error { return e.word("None") }

func (e *serpentEncoder) Bool(v bool) error {
	if v {
		return e.word("True")
	}
	return e.word("False")
}

func (e *serpentEncoder) Int(v int64) error {
	if err := e.next(); err != nil {
		return err
	}
	e.buf = strconv.AppendInt(e.buf, v, 10)
	return nil
}

func (e *serpentEncoder) BigInt(decimal []byte) error {
	if err := e.next(); err != nil {
		return err
	}
	if err := checkDecimal(decimal); err != nil {
		return e.fail(err)
	}
	e.buf = append(e.buf, decimal...)
	return nil
}

func (e *serpentEncoder) Float(v float64) error {
	if math.IsNaN(v) {
		if err := e.unhashable("nan"); err != nil {
			return err
		}
		e.buf = append(e.buf, `{'__class__':'float','value':'nan'}`...)
		return nil
	}
	if err := e.next(); err != nil {
		return err
	}
	e.buf = appendSerpentFloat(e.buf, v)
	return nil
}

// appendSerpentFloat appends any float except nan. Infinity is a number that overflows.
func appendSerpentFloat(b []byte, v float64) []byte {
	switch {
	case math.IsInf(v, 1):
		return append(b, "1e30000"...)
	case math.IsInf(v, -1):
		return append(b, "-1e30000"...)
	}
	return appendPyFloat(b, v)
}

func (e *serpentEncoder) Complex(v complex128) error {
	if err := e.next(); err != nil {
		return err
	}
	re, im := real(v), imag(v)
	if math.IsNaN(re) || math.IsNaN(im) {
		return e.fail(invalid(object.ReasonType, "serpent: complex numbers with nan cannot be read by Python"))
	}
	e.buf = appendSerpentFloat(append(e.buf, '('), re)
	if !math.Signbit(im) {
		e.buf = append(e.buf, '+')
	}
	e.buf = append(appendSerpentFloat(e.buf, im), "j)"...)
	return nil
}

func (e *serpentEncoder) Text(v []byte) error {
	if err := e.next(); err != nil {
		return err
	}
	buf, ok := appendSerpentText(e.buf, v)
	if !ok {
		return e.fail(invalid(object.ReasonType, "serpent: a text that is not UTF-8 cannot be written"))
	}
	e.buf = buf
	return nil
}

// appendSerpentText appends v in the form of Python's repr. ok is false if v is not UTF-8 with surrogates.
func appendSerpentText(b, v []byte) (_ []byte, ok bool) {
	quote := serpentQuote(v)
	b = append(slices.Grow(b, len(v)+2), quote)
	special := singleQuotedRepr
	if quote == '"' {
		special = doubleQuotedRepr
	}
	run := 0
	for i := 0; ; {
		if i < len(v) && v[i] < utf8.RuneSelf { // inside a run beyond ASCII there is nothing to skip
			i += special.index(v[i:])
		}
		if i == len(v) {
			break
		}
		c, size := rune(v[i]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRune(v[i:])
			if c == utf8.RuneError && size == 1 {
				c, ok = surrogate(v[i:])
				if !ok {
					return b, false
				}
				size = 3
			}
			if unicode.IsPrint(c) {
				i += size
				continue
			}
		}
		b = append(b, v[run:i]...)
		b = appendSerpentEscape(b, c)
		i += size
		run = i
	}
	return append(append(b, v[run:]...), quote), true
}

// serpentQuote returns the quote that Python chooses for a text.
func serpentQuote(v []byte) byte {
	if bytes.IndexByte(v, '\'') >= 0 && bytes.IndexByte(v, '"') < 0 {
		return '"'
	}
	return '\''
}

func appendSerpentEscape(b []byte, c rune) []byte {
	switch {
	case c == '\\' || c == '\'':
		return append(b, '\\', byte(c))
	case c == '\n':
		return append(b, `\n`...)
	case c == '\r':
		return append(b, `\r`...)
	case c == '\t':
		return append(b, `\t`...)
	case c < 0x100:
		return appendHex(append(b, `\x`...), c, 2)
	case c < 0x10000:
		return appendHex(append(b, `\u`...), c, 4)
	}
	return appendHex(append(b, `\U`...), c, 8)
}

// Bytes writes the dict of bytes, with the blanks of the serpent library.
func (e *serpentEncoder) Bytes(v []byte) error {
	if err := e.unhashable("bytes"); err != nil {
		return err
	}
	e.buf = append(e.buf, `{'data': '`...)
	e.buf = base64.StdEncoding.AppendEncode(e.buf, v)
	e.buf = append(e.buf, `', 'encoding': 'base64'}`...)
	return nil
}

// DateTime writes the text of Python's isoformat.
func (e *serpentEncoder) DateTime(v float64) error {
	if err := e.next(); err != nil {
		return err
	}
	buf, ok := appendISODateTime(append(e.buf, '\''), v)
	if !ok {
		return e.fail(invalid(object.ReasonType, "serpent: date and time outside years 1 to 9999"))
	}
	e.buf = append(buf, '\'')
	return nil
}

// Date writes text of the form 2001-02-03.
func (e *serpentEncoder) Date(day int64) error {
	if err := e.next(); err != nil {
		return err
	}
	buf, ok := appendISODate(append(e.buf, '\''), day)
	if !ok {
		return e.fail(invalid(object.ReasonType, "serpent: date outside years 1 to 9999"))
	}
	e.buf = append(buf, '\'')
	return nil
}

func (e *serpentEncoder) Begin(k object.Kind, n int) error {
	hash := e.nextIsHashable()
	if e.err == nil && hash && k != object.TupleKind {
		return e.fail(invalid(object.ReasonType, "unhashable type: '%s'", k))
	}
	if err := e.next(); err != nil {
		return err
	}
	if err := e.push(k, n, len(e.buf), hash || k == object.SetKind); err != nil {
		return err
	}
	e.buf = append(e.buf, "?[({{"[k])
	return nil
}

// End closes a container. An empty set becomes an empty tuple, because Python has no literal for it.
func (e *serpentEncoder) End() error {
	f, err := e.pop()
	if err != nil {
		return err
	}
	switch {
	case f.kind == object.ListKind:
		e.buf = append(e.buf, ']')
	case f.kind == object.TupleKind && f.count == 1:
		e.buf = append(e.buf, ",)"...)
	case f.kind == object.TupleKind:
		e.buf = append(e.buf, ')')
	case f.kind == object.SetKind && f.count == 0:
		e.buf[f.start] = '('
		e.buf = append(e.buf, ')')
	default:
		e.buf = append(e.buf, '}')
	}
	return nil
}
