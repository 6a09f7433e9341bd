package luafuzz

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// oddNumber returns a number as an expression: any bits, powers of two and their neighbours, short decimals.
func (g *generator) oddNumber() string {
	switch g.n(9) {
	case 0:
		if f := math.Float64frombits(g.rnd.Uint64()); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return strconv.FormatFloat(f, 'g', -1, 64)
		}
		return "1"
	case 1:
		return fmt.Sprintf("(2^%d%s)", g.n(70), g.pick("", "-1", "+1", "+0.5"))
	case 2:
		return fmt.Sprintf("(%d/%d)", g.n(100000)-50000, 1+g.n(1000))
	case 3:
		return strconv.FormatFloat(float64(g.n(2_000_000)-1_000_000)/1000, 'f', -1, 64)
	case 4:
		return fmt.Sprintf("%de%d", g.n(1000), g.n(40)-20)
	case 5:
		return strconv.FormatFloat(g.rnd.NormFloat64()*math.Pow(10, float64(g.n(20))), 'g', -1, 64)
	case 6:
		return g.pick("(0/0)", "(1/0)", "(-1/0)", "-0", "0", "(-(0))", "1e308", "5e-324", "2^53", "-2^63", "2^31")
	default:
		return strconv.Itoa(g.n(20) - 10)
	}
}

func (g *generator) pickInt(choices ...int) int { return choices[g.n(len(choices))] }

// numberText returns text that may be a number.
func (g *generator) numberText() string {
	var b strings.Builder
	b.WriteString(g.pick("", "", "", " ", "\\t", "\\n "))
	b.WriteString(g.pick("", "", "-", "+", "- "))
	b.WriteString(g.pick("", "", "", "0x", "0X", "0"))
	for range g.n(6) {
		b.WriteString(g.pick("0", "1", "7", "9", ".", "e", "E", "+", "-", "a", "f", "p", "_", "x", " ", "12", "345",
			"\\0", "n"))
	}
	b.WriteString(g.pick("", "", "", " ", "\\n", "z"))
	return `"` + b.String() + `"`
}

// roundedCall returns a function for pcall that calls a function of the C library, whose last digit may differ. C
// rounds about one result in a thousand wrongly; such a difference rarely reaches the twelfth digit.
func (g *generator) roundedCall(x string) string {
	call := "math." + g.pick("asin", "acos", "atan", "exp", "log") + "(" + x + ")"
	if g.chance(40) { // larger angles are a known difference
		call = "math." + g.pick("sin", "cos", "tan") + "(" + x + " % 1000000)"
	}
	if g.avoid[Libm] {
		call = `string.format("%.12g", ` + call + ")"
	}
	return "function() return " + call + " end"
}

// valueUnit writes, reads and computes with odd numbers.
func (g *generator) valueUnit() {
	for range 3 + g.n(5) {
		x, y := g.oddNumber(), g.oddNumber()
		call := ""
		switch g.n(12) {
		case 0:
			call = "tostring, " + x
		case 1:
			call = "tonumber, " + g.numberText() + g.pick("", "", ", 10", ", 16", ", 2", ", 36", ", 8")
		case 2:
			call = `string.format, "%` + g.pick("", "-", "+", " ", "#", "0", "+0", "-#") + g.pick("", "1", "12",
				"20") + g.pick("", ".0", ".1", ".5", ".17", ".20") +
				g.pick("g", "f", "e", "G", "E", "d", "i", "x", "X", "o", "u", "c", "s", "q") + `", ` + x
		case 3:
			call = "math." + g.pick("floor", "ceil", "abs", "modf", "frexp", "sqrt", "deg", "rad") + ", " + x
			if g.chance(50) {
				call = g.roundedCall(x)
			}
		case 4:
			call = "math." + g.pick("fmod", "max", "min", "mod", "ldexp", "atan2", "pow") + ", " + x + ", " + y
		case 5:
			call = "function() return " + x + " " + g.pick("+", "-", "*", "/", "%") + " " + y + " end"
		case 6:
			call = "function() return " + x + " " + g.pick("<", "<=", ">", ">=", "==", "~=") + " " + y + " end"
		case 7:
			call = "function() return " + x + " .. '' .. " + y + " end"
		case 8:
			call = "function() local t = {} t[" + x + "] = 1 t[" + y + "] = 2 return t, t[" + x +
				"], next(t) ~= nil end"
		case 9:
			call = "function() local n, last = 0 for i = " + x + ", " + y +
				g.pick("", ", "+g.oddNumber()) + " do n = n + 1 last = i if n > 5 then break end end return n, last end"
		case 10:
			call = "string." + g.pick("sub", "rep", "byte", "find") + `, "abcdef", ` + g.pick("1, ", `"c", `) +
				g.pick(x,
					"-1", "2^31", "-2^31", "2^32+1", "-2^53")
			if strings.Contains(call, "rep") {
				call = `string.rep, "", ` + x
			}
		default:
			call = "function() return " + g.numberText() + g.pick(" + 0", " * 1", " == "+x, " .. 1", " / "+x) + " end"
		}
		g.line("T(", g.label(), ", pcall(", call, "))")
	}
}

// dateUnit formats moments, and reads dates with fields out of their ranges.
func (g *generator) dateUnit() {
	for range 2 + g.n(3) {
		if g.chance(50) {
			var f strings.Builder
			for range 1 + g.n(4) {
				f.WriteString(g.pick("%a", "%A", "%b", "%B", "%c", "%d", "%H", "%I", "%j", "%m", "%M", "%p", "%S", "%U",
					"%w",
					"%W", "%x", "%X", "%y", "%Y", "%Z", "%%",
					"-", ":", " ", "%D", "%e", "%F", "%T", "%R", "%h", "%n", "%t", "%u", "%V", "%G", "%g", "%C", "%r"))
			}
			g.line("T(", g.label(), `, pcall(os.date, "!`, f.String(), `", `,
				strconv.FormatInt(g.rnd.Int64N(8_000_000_000)-2_000_000_000, 10), "))")
			continue
		}
		fields := []string{"year = " + strconv.Itoa(1900+g.n(200)), "month = " + strconv.Itoa(g.n(30)-8), "day = " +
			strconv.Itoa(g.n(80)-20)}
		if g.chance(50) {
			fields = append(fields, "hour = "+strconv.Itoa(g.n(60)-20), "min = "+strconv.Itoa(g.n(200)-50),
				"sec = "+strconv.Itoa(g.n(400)-100))
		}
		if g.chance(10) {
			fields[g.n(len(fields))] = g.pick("year = nil", "x = 1", `year = "2020"`, "day = 1.5", "month = {}",
				"isdst = false")
		}
		g.line("T(", g.label(), `, pcall(function() local t = os.time({`, strings.Join(fields, ", "),
			`}) return t, os.date("!*t", t) end))`)
	}
}
