// Package value encodes values as JSON, so that a stored value can be read with any tool, and decodes them without a
// change.
//
// JSON has null, booleans, numbers, texts, lists, and dicts with texts as keys. An integer has no decimal point or
// exponent, any other number is a float. A value that JSON lacks is an object with one key:
//
//	{"$bytes": "<base64>"}    {"$int": "<decimal>"}, outside of 64 bits    {"$float": "nan"}, "inf" or "-inf"
//	{"$complex": [1.0, 2.0]}  {"$datetime": <seconds since 1970>}          {"$date": <day, 1 is 0001-01-01>}
//	{"$tuple": […]}           {"$set": […]}
//
// A key of a dict that starts with "$" has a second "$" in front. A key that is not a text is "$int:5", "$float:0.5",
// "$bool:true", "$null:" or "$bytes:<base64>".
package value

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/hearthhost/hearth/object"
)

// MaxDepth bounds the depth of containers.
const MaxDepth = 64

// Encoder is the sink that writes one value. The zero value is ready for use.
type Encoder struct {
	Max int // bytes of the document; 0: no bound

	buf  []byte
	open []container
	err  error
}

// container is an open container.
type container struct {
	kind object.Kind
	n    int // values so far, keys included
}

var _ object.Sink = (*Encoder)(nil)

// Reset prepares the encoder for another value.
func (e *Encoder) Reset() { e.buf, e.open, e.err = e.buf[:0], e.open[:0], nil }

// Document returns the document, which is valid until Reset.
func (e *Encoder) Document() []byte { return e.buf }

// invalid stores and returns an error with CodeInvalid.
func (e *Encoder) invalid(format string, args ...any) error {
	e.err = object.Errorf(object.CodeInvalid, format, args...)
	return e.err
}

// next begins a value. key reports that it is a key of a dict.
func (e *Encoder) next() (key bool) {
	if len(e.open) == 0 {
		return false
	}
	c := &e.open[len(e.open)-1]
	if c.kind == object.DictKind {
		key = c.n%2 == 0
		if key && c.n > 0 {
			e.buf = append(e.buf, ", "...)
		} else if !key {
			e.buf = append(e.buf, ": "...)
		}
	} else if c.n > 0 {
		e.buf = append(e.buf, ", "...)
	}
	c.n++
	return key
}

// end ends a value.
func (e *Encoder) end() error {
	if e.err == nil && e.Max > 0 && len(e.buf) > e.Max {
		e.err = object.Errorf(object.CodeTooLarge, "takes more than %d bytes once it is written (store_value)", e.Max)
	}
	return e.err
}

// word writes a literal. As a key it is a text of that kind.
func (e *Encoder) word(kind, text string) error {
	if e.next() {
		e.buf = append(append(append(append(append(e.buf, `"$`...), kind...), ':'), text...), '"')
	} else {
		e.buf = append(e.buf, text...)
	}
	return e.end()
}

// tagged writes a value that JSON lacks, as an object or as a key.
func (e *Encoder) tagged(kind, text string) error {
	if e.next() {
		e.buf = append(append(append(append(append(e.buf, `"$`...), kind...), ':'), text...), '"')
	} else {
		e.buf = append(append(append(append(append(e.buf, `{"$`...), kind...), `": "`...), text...), `"}`...)
	}
	return e.end()
}

// Null implements [object.Sink].
func (e *Encoder) Null() error {
	if e.next() {
		e.buf = append(e.buf, `"$null:"`...)
	} else {
		e.buf = append(e.buf, "null"...)
	}
	return e.end()
}

// Bool implements [object.Sink].
func (e *Encoder) Bool(v bool) error { return e.word("bool", strconv.FormatBool(v)) }

// Int implements [object.Sink].
func (e *Encoder) Int(v int64) error { return e.word("int", strconv.FormatInt(v, 10)) }

// BigInt implements [object.Sink].
func (e *Encoder) BigInt(decimal []byte) error { return e.tagged("int", string(decimal)) }

// Float implements [object.Sink].
func (e *Encoder) Float(v float64) error {
	if text, ok := special(v); ok {
		return e.tagged("float", text)
	}
	return e.word("float", string(appendFloat(nil, v)))
}

// special returns the name of a number that JSON lacks.
func special(v float64) (string, bool) {
	switch {
	case math.IsNaN(v):
		return "nan", true
	case math.IsInf(v, 1):
		return "inf", true
	case math.IsInf(v, -1):
		return "-inf", true
	}
	return "", false
}

