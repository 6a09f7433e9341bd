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
		b.WriteString(g.pick("0", "1", "7", "9", ".", "e", "E", "+", "-", "a", "f", "p", "_", "x", " ", "12", "345", "\\0", "n"))
	}
	b.WriteString(g.pick("", "", "", " ", "\\n", "z"))
	return `"` + b.String() + `"`
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
			call = `string.format, "%` + g.pick("", "-", "+", " ", "#", "0", "+0", "-#") + g.pick("", "1", "12", "20") + g.pick("", ".0", ".1", ".5", ".17", ".20") + g.pick("g", "f", "e", "G", "E", "d", "i", "x", "X", "o", "u", "c", "s", "q") + `", ` + x
		case 3:
			call = "math." + g.pick("floor", "ceil", "abs", "modf", "frexp", "sqrt", "deg", "rad") + ", " + x
		case 4:
			call = "math." + g.pick("fmod", "max", "min", "mod", "ldexp") + ", " + x + ", " + y
		case 5:
			call = "function() return " + x + " " + g.pick("+", "-", "*", "/", "%") + " " + y + " end"
		case 6:
			call = "function() return " + x + " " + g.pick("<", "<=", ">", ">=", "==", "~=") + " " + y + " end"
		case 7:
			call = "function() return " + x + " .. '' .. " + y + " end"
		case 8:
			call = "function() local t = {} t[" + x + "] = 1 t[" + y + "] = 2 return t, t[" + x + "], next(t) ~= nil end"
		case 9:
			call = "function() local n, last = 0 for i = " + x + ", " + y + g.pick("", ", "+g.oddNumber()) + " do n = n + 1 last = i if n > 5 then break end end return n, last end"
		case 10:
			call = "string." + g.pick("sub", "rep", "byte", "find") + `, "abcdef", ` + g.pick("1, ", `"c", `) + g.pick(x, "-1", "2^31", "-2^31", "2^32+1", "-2^53")
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
				f.WriteString(g.pick("%a", "%A", "%b", "%B", "%c", "%d", "%H", "%I", "%j", "%m", "%M", "%p", "%S", "%U", "%w", "%W", "%x", "%X", "%y", "%Y", "%Z", "%%",
					"-", ":", " ", "%D", "%e", "%F", "%T", "%R", "%h", "%n", "%t", "%u", "%V", "%G", "%g", "%C", "%r"))
			}
			g.line("T(", g.label(), `, pcall(os.date, "!`, f.String(), `", `, strconv.FormatInt(g.rnd.Int64N(8_000_000_000)-2_000_000_000, 10), "))")
			continue
		}
		fields := []string{"year = " + strconv.Itoa(1900+g.n(200)), "month = " + strconv.Itoa(g.n(30)-8), "day = " + strconv.Itoa(g.n(80)-20)}
		if g.chance(50) {
			fields = append(fields, "hour = "+strconv.Itoa(g.n(60)-20), "min = "+strconv.Itoa(g.n(200)-50), "sec = "+strconv.Itoa(g.n(400)-100))
		}
		if g.chance(10) {
			fields[g.n(len(fields))] = g.pick("year = nil", "x = 1", `year = "2020"`, "day = 1.5", "month = {}", "isdst = false")
		}
		g.line("T(", g.label(), `, pcall(function() local t = os.time({`, strings.Join(fields, ", "), `}) return t, os.date("!*t", t) end))`)
	}
}

