package codec

import (
	"bytes"
	"math"

	"github.com/hearthhost/hearth/object"
)

// isDecimal reports whether b is an integer in the form of [object.Sink].
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
	neg = b[0] == '-'
	if neg {
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

// fitsInt64 returns sign and magnitude as an int64 if the value fits.
func fitsInt64(neg bool, u uint64) (int64, bool) {
	if neg {
		return -int64(u), u <= 1<<63
	}
	return int64(u), u <= math.MaxInt64
}

// FeedDecimal feeds a decimal integer at a byte offset to the sink, with at most maxDigits digits.
func FeedDecimal(sink object.Sink, b []byte, maxDigits, offset int) error {
	if len(b) > maxDigits+1 || len(b) > maxDigits && b[0] != '-' {
		return tooLong(maxDigits)
	}
	if !isDecimal(b) {
		return invalid(object.ReasonValue, "integer text at byte %d is not a decimal number", offset)
	}
	if neg, u, ok := smallDecimal(b); ok {
		if v, ok := fitsInt64(neg, u); ok {
			return sink.Int(v)
		}
	}
	return sink.BigInt(b)
}

// checkDecimal rejects integers that Python rejects when it reads.
func checkDecimal(decimal []byte) error {
	if !isDecimal(decimal) {
		return object.Errorf(object.CodeInternal, "integer is not in decimal")
	}
	digits := Limits{}.withDefaults().Digits
	if len(decimal) > digits+1 || len(decimal) > digits && decimal[0] != '-' {
		return tooLong(digits)
	}
	return nil
}
