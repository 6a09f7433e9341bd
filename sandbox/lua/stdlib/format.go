package stdlib

import (
	"math"
	"strconv"
	"strings"

	"github.com/hearthhost/hearth/sandbox/lua"
)

// strFormat implements string.format.
func strFormat(L *lua.Thread) int {
	format := L.CheckString(1)
	L.ChargeBytes(len(format))
	out := L.NewBuilder(len(format) + 32)
	arg := 1
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			out.AddByte(format[i])
			continue
		}
		i++
		if i < len(format) && format[i] == '%' {
			out.AddByte('%')
			continue
		}
		arg++
		if arg > L.Top() {
			L.ArgError(arg, "no value")
		}
		begin := i
		i = specEnd(L, format, begin)
		var verb byte // 0: the format ends here
		if i < len(format) {
			verb = format[i]
		}
		conversion(&out, format[begin:min(i, len(format))], verb, arg)
	}
	return out.Push()
}

// specEnd returns the position after flags, width and precision.
func specEnd(L *lua.Thread, format string, i int) int {
	begin := i
	for i < len(format) && strings.IndexByte("-+ #0", format[i]) >= 0 {
		i++
	}
	if i-begin >= 6 {
		L.RaiseError("invalid format (repeated flags)")
	}
	digits := func() {
		for n := 0; n < 2 && i < len(format) && isDigit(format[i]); n++ {
			i++
		}
	}
	digits()
	if i < len(format) && format[i] == '.' {
		i++
		digits()
	}
	if i < len(format) && isDigit(format[i]) {
		L.RaiseError("invalid format (width or precision too long)")
	}
	return i
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// conversion appends argument arg, formatted by verb and spec.
func conversion(out *lua.Builder, spec string, verb byte, arg int) {
	L := out.L
	f := parseSpec(spec)
	L.Charge(10 + max(f.precision, 0))
	var body string
	switch verb {
	case 'c':
		body = string([]byte{character(L.CheckNumber(arg))})
		text, _, _ := strings.Cut(string(f.pad(nil, body)), "\x00") // C strings end at NUL
		out.Add(text)
		return
	case 'd', 'i':
		body = f.integer(int64(L.CheckInt(arg)))
	case 'u':
		body = f.digits(strconv.FormatUint(unsigned(L.CheckNumber(arg)), 10), "")
	case 'o':
		body = f.digits(strconv.FormatUint(unsigned(L.CheckNumber(arg)), 8), "0")
	case 'x':
		body = f.digits(strconv.FormatUint(unsigned(L.CheckNumber(arg)), 16), "0x")
	case 'X':
		body = strings.ToUpper(f.digits(strconv.FormatUint(unsigned(L.CheckNumber(arg)), 16), "0x"))
	case 'e', 'E', 'f', 'g', 'G':
		v := L.CheckNumber(arg)
		if verb == 'f' {
			_, exponent := math.Frexp(v)
			L.Charge(max(exponent, 0)) // digits before the point
		}
		body = f.float(v, verb)
	case 'q':
		quote(out, L.CheckString(arg))
		return
	case 's':
		appendString(out, f, spec, arg)
		return
	default:
		shown := ""
		if verb != 0 {
			shown = string([]byte{verb})
		}
		L.RaiseError("invalid option '%%%s' to 'format'", shown)
	}
	out.Room(max(f.width, len(body)))
	out.B = f.pad(out.B, body)
}

// character converts a number to a byte as C does on amd64: a number outside 32 bits becomes 0.
func character(f float64) byte {
	if f > -(1<<31)-1 && f < 1<<31 {
		return byte(int32(f))
	}
	return 0
}

// appendString implements %s. It also accepts a value of the host that has __tostring.
func appendString(out *lua.Builder, f formatSpec, spec string, arg int) {
	L := out.L
	var body string
	if v := L.Get(arg); v.AsUserData() != nil && !L.Metamethod(v, "__tostring").IsNil() {
		body = L.ToString(v)
	} else {
		body = L.CheckString(arg)
	}
	L.ChargeBytes(len(body))
	if len(body) < 100 || strings.Contains(spec, ".") { // otherwise it is appended unchanged
		body, _, _ = strings.Cut(body, "\x00")
	} else {
		out.Add(body)
		return
	}
	if f.precision >= 0 && f.precision < len(body) {
		body = body[:f.precision]
	}
	out.Room(max(f.width, len(body)))
	out.B = f.pad(out.B, body)
}

// unsigned converts as C does on amd64.
func unsigned(f float64) uint64 {
	switch {
	case f != f:
		return 1 << 63
	case f >= 1<<63 && f < 1<<64:
		return uint64(f-1<<63) + 1<<63
	case f >= 1<<64:
		return 0
	case f < -(1 << 63):
		return 1 << 63
	}
	return uint64(int64(f))
}

// quote appends t as Lua source.
func quote(out *lua.Builder, t string) {
	out.L.Charge(len(t) >> 1)
	out.AddByte('"')
	for i := range len(t) {
		out.Room(len(`\000`))
		switch c := t[i]; c {
		case '"', '\\', '\n':
			out.B = append(out.B, '\\', c)
		case '\r':
			out.B = append(out.B, `\r`...)
		case 0:
			out.B = append(out.B, `\000`...)
		default:
			out.B = append(out.B, c)
		}
	}
	out.AddByte('"')
}

// formatSpec holds the flags, width and precision of a conversion.
type formatSpec struct {
	minus, plus, space, alt, zero bool
	width                         int
	precision                     int // -1 if absent
}

// parseSpec reads flags, width and precision. specEnd has checked the syntax.
func parseSpec(t string) (f formatSpec) {
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
	f.width, _ = strconv.Atoi(width)
	if dotted {
		f.precision, _ = strconv.Atoi(precision)
	}
	return f
}

// pad appends body, padded to the width.
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

// integer formats a signed integer.
func (f *formatSpec) integer(n int64) string {
	t := strconv.FormatInt(n, 10)
	sign := f.sign(n < 0)
	return f.fill(sign, strings.TrimPrefix(t, "-"), f.precision < 0)
}

// digits formats unsigned digits. prefix is that of the alternative form.
func (f *formatSpec) digits(t, prefix string) string {
	if f.alt && prefix == "0" { // octal: more precision rather than a prefix
		octal := *f
		if octal.precision <= len(t) && t[0] != '0' {
			octal.precision = len(t) + 1
		} else if t == "0" {
			octal.precision = max(f.precision, 1)
		}
		return octal.fill("", t, f.precision < 0)
	}
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

// fill puts zeros between a prefix and digits, up to the precision. With the flag 0, and if mayFill, it fills up to the
// width.
func (f *formatSpec) fill(prefix, digits string, mayFill bool) string {
	minDigits := f.precision
	if minDigits == 0 && digits == "0" { // C writes nothing
		digits = ""
	}
	if f.zero && !f.minus && mayFill {
		minDigits = f.width - len(prefix)
	}
	if n := minDigits - len(digits); n > 0 {
		digits = strings.Repeat("0", n) + digits
	}
	return prefix + digits
}

// float formats a number with one of the verbs e, f and g, in either case.
func (f *formatSpec) float(v float64, verb byte) string {
	lowerVerb := verb | 0x20
	precision := f.precision
	if precision < 0 {
		precision = 6
	}
	sign := f.sign(math.Signbit(v))
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
		if f.alt && precision == 0 { // always a point
			digits, exponent, _ := strings.Cut(t, "e")
			if t = digits + "."; exponent != "" {
				t += "e" + exponent
			}
		}
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

// formatG formats a number as C's %g does. Go's %g chooses the exponent differently.
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
	point := strings.Contains(t, ".")
	switch {
	case keep && !point:
		return t + "."
	case keep || !point:
		return t
	}
	return strings.TrimRight(strings.TrimRight(t, "0"), ".")
}
