package codec

import (
	"bytes"
	"math"

	"github.com/hearthhost/hearth/object"
)

// What the two binary formats, msgpack and marshal, have in common.

// maxEncodeDepth is how deep the binary encoders nest. Python's msgpack reader stops
// at 1024 levels and marshal's at 2000; nothing honest comes near this.
const maxEncodeDepth = 200

// orDefaults replaces zero (and senseless) fields by their defaults.
func (l Limits) orDefaults() Limits {
	if l.Depth <= 0 {
		l.Depth = 64
	}
	if l.Elements <= 0 {
		l.Elements = 1_000_000
	}
	if l.Digits <= 0 {
		l.Digits = 4300
	}
	return l
}

func invalid(class, format string, args ...any) error {
	e := object.Errorf(object.CodeInvalid, format, args...)
	e.Class = class
	return e
}

func tooDeep(limit int) error {
	return object.Errorf(object.CodeTooLarge, "containers nest deeper than %d", limit)
}

func tooMany(limit int) error {
	return object.Errorf(object.CodeTooLarge, "more than %d elements", limit)
}

func tooLong(limit int) error {
	return object.Errorf(object.CodeTooLarge, "integer of more than %d digits", limit)
}

// wrongCount is Python's answer to an unpacking that does not come out.
func wrongCount(want, got int) error {
	if got < want {
		return invalid("ValueError", "not enough values to unpack (expected %d, got %d)", want, got)
	}
	return invalid("ValueError", "too many values to unpack (expected %d)", want)
}

func errNoHandshake() error { return invalid("KeyError", "'handshake'") }

// Dates are those of Python: years 1 to 9999.
func validDate(day int64) bool { return day >= 1 && day <= 3652059 }

func validDateTime(v float64) bool { return v >= -62135596800 && v < 253402300800 }

// isDecimal reports whether b is an integer in the one form that [object.Sink] has.
func isDecimal(b []byte) bool {
	digits := bytes.TrimPrefix(b, []byte{'-'})
	if len(digits) == 0 || digits[0] == '0' && len(b) > 1 {
		return false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// smallDecimal returns the magnitude of a decimal that fits into 64 bits.
func smallDecimal(b []byte) (neg bool, u uint64, ok bool) {
	if neg = b[0] == '-'; neg {
		b = b[1:]
	}
	if len(b) > 20 {
		return neg, 0, false
	}
	for _, c := range b {
		d := uint64(c - '0')
		if u > (math.MaxUint64-d)/10 {
			return neg, 0, false
		}
		u = u*10 + d
	}
	return neg, u, true
}

// fitsInt64 turns sign and magnitude into an int64 if it can hold them.
func fitsInt64(neg bool, u uint64) (int64, bool) {
	if neg {
		return -int64(u), u <= 1<<63
	}
	return int64(u), u <= math.MaxInt64
}

// decimalTo feeds an integer in decimal, found at a byte offset, to the sink.
func decimalTo(to object.Sink, b []byte, maxDigits, at int) error {
	if len(b) > maxDigits+1 || len(b) > maxDigits && b[0] != '-' {
		return tooLong(maxDigits)
	}
	if !isDecimal(b) {
		return invalid("ValueError", "integer text at byte %d is not a decimal number", at)
	}
	if neg, u, ok := smallDecimal(b); ok {
		if v, ok := fitsInt64(neg, u); ok {
			return to.Int(v)
		}
	}
	return to.BigInt(b)
}

// noSink takes every value and keeps none: a decoder that feeds it skips and validates.
type noSink struct{}

func (noSink) Null() error                  { return nil }
func (noSink) Bool(bool) error              { return nil }
func (noSink) Int(int64) error              { return nil }
func (noSink) BigInt([]byte) error          { return nil }
func (noSink) Float(float64) error          { return nil }
func (noSink) Complex(complex128) error     { return nil }
func (noSink) Text([]byte) error            { return nil }
func (noSink) Bytes([]byte) error           { return nil }
func (noSink) DateTime(float64) error       { return nil }
func (noSink) Date(int64) error             { return nil }
func (noSink) Begin(object.Kind, int) error { return nil }
func (noSink) End() error                   { return nil }

// checkDecimal refuses integers that Python would refuse to read.
func checkDecimal(decimal []byte) error {
	if !isDecimal(decimal) {
		return object.Errorf(object.CodeInternal, "integer is not in decimal")
	}
	digits := Limits{}.orDefaults().Digits
	if len(decimal) > digits+1 || len(decimal) > digits && decimal[0] != '-' {
		return tooLong(digits)
	}
	return nil
}

// connectID is the end of every ScanConnect: the object id that was found, unless the
// handshake itself was not.
func connectID(id []byte, handshake bool) (string, error) {
	if !handshake {
		return "", errNoHandshake()
	}
	return string(id), nil
}