// tableUnit changes a table by random operations and looks at it after each.
func (g *generator) tableUnit() {
	g.line("do")
	g.indent++
	g.line("local t = ", g.pick("{}", "{1, 2, 3}", "{'a', 'b', 'c', 'd', 'e'}", "{n = 1, 10, 20}", "{[1] = 1, [2] = 2}"))
	for range 4 + g.n(8) {
		i := g.pick("1", "2", "3", "#t", "#t + 1", "#t", "1.5", "-1", "0", `"k"`, `"2"`, "2^53", "2^53 + 1", "1e300", "true", "t", "'x' .. #t")
		v := g.pick("1", "'v'", "#t", "{}", "t", "false", "2.5")
		switch g.n(14) {
		case 0, 1:
			g.line("t[#t + 1] = ", v)
		case 2:
			g.line("if #t > 1 then table.insert(t, ", g.pick("", "1, ", "#t, ", "#t + 1, ", "2, "), v, ") end")
		case 3:
			g.line("T(", g.label(), ", #t > 1 and table.remove(t", g.pick("", ", 1", ", #t", ", 2"), "))")
		case 4:
			g.line("if #t > 0 then t[#t] = nil end")
		case 5:
			key := g.pick("1.5", "-1", "0", `"k"`, `"2"`, "2^53", "1e300", "true", "'x' .. #t")
			g.line("t[", key, "] = ", g.pick(v, "nil"))
		case 6:
			g.line("T(", g.label(), `, pcall(table.concat, t, ",", `, g.pick("1", "2", "#t", "0"), ", ", g.pick("#t", "1", "0", "2"), "))")
		case 7:
			g.line("T(", g.label(), ", table.maxn(t), table.getn(t), t[", i, "], rawget(t, ", i, "), #t)")
		case 8:
			g.line("T(", g.label(), ", pcall(function() return unpack(t, ", g.pick("1", "2", "#t", "-1", "0"), ", ", g.pick("#t", "1", "0", "4"), ") end))")
		case 9:
			g.line("do local sum, seen = 0, 0 for k, v in pairs(t) do seen = seen + 1 ", g.pick("", "t[k] = nil ", "t[k] = v ", "if type(k) ~= 'number' then t[k] = nil end "), "end T(", g.label(), ", seen, t) end")
		case 10:
			g.line("T(", g.label(), ", pcall(table.sort, t, ", g.pick("nil", "function(x, y) return (tonumber(x) or 0) < (tonumber(y) or 0) end", "function(x, y) return type(x) < type(y) end",
				"function(x, y) return true end", "function(x, y) error('cmp') end", "function() end"), ") ", g.pick("", "and #t"), ")")
		case 11:
			g.line("T(", g.label(), ", pcall(table.foreach", g.pick("i", "i", ""), ", t, function(k, v) if ", g.pick("k == 2", "v == 'b'", "false"), " then return k, v end end))")
		case 12:
			g.line("for k, v in ", g.pick("ipairs(t)", "ipairs(t), t, 1"), " do T(", g.label(), ", k, v) ", g.pick("", "t[k] = v ", "if k == 1 and #t < 8 then t[#t + 1] = 'new' end "), "end")
		default:
			g.line("T(", g.label(), ", next(t) ~= nil, #t, t)")
		}
	}
	g.line("T(", g.label(), ", t)")
	g.indent--
	g.line("end")
}

