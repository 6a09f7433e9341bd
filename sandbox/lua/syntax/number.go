package syntax

import (
	"math"
	"strconv"
	"strings"
)

// ParseNumber reads a number as PUC Lua 5.1 does on Linux, with C's strtod: decimal and hexadecimal, with fraction and
// exponent, "inf" and "nan" in any case, and white space around it. It stops at a NUL byte. ok is false if t is not a
// number.
func ParseNumber(t string) (v float64, ok bool) {
	v, ok = parseDigits(t)
	if ok {
		return v, true
	}
	if i := strings.IndexByte(t, 0); i >= 0 {
		t = t[:i]
	}
	t = strings.TrimRight(strings.TrimLeft(t, whiteSpace), whiteSpace)
	body, negative := t, false
	if t != "" && (t[0] == '+' || t[0] == '-') {
		body, negative = t[1:], t[0] == '-'
	}
	switch {
	case body == "":
		return 0, false
	case len(body) > 1 && body[0] == '0' && body[1]|0x20 == 'x':
		v, ok = parseHex(body[2:])
	case '0' <= body[0] && body[0] <= '9' || body[0] == '.':
		v, ok = parseDecimal(body)
	default:
		v, ok = parseWord(body)
	}
	if negative {
		v = -v
	}
	return v, ok
}

const whiteSpace = " \t\n\v\f\r"

// parseDigits is a fast path for a few digits.
func parseDigits(t string) (float64, bool) {
	if t == "" || len(t) > 15 {
		return 0, false
	}
	var n int64
	for i := range len(t) {
		c := t[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return float64(n), true
}

// parseDecimal reads digits, a fraction and an exponent. It checks the text first, because Go's parser accepts more
// than C's, such as underscores.
func parseDecimal(t string) (float64, bool) {
	i, digits := 0, 0
	for ; i < len(t) && (isDigit(t[i]) || t[i] == '.'); i++ {
		if t[i] != '.' {
			digits++
		}
	}
	if digits == 0 || strings.Count(t[:i], ".") > 1 {
		return 0, false
	}
	if i < len(t) {
		if t[i]|0x20 != 'e' {
			return 0, false
		}
		i++
		if i < len(t) && (t[i] == '+' || t[i] == '-') {
			i++
		}
		from := i
		for i < len(t) && isDigit(t[i]) {
			i++
		}
		if i == from || i < len(t) {
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(t, 64)
	if err != nil && !math.IsInf(v, 0) && v != 0 { // out of range is infinity or zero, as in C
		return 0, false
	}
	return v, true
}

// parseHex reads the text after "0x": digits, a fraction, and an exponent of two.
func parseHex(t string) (float64, bool) {
	digits, dots := 0, 0
	i := 0
	for ; i < len(t) && (isHex(t[i]) || t[i] == '.'); i++ {
		if t[i] == '.' {
			dots++
		} else {
			digits++
		}
	}
	if digits == 0 || dots > 1 {
		return 0, false
	}
	text := t
	if i == len(t) {
		text += "p0" // Go requires an exponent
	} else if t[i]|0x20 != 'p' || !validExponent(t[i+1:]) {
		return 0, false
	}
	v, err := strconv.ParseFloat("0x"+text, 64)
	if err != nil && !math.IsInf(v, 0) && v != 0 {
		return 0, false
	}
	return v, true
}

func validExponent(t string) bool {
	if t != "" && (t[0] == '+' || t[0] == '-') {
		t = t[1:]
	}
	if t == "" {
		return false
	}
	for i := range len(t) {
		if !isDigit(t[i]) {
			return false
		}
	}
	return true
}

// parseWord reads the names of infinity and nan that strtod accepts.
func parseWord(t string) (float64, bool) {
	if len(t) > 64 {
		return 0, false
	}
	switch w := strings.ToLower(t); {
	case w == "inf" || w == "infinity":
		return math.Inf(1), true
	case w == "nan":
		return math.NaN(), true
	case strings.HasPrefix(w, "nan(") && strings.HasSuffix(w, ")") && isAlnumText(w[4:len(w)-1]):
		return math.NaN(), true
	}
	return 0, false
}

func isAlnumText(t string) bool {
	for i := range len(t) {
		if !isAlnum(t[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isHex(c byte) bool   { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }
func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' }
func isAlnum(c byte) bool { return isAlpha(c) || isDigit(c) }
