package luafuzz

import (
	"fmt"
	"strconv"
	"strings"
)

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
		g.line("local t = {", list(g.pickInt(100, 190, 290, 350), func(i int) string { return fmt.Sprintf("%d.5", i) }),
			"}")
		x := g.pick("1000.25", `"far"`, "777")
		g.line("local x = ", g.operand(aNumber, 1), " local o = {far = 1, [777] = 2}")
		g.line("T(", g.label(), ", x == ", x, ", ", x, " == x, x ~= ", x,
			", o.far, o[777], o.far2, pcall(function() return x < ", x, " end))")
		g.line("o.far2 = 5 o[778] = x T(", g.label(), ", o, x + 1000.75, 1000.75 - x, x * 3.25, #t, t[150], o:far3())")
	case 1: // many variables
		n := 100 + g.n(90)
		g.line("local ", list(n, func(i int) string { return "v" + number(i) }), " = ", list(n-1, number))
		g.line("local function up() v1, v", number(n), " = v", number(n), ", v1 return v1, v", number(n), " end")
		g.line("T(", g.label(), ", up(), up(), ", g.pick("v50 + v60 * (v70 - (v80 / v90))", "v50 .. v60 .. v70",
			"{v1, v2, v3}", "select('#', v1, up())"), ")")
		g.line("v1, v2, v3, v4 = v4, v3, ", g.pick("v2", "up()"), " T(", g.label(), ", v1, v2, v3, v4)")
	case 2: // many upvalues
		n := 40 + g.n(19)
		g.line("local ", list(n, func(i int) string { return "u" + number(i) }), " = ", list(n, number))
		g.line("local function f() ", strings.ReplaceAll(list(n, func(i int) string {
			return fmt.Sprintf("u%d = u%d + 1 ",
				i, i)
		}), ",", ""), " return u1 + u", number(n), " end")
		g.line("T(", g.label(), ", f(), f(), u1, u", number(n), ")")
	case 3: // many arguments and elements
		n := 45 + g.n(120)
		g.line("local function count(...) return select('#', ...), (select(", number(n), ", ...)) end")
		g.line("T(", g.label(), ", count(", list(n, number), "), count(", list(n-1, number), ", ...))")
		g.line("local t = {", list(n, number), ", k = 1, ", g.pick("...", "count(...)", "nil", "(count(...))"), "}")
		g.line("T(", g.label(), ", #t, t[50], t[51], t[", number(n), "], t[", number(n+1), "], t[", number(n+2),
			"], t.k)")
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

// depthUnit recurses through native functions beyond the depth that PUC allows. The depth at the end is not traced:
// it depends on the caller of the program.
func (g *generator) depthUnit() {
	body := g.pick("return pcall(r, n)", "return select(2, pcall(r, n))", "return (('x'):gsub('x', r))",
		"return tostring(setmetatable({}, {__tostring = r}))", "return coroutine.wrap(r)()",
		"local ok, v = coroutine.resume(coroutine.create(r)) return v",
		"local t = {2, 1} table.sort(t, function() r() return false end) return t",
		"return loadstring('return (...)()')(r)",
		"return setmetatable({}, {__index = r}).x", "return xpcall(r, function(m) return m end)",
		"return assert(load(function() r() return nil end))", "for a in r do return a end",
		"return table.foreach({1}, r)")
	g.line("do")
	g.indent++
	g.line("local deep = 0")
	g.line("local function r() deep = deep + 1 if deep > ", g.pick("100", "150", "250"), " then ",
		g.pick("return 'end'", "error('deep')"), " end ", body, " end")
	// The position depends on whether the reference's hook was called at the greatest depth.
	g.line("local ok, m = pcall(r) T(", g.label(),
		", ok, type(m), type(m) == 'string' and #m < 200 and m:gsub('prog:%d+: C', 'C'), deep > 99)")
	g.indent--
	g.line("end")
}