// limitUnit writes functions with many constants, variables, upvalues, arguments or table elements.
func (g *generator) limitUnit() {
	list := func(n int, item func(i int) string) string {
		items := make([]string, n)
		for i := range items {
			items[i] = item(i + 1)
		}
		return strings.Join(items, ", ")
	}
	number := func(i int) string { return strconv.Itoa(i) }
	g.line("T(", g.label(), ", pcall(function(...)")
	g.indent++
	switch g.n(5) {
	case 0: // more constants than an operand can name
		g.line("local t = {", list(g.pickInt(100, 190, 290, 350), func(i int) string { return fmt.Sprintf("%d.5", i) }), "}")
		x := g.pick("1000.25", `"far"`, "777")
		g.line("local x = ", g.operand(aNumber, 1), " local o = {far = 1, [777] = 2}")
		g.line("T(", g.label(), ", x == ", x, ", ", x, " == x, x ~= ", x, ", o.far, o[777], o.far2, pcall(function() return x < ", x, " end))")
		g.line("o.far2 = 5 o[778] = x T(", g.label(), ", o, x + 1000.75, 1000.75 - x, x * 3.25, #t, t[150], o:far3())")
	case 1: // many variables
		n := 100 + g.n(90)
		g.line("local ", list(n, func(i int) string { return "v" + number(i) }), " = ", list(n-1, number))
		g.line("local function up() v1, v", number(n), " = v", number(n), ", v1 return v1, v", number(n), " end")
		g.line("T(", g.label(), ", up(), up(), ", g.pick("v50 + v60 * (v70 - (v80 / v90))", "v50 .. v60 .. v70", "{v1, v2, v3}", "select('#', v1, up())"), ")")
		g.line("v1, v2, v3, v4 = v4, v3, ", g.pick("v2", "up()"), " T(", g.label(), ", v1, v2, v3, v4)")
	case 2: // many upvalues
		n := 40 + g.n(19)
		g.line("local ", list(n, func(i int) string { return "u" + number(i) }), " = ", list(n, number))
		g.line("local function f() ", strings.ReplaceAll(list(n, func(i int) string { return fmt.Sprintf("u%d = u%d + 1 ", i, i) }), ",", ""), " return u1 + u", number(n), " end")
		g.line("T(", g.label(), ", f(), f(), u1, u", number(n), ")")
	case 3: // many arguments and elements
		n := 45 + g.n(120)
		g.line("local function count(...) return select('#', ...), (select(", number(n), ", ...)) end")
		g.line("T(", g.label(), ", count(", list(n, number), "), count(", list(n-1, number), ", ...))")
		g.line("local t = {", list(n, number), ", k = 1, ", g.pick("...", "count(...)", "nil", "(count(...))"), "}")
		g.line("T(", g.label(), ", #t, t[50], t[51], t[", number(n), "], t[", number(n+1), "], t[", number(n+2), "], t.k)")
	default: // long chains
		n := 20 + g.n(60)
		op := g.pick(" .. ", " + ", " * ", " - ", " and ", " or ", " .. ", ".x", "[1]")
		switch {
		case op == ".x" || op == "[1]":
			g.line("local t = {} t.x = t t[1] = t")
			g.line("return t", strings.Repeat(op, n), " == t, t", strings.Repeat(op, n), ".y.z")
		default:
			items := make([]string, n)
			for i := range items {
				items[i] = g.pick("1", "2", "'3'", "(...)", "#'ab'")
			}
			g.line("return ", strings.Join(items, op))
		}
	}
	g.indent--
	g.line("end, ", g.expressions(1+g.n(2), 1), "))")
}

// levelUnit raises errors at levels that tail calls, native functions and coroutines are among.
func (g *generator) levelUnit() {
	g.line("do")
	g.indent++
	level := func() string { return g.pick("0", "1", "2", "3", "4", "5", "2", "1") }
	g.line("local function e(...) error(", g.pick(`"m"`, "42", "..."), ", ", level(), ") end")
	callers := []string{"e"}
	for _, name := range []string{"f", "h", "k"}[:1+g.n(3)] {
		inner := oneOf(g, callers)
		body := g.pick("return X(...)", "X(...)", "return (X(...))", "local r = X(...) return r", "return pcall(X, ...)", "return X(...), 1",
			"for i = 1, 1 do X(...) end", "return (function(...) return X(...) end)(...)", "(string.gsub)('x', 'x', function() X() end)", "table.sort({1, 2}, X)",
			"return coroutine.wrap(X)(...)", "return setmetatable({}, {__index = X}).x", "return setmetatable({}, {__call = X})()", "return xpcall(X, function(m) return m, 1 end)",
			"local co = coroutine.create(X) return coroutine.resume(co, ...)", "return setmetatable({}, {__add = X}) + 1", "return select(1, X(...))", "return tostring(setmetatable({}, {__tostring = X}))")
		g.line("local function ", name, "(...) ", strings.ReplaceAll(body, "X", inner), " end")
		callers = append(callers, name)
	}
	for range 1 + g.n(2) {
		last := callers[len(callers)-1]
		g.line("T(", g.label(), ", pcall(", g.pick(last, "function() "+last+"('x') end", "function() return "+last+"('x') end", "function() local t = {m = "+last+"} t.m() end",
			"function() local t = {m = "+last+"} t:m(1) end"), "))")
	}
	if g.chance(40) {
		what := g.pick("getfenv", "setfenv")
		g.line("T(", g.label(), ", pcall(function() local function q() return ", what, "(", level(), map[string]string{"getfenv": "", "setfenv": ", {}"}[what], ") ~= nil end return q() end))")
	}
	g.indent--
	g.line("end")
}

