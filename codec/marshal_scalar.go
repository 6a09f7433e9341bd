package codec

import (
	"encoding/binary"
	"math"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/hearthhost/hearth/object"
)

// Texts and numbers of marshal.

// text reads a text; what names it in the error if it is something else.
func (r *marshalReader) text(what string) ([]byte, error) {
	c, err := r.peek()
	if err != nil {
		return nil, err
	}
	if !isMarshalText(c) {
		return nil, r.typeError(what + " is not a text")
	}
	if r.doc[r.pos]&^marshalFlag != 'r' {
		ref := r.begin()
		b, err := r.textBody(c)
		r.close(ref)
		return b, err
	}
	r.pos++
	to, err := r.reference()
	if err != nil {
		return nil, err
	}
	back := r.pos
	r.pos = to + 1
	b, err := r.textBody(c)
	r.pos = back
	return b, err
}

// textBody reads length and bytes of a text of type c.
func (r *marshalReader) textBody(c byte) ([]byte, error) {
	at := r.pos - 1
	var n int
	var err error
	if c == 'z' || c == 'Z' {
		n, err = r.shortSize()
	} else {
		n, err = r.size()
	}
	if err != nil {
		return nil, err
	}
	b, err := r.bytes(n)
	if err != nil {
		return nil, err
	}
	if c == 'u' || c == 't' {
		if !validWithSurrogates(b) {
			return nil, invalid("ValueError", "text at byte %d is not valid UTF-8", at)
		}
		return b, nil
	}
	for _, x := range b {
		if x >= utf8.RuneSelf {
			return nil, invalid("ValueError", "text at byte %d is not ASCII as it says", at)
		}
	}
	return b, nil
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

// fixed reads a number of fixed size: int64, double or complex.
func (r *marshalReader) fixed(to object.Sink, c byte) error {
	size := 8
	if c == 'y' {
		size = 16
	}
	if len(r.doc)-r.pos < size {
		return r.short()
	}
	b := r.doc[r.pos:]
	r.pos += size
	switch c {
	case 'I':
		return to.Int(int64(binary.LittleEndian.Uint64(b)))
	case 'g':
		return to.Float(littleFloat(b))
	}
	return to.Complex(complex(littleFloat(b), littleFloat(b[8:])))
}

// floatText reads a number as old versions wrote it: a length byte and decimal text.
func (r *marshalReader) floatText() (float64, error) {
	at := r.pos
	n, err := r.shortSize()
	if err != nil {
		return 0, err
	}
	b, err := r.bytes(n)
	if err != nil {
		return 0, err
	}
	for _, c := range b { // ParseFloat knows hexadecimal and more
		switch {
		case c >= '0' && c <= '9', c == '+', c == '-', c == '.', c == 'e', c == 'E':
		default:
			if s := string(b); s == "inf" || s == "-inf" || s == "nan" {
				return strconv.ParseFloat(s, 64)
			}
			return 0, invalid("ValueError", "number text at byte %d is not a number", at)
		}
	}
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil && !math.IsInf(v, 0) {
		return 0, invalid("ValueError", "number text at byte %d is not a number", at)
	}
	return v, nil
}

// long reads an integer of any size: digits of 15 bits, the lowest first.
func (r *marshalReader) long(to object.Sink) error {
	at := r.pos - 1
	count, err := r.int32()
	if err != nil {
		return err
	}
	n, neg := int(count), count < 0
	if neg {
		n = -n
	}
	// The smallest number of n digits is 2^(15(n-1)): refuse before looking at them.
	if n > 0 && int64(n-1)*15*301/1000 > int64(r.lim.Digits) {
		if 2*n > len(r.doc)-r.pos {
			return r.short()
		}
		return tooLong(r.lim.Digits)
	}
	b, err := r.bytes(2 * n)
	if err != nil {
		return err
	}
	for i := 0; i < len(b); i += 2 {
		if b[i+1] > 0x7f {
			return invalid("ValueError", "bad marshal data (digit out of range in long at byte %d)", at)
		}
	}
	if n > 0 && b[2*n-1] == 0 && b[2*n-2] == 0 {
		return invalid("ValueError", "bad marshal data (unnormalized long data at byte %d)", at)
	}
	if n <= 4 {
		var u int64
		for i := n - 1; i >= 0; i-- {
			u = u<<15 | int64(binary.LittleEndian.Uint16(b[2*i:]))
		}
		if neg {
			u = -u
		}
		return to.Int(u)
	}
	return r.bigLong(to, b, neg)
}

// bigLong turns 15-bit digits into decimal.
func (r *marshalReader) bigLong(to object.Sink, b []byte, neg bool) error {
	packed := make([]byte, 0, len(b))
	var acc uint32
	var bits uint
	for i := 0; i < len(b); i += 2 {
		acc |= uint32(binary.LittleEndian.Uint16(b[i:])) << bits
		for bits += 15; bits >= 8; bits -= 8 {
			packed = append(packed, byte(acc))
			acc >>= 8
		}
	}
	packed = append(packed, byte(acc))
	slices.Reverse(packed)
	v := new(big.Int).SetBytes(packed)
	if neg {
		v.Neg(v)
	}
	if v.IsInt64() {
		return to.Int(v.Int64())
	}
	return decimalTo(to, v.Append(nil, 10), r.lim.Digits, r.pos)
}
