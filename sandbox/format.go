package sandbox

import (
	"math"
	"strconv"
	"strings"
)

// formatSpec is what stands between the percent sign and the verb of a conversion.
type formatSpec struct {
	minus, plus, space, alt, zero bool
	width                         int
	precision                     int // -1 if there is none
}

// parseSpec reads flags, width and precision. ok is false if they are not in that order
// or too large.
func parseSpec(t string) (f formatSpec, ok bool) {
	f.precision = -1
	i := 0
flags:
	for ; i < len(t); i++ {
		switch t[i] {
		case '-':
			f.minus = true
		case '+':
			f.plus = true
		case ' ':
			f.space = true
		case '#':
			f.alt = true
		case '0':
			f.zero = true
		default:
			break flags
		}
	}
	width, precision, dotted := strings.Cut(t[i:], ".")
	if i > 5 || len(width) > 2 || len(precision) > 2 {
		return f, false
	}
	var err error
	if width != "" {
		if f.width, err = strconv.Atoi(width); err != nil {
			return f, false
		}
	}
	if dotted {
		f.precision = 0
		if precision != "" {
			if f.precision, err = strconv.Atoi(precision); err != nil {
				return f, false
			}
		}
	}
	return f, f.width <= maxFormatWidth
}

// pad appends body, filled up to the width.
func (f *formatSpec) pad(out []byte, body string) []byte {
	fill := f.width - len(body)
	if !f.minus {
		for ; fill > 0; fill-- {
			out = append(out, ' ')
		}
	}
	out = append(out, body...)
	for ; fill > 0; fill-- {
		out = append(out, ' ')
	}
	return out
}

// integer writes a signed integer.
func (f *formatSpec) integer(n int64) string {
	t := strconv.FormatInt(n, 10)
	sign := f.sign(n < 0)
	return f.fill(sign, strings.TrimPrefix(t, "-"), f.precision < 0)
}

// digits writes unsigned digits with the prefix that the alternative form asks for.
func (f *formatSpec) digits(t, prefix string) string {
	if !f.alt || t == "0" {
		prefix = ""
	}
	return f.fill(prefix, t, f.precision < 0)
}

func (f *formatSpec) sign(negative bool) string {
	switch {
	case negative:
		return "-"
	case f.plus:
		return "+"
	case f.space:
		return " "
	}
	return ""
}

// fill puts zeros between a prefix and digits, up to the precision or, with the flag and
// if zeros may fill it, the width.
func (f *formatSpec) fill(prefix, digits string, mayFill bool) string {
	want := f.precision
	if f.zero && !f.minus && mayFill {
		want = f.width - len(prefix)
	}
	if n := want - len(digits); n > 0 {
		digits = strings.Repeat("0", n) + digits
	}
	return prefix + digits
}

// float writes a number with one of the verbs e, f and g, in either case.
func (f *formatSpec) float(v float64, verb byte) string {
	lowerVerb := verb | 0x20
	precision := f.precision
	if precision < 0 {
		precision = 6
	}
	sign := f.sign(math.Signbit(v) && !math.IsNaN(v))
	a := math.Abs(v)
	var t string
	switch {
	case math.IsInf(a, 0):
		t = "inf"
	case math.IsNaN(a):
		t = "nan"
	case lowerVerb == 'g':
		t = formatG(a, max(precision, 1), f.alt)
	default:
		t = strconv.FormatFloat(a, lowerVerb, precision, 64)
	}
	finite := !math.IsInf(v, 0) && !math.IsNaN(v)
	width := *f
	width.precision = -1
	t = width.fill(sign, t, finite)
	if verb < 'a' {
		t = strings.ToUpper(t)
	}
	return t
}

// formatG writes a number as C's %g does: Go's own picks the exponent differently.
func formatG(a float64, precision int, keepZeros bool) string {
	e := strconv.FormatFloat(a, 'e', precision-1, 64)
	mantissa, exponent, _ := strings.Cut(e, "e")
	x, err := strconv.Atoi(exponent)
	if err != nil {
		return e
	}
	if x >= -4 && x < precision {
		t := strconv.FormatFloat(a, 'f', precision-1-x, 64)
		return trimZeros(t, keepZeros)
	}
	return trimZeros(mantissa, keepZeros) + "e" + exponent
}

func trimZeros(t string, keep bool) string {
	if keep || !strings.Contains(t, ".") {
		return t
	}
	return strings.TrimRight(strings.TrimRight(t, "0"), ".")
}