// depthUnit recurses through native functions beyond the depth that PUC allows. The depth where that ends is
// not traced: it depends on what runs the program.
func (g *generator) depthUnit() {
	body := g.pick("return pcall(r, n)", "return select(2, pcall(r, n))", "return (('x'):gsub('x', r))", "return tostring(setmetatable({}, {__tostring = r}))", "return coroutine.wrap(r)()",
		"local ok, v = coroutine.resume(coroutine.create(r)) return v", "local t = {2, 1} table.sort(t, function() r() return false end) return t", "return loadstring('return (...)()')(r)",
		"return setmetatable({}, {__index = r}).x", "return xpcall(r, function(m) return m end)", "return assert(load(function() r() return nil end))", "for a in r do return a end", "return table.foreach({1}, r)")
	g.line("do")
	g.indent++
	g.line("local deep = 0")
	g.line("local function r() deep = deep + 1 if deep > ", g.pick("100", "150", "250"), " then ", g.pick("return 'end'", "error('deep')"), " end ", body, " end")
	// The position depends on whether the reference's hook was called at the greatest depth.
	g.line("local ok, m = pcall(r) T(", g.label(), ", ok, type(m), type(m) == 'string' and #m < 200 and m:gsub('prog:%d+: C', 'C'), deep > 99)")
	g.indent--
	g.line("end")
}

// traceUnit traces debug.traceback and debug.getinfo in functions that call each other in many ways. What runs the
// program is cut off.
func (g *generator) traceUnit() {
	g.line("do")
	g.indent++
	g.line(`local function cut(s) return type(s) == "string" and s:gsub("in main chunk.*", "in main chunk") or s end`)
	what := g.pick(`T(X, cut(debug.traceback("m")))`, `T(X, cut(debug.traceback("m", 1)))`, `T(X, cut(debug.traceback("", 2)))`, `T(X, cut(debug.traceback(1, 0)))`, "T(X, info(1), info(2))", "T(X, info(2), info(3))")
	g.line(`local function info(l) local i = debug.getinfo(l + 1, "nSl") if not i or i.short_src ~= "prog" and i.what == "Lua" or i.what == "main" then return i and i.currentline end i.source = nil if i.what == "C" and l > 2 then return "C" end return i end`)
	g.line("local function e(...) ", strings.ReplaceAll(what, "X", g.label()), g.pick("", " return ...", " return 1, 2"), " end")
	callers := []string{"e"}
	for _, name := range []string{"f", "h", "k", "glob", "t.m", "t:n"}[:1+g.n(6)] {
		inner := oneOf(g, callers)
		body := g.pick("return X(...)", "X(...)", "return (X(...))", "local r = X(...) return r", "return pcall(X, ...)", "return X(...), 1", "local up = X return (up(1))",
			"for i = 1, 1 do X(...) end", "return (function(...) return X(...) end)(...)", "(string.gsub)('x', 'x', function() X() end)", "local up = X return (function() up() end)()",
			"return (setmetatable({}, {__index = X}).x)", "for _ in X do break end", "local u = {X} u[1](2)", "local u = {a = {b = X}} u.a.b()", "local s = setmetatable({}, {__add = X}) + 1 return s")
		if strings.HasPrefix(name, "t") {
			g.line("t = t or {}")
		}
		g.line(map[bool]string{true: "function ", false: "local function "}[name == "glob" || name[0] == 't'], name, "(...) ", strings.ReplaceAll(body, "X", inner), " end")
		if name == "t:n" {
			name = "t.n"
		}
		callers = append(callers, name)
	}
	last := callers[len(callers)-1]
	g.line("T(", g.label(), ", ", last, "('x'))")
	switch g.n(3) {
	case 0:
		g.line("local co = coroutine.create(function(...) local function y(...) coroutine.yield(...) end y(1) ", g.pick("y(2)", "do return y(2) end", "T("+g.label()+", debug.traceback('in'))"), " ", last, "() end)")
		for range 3 {
			g.line("T(", g.label(), `, cut(debug.traceback(co`, g.pick("", `, "m"`, `, "m", 0`, `, "m", 1`, ", nil"), ")), coroutine.resume(co))")
		}
	case 1:
		g.line("T(", g.label(), ", cut(select(2, xpcall(function() ", last, "() ", g.pick("error('e')", "local x = nil; x()", "string.rep()", "error()"), " end, ", g.pick("debug.traceback", "function(m) return debug.traceback(m, 2) end"), "))))")
	}
	g.line("t, glob = nil, nil")
	g.indent--
	g.line("end")
}
