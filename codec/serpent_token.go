package codec

import (
	"math"

	"github.com/hearthhost/hearth/object"
)

// serpentToken is a scalar that was read and not yet fed to the sink.
type serpentToken struct {
	kind    byte // one of the constants below
	integer int64
	re, im  float64
	b       []byte // text, bytes, or the decimal of an integer beyond int64
}

const (
	tokenNull = iota
	tokenTrue
	tokenFalse
	tokenInt
	tokenBigInt
	tokenFloat
	tokenComplex
	tokenText
	tokenBytes
)

// emit feeds the last scalar to the sink.
func (r *serpentReader) emit(sink object.Sink) error {
	switch t := &r.tok; t.kind {
	case tokenNull:
		return sink.Null()
	case tokenTrue:
		return sink.Bool(true)
	case tokenFalse:
		return sink.Bool(false)
	case tokenInt:
		return sink.Int(t.integer)
	case tokenBigInt:
		return sink.BigInt(t.b)
	case tokenFloat:
		return sink.Float(t.re)
	case tokenComplex:
		return sink.Complex(complex(t.re, t.im))
	case tokenText:
		return sink.Text(t.b)
	}
	return sink.Bytes(r.tok.b)
}

// scalar reads a value that is not a container.
func (r *serpentReader) scalar() (err error) {
	c, err := r.peek()
	if err != nil {
		return err
	}
	switch {
	case c == '\'' || c == '"':
		r.tok.kind = tokenText
		r.tok.b, err = r.text(false)
		return err
	case isDigit(c) || c == '-' || c == '.':
		return r.number()
	case c == 'b' && r.pos+1 < len(r.doc) && (r.doc[r.pos+1] == '\'' || r.doc[r.pos+1] == '"'):
		r.pos++
		r.tok.kind = tokenBytes
		r.tok.b, err = r.text(true)
		return err
	case r.accept("None"):
		r.tok.kind = tokenNull
	case r.accept("True"):
		r.tok.kind = tokenTrue
	case r.accept("False"):
		r.tok.kind = tokenFalse
	case c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_':
		return invalid(object.ReasonValue, "malformed node or string: a name at byte %d", r.pos)
	default:
		return r.syntaxError("a value must follow")
	}
	return nil
}

// current returns the byte at the reader's position, 0 at the end.
func (r *serpentReader) current() byte {
	if r.pos == len(r.doc) {
		return 0
	}
	return r.doc[r.pos]
}

// number reads an integer, a float or a complex number. The parentheses of a complex number are optional.
func (r *serpentReader) number() error {
	start := r.pos
	neg := r.current() == '-'
	if neg {
		r.pos++
	}
	digits, whole, err := r.real()
	if err != nil {
		return err
	}
	switch c := r.current(); {
	case c == 'j':
		r.pos++
		r.tok.kind = tokenComplex
		r.tok.re, r.tok.im = 0, signed(parseFloat(digits), neg)
		return nil
	case c == '+' || c == '-':
		return r.imaginary(signed(parseFloat(digits), neg))
	case !whole:
		r.tok.kind, r.tok.re = tokenFloat, signed(parseFloat(digits), neg)
		return nil
	case len(digits) > 1 && digits[0] == '0':
		return invalid(object.ReasonSyntax, "leading zeros in the integer at byte %d", start)
	}
	if _, u, ok := smallDecimal(digits); ok {
		r.tok.integer, ok = fitsInt64(neg, u)
		if ok {
			r.tok.kind = tokenInt
			return nil
		}
	}
	r.tok.kind, r.tok.b = tokenBigInt, r.doc[start:r.pos:r.pos]
	return nil
}

func signed(v float64, neg bool) float64 {
	if neg {
		return -v
	}
	return v
}

// imaginary reads the second part of a complex number from its sign.
func (r *serpentReader) imaginary(re float64) error {
	start := r.pos
	neg := r.current() == '-'
	r.pos++
	if c := r.current(); !isDigit(c) && c != '.' {
		return invalid(object.ReasonValue, "malformed node or string: an operator at byte %d", start)
	}
	digits, _, err := r.real()
	if err != nil {
		return err
	}
	if r.current() != 'j' {
		return invalid(object.ReasonValue, "malformed node or string: an operator at byte %d", start)
	}
	r.pos++
	r.tok.kind = tokenComplex
	r.tok.re, r.tok.im = re, signed(parseFloat(digits), neg)
	return nil
}

// real reads the digits of an unsigned number. whole is true for an integer.
func (r *serpentReader) real() (digits []byte, whole bool, err error) {
	start := r.pos
	n := r.digits()
	whole = true
	if r.current() == '.' {
		whole = false
		r.pos++
		n += r.digits()
	}
	if n == 0 {
		r.pos = start
		if c := r.current(); start > 0 && r.doc[start-1] == '-' && c != 0 {
			return nil, false, invalid(object.ReasonValue, "malformed node or string: an operator at byte %d", start-1)
		}
		return nil, false, r.syntaxError("digits must follow")
	}
	if r.current()|0x20 == 'e' {
		whole = false
		r.pos++
		if c := r.current(); c == '+' || c == '-' {
			r.pos++
		}
		if r.digits() == 0 {
			return nil, false, r.syntaxError("an exponent must follow")
		}
	}
	if whole && n > r.lim.Digits {
		return nil, false, tooLong(r.lim.Digits)
	}
	return r.doc[start:r.pos], whole, nil
}

// floatText reads the value of the dict that represents a float.
func floatText(b []byte) (v float64, ok bool) {
	switch string(b) {
	case "nan":
		return math.NaN(), true
	case "inf":
		return math.Inf(1), true
	case "-inf":
		return math.Inf(-1), true
	}
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	r := newSerpentReader(b, Limits{})
	digits, _, err := r.real()
	if err != nil || r.pos != len(b) {
		return 0, false
	}
	return signed(parseFloat(digits), neg), true
}