// appendFloat writes a float so that it is not read as an integer.
func appendFloat(to []byte, v float64) []byte {
	start := len(to)
	to = strconv.AppendFloat(to, v, 'g', -1, 64)
	for _, c := range to[start:] {
		if c == '.' || c == 'e' {
			return to
		}
	}
	return append(to, ".0"...)
}

// Complex implements [object.Sink].
func (e *Encoder) Complex(v complex128) error {
	_, re := special(real(v))
	_, im := special(imag(v))
	if re || im {
		return e.invalid("is a complex number that is not finite, which cannot be stored")
	}
	if e.next() {
		return e.invalid("has a complex number as a key, which cannot be stored")
	}
	e.buf = appendFloat(append(e.buf, `{"$complex": [`...), real(v))
	e.buf = append(appendFloat(append(e.buf, ", "...), imag(v)), "]}"...)
	return e.end()
}

// Text implements [object.Sink].
func (e *Encoder) Text(v []byte) error {
	if e.next() && len(v) > 0 && v[0] == '$' {
		e.buf = append(e.buf, `"$`...)
	} else {
		e.buf = append(e.buf, '"')
	}
	var ok bool
	if e.buf, ok = appendText(e.buf, v); !ok {
		return e.invalid("is a text that is not UTF-8")
	}
	e.buf = append(e.buf, '"')
	return e.end()
}

// appendText appends a text without its quotes. ok is false if it is not UTF-8 with lone surrogates.
func appendText(b, v []byte) (_ []byte, ok bool) {
	const hex = "0123456789abcdef"
	for i := 0; i < len(v); {
		c := v[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, n := utf8.DecodeRune(v[i:])
			if r != utf8.RuneError || n > 1 {
				b = append(b, v[i:i+n]...)
				i += n
				continue
			}
			if len(v)-i < 3 || c != 0xED || v[i+1]&0xE0 != 0xA0 || v[i+2]&0xC0 != 0x80 {
				return b, false
			}
			u := uint(0xD000) | uint(v[i+1]&0x3F)<<6 | uint(v[i+2]&0x3F)
			b = append(b, '\\', 'u', hex[u>>12], hex[u>>8&15], hex[u>>4&15], hex[u&15])
			i += 3
			continue
		}
		i++
	}
	return b, true
}

// Bytes implements [object.Sink].
func (e *Encoder) Bytes(v []byte) error {
	return e.tagged("bytes", base64.StdEncoding.EncodeToString(v))
}

// DateTime implements [object.Sink].
func (e *Encoder) DateTime(v float64) error {
	if _, ok := special(v); ok {
		return e.invalid("is a date that is not finite, which cannot be stored")
	}
	return e.number("datetime", appendFloat(nil, v))
}

// Date implements [object.Sink].
func (e *Encoder) Date(day int64) error { return e.number("date", strconv.AppendInt(nil, day, 10)) }

// number writes an object with a number.
func (e *Encoder) number(kind string, text []byte) error {
	if e.next() {
		return e.invalid("has a %s as a key, which cannot be stored", kind)
	}
	e.buf = append(append(append(append(append(e.buf, `{"$`...), kind...), `": `...), text...), '}')
	return e.end()
}

// Begin implements [object.Sink].
func (e *Encoder) Begin(k object.Kind, _ int) error {
	if e.next() {
		return e.invalid("has a table as a key, which cannot be stored")
	}
	if len(e.open) >= MaxDepth {
		return e.invalid("is nested deeper than %d", MaxDepth)
	}
	switch k {
	case object.DictKind:
		e.buf = append(e.buf, '{')
	case object.TupleKind:
		e.buf = append(e.buf, `{"$tuple": [`...)
	case object.SetKind:
		e.buf = append(e.buf, `{"$set": [`...)
	default:
		e.buf = append(e.buf, '[')
	}
	e.open = append(e.open, container{kind: k})
	return e.end()
}

// End implements [object.Sink].
func (e *Encoder) End() error {
	last := len(e.open) - 1
	if last < 0 {
		return e.invalid("ends a container that is not open")
	}
	switch e.open[last].kind {
	case object.DictKind:
		e.buf = append(e.buf, '}')
	case object.TupleKind, object.SetKind:
		e.buf = append(e.buf, "]}"...)
	default:
		e.buf = append(e.buf, ']')
	}
	e.open = e.open[:last]
	return e.end()
}
