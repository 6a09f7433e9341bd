package luafuzz

import "strings"

// operatorUnit applies operators to values of all types, objects with random metamethods included.
func (g *generator) operatorUnit() {
	g.line("do")
	g.indent++
	g.line("local log = {}")
	g.line("local function show(v) return type(v) == 'table' and rawget(v, 'name') or tostring(v) end")
	for _, name := range []string{"A", "B"} {
		g.metatable(name)
	}
	g.line("local a, b, c = setmetatable({name = 'a'}, A), setmetatable({name = 'b'}, ", g.pick("A", "B"),
		"), setmetatable({name = 'c'}, B)")
	g.line("local u = newproxy(", g.pick("", "true"), ")",
		g.pick("", " for k, v in pairs(A) do (getmetatable(u) or {})[k] = v end"))
	for range 3 + g.n(5) {
		e := g.operation()
		if g.chance(20) {
			e = g.operation() + g.pick(" and ", " or ", " .. ", " == ") + "(" + e + ")"
		}
		g.line("T(", g.label(), ", pcall(function() ", g.pick("return ", "return ", "return ", "local r = "), e,
			" end))")
	}
	g.line("T(", g.label(), ", log)")
	g.indent--
	g.line("end")
}

var events = []string{"add", "sub", "mul", "div", "mod", "pow", "unm", "concat", "len", "eq", "lt", "le", "index",
	"newindex", "call", "tostring"}

// metatable declares a metatable with some metamethods, which note that they were called.
func (g *generator) metatable(name string) {
	g.line("local ", name, " = {}")
	for _, event := range events {
		if !g.chance(45) {
			continue
		}
		switch {
		case event == "index" && g.chance(50):
			g.line(name, ".__index = ", g.pick("{x = 1, name2 = 'deep'}", "string", "A", name,
				"setmetatable({}, {__index = function(_, k) return k end})", "5", "'text'"))
		case event == "newindex" && g.chance(50):
			g.line(name, ".__newindex = ", g.pick("{}", "A", name, "5", "log"))
		case event == "call" && g.chance(20):
			g.line(name, ".__call = ", g.pick("5", "A", "setmetatable({}, {__call = function() return 'inner' end})"))
		default:
			result := g.pick("'"+event+"'", "'"+event+"', 2", "true", "false", "nil", "5", "show(x) .. show(y)", "x",
				"y, x",
				"error('"+event+"', "+g.pick("0", "1", "2")+")")
			g.line(name, ".__", event, " = function(x, y, ...) log[#log + 1] = '", event,
				"' .. show(x) .. show(y) .. select('#', ...) ",
				g.pick("", "", "", "y = x "), "return ", result, " end")
		}
	}
	if g.chance(25) {
		other := g.pick("add", "eq", "lt", "le", "concat", "call")
		g.line(name, ".__", other, " = ", g.pick("A", name), ".__", g.pick("add", "eq", "lt", "le", "concat", other))
	}
}

func (g *generator) operandOfAnyType() string {
	return g.pick("a", "b", "c", "a", "b", "c", "u", "1", "2.5", "'10'", "'0x10'", "'text'", "''", "nil", "true", "{}",
		"print", "-0", "(0/0)", "1e300", g.numberLeaf(), g.stringLeaf())
}

func (g *generator) operation() string {
	x, y := g.operandOfAnyType(), g.operandOfAnyType()
	switch g.n(14) {
	case 0, 1, 2, 3:
		return x + " " + g.pick("+", "-", "*", "/", "%", "^", "..", "..") + " " + y
	case 4, 5, 6:
		return x + " " + g.pick("==", "~=", "<", "<=", ">", ">=") + " " + y
	case 7:
		if strings.HasPrefix(x, "-") {
			x = "(" + x + ")"
		}
		return g.pick("-", "#", "not ") + x
	case 8:
		return "(" + x + ")[ " + y + " ]"
	case 9:
		return "(" + x + ")." + g.pick("x", "name", "len", "missing") + g.pick("", ".y", "()")
	case 10:
		return "(" + x + ")(" + y + ", 2)"
	case 11:
		return "(" + x + "):" + g.pick("x", "name", "len", "rep", "missing") + "(" + y + ")"
	case 12:
		return "(function() local t = " + x + " t[ " + y + " ] = 1 t.x = 2 return rawget(t, 'x') end)()"
	default:
		return g.pick("tostring", "tonumber", "type", "ipairs", "pairs", "unpack", "getmetatable", "rawequal", "select",
			"assert", "table.concat", "table.sort", "string.rep",
			"math.floor", "print", "string.format", "setmetatable", "table.insert", "string.len") + "(" + x +
			g.pick("", ", "+y) + ")"
	}
}

// patternUnit matches random texts of few letters with random patterns.
func (g *generator) patternUnit() {
	g.line("do")
	g.indent++
	g.line("local function all(s, p) local r = {} for a, b, c in s:gmatch(p) do r[#r + 1] = tostring(a) .. " +
		"tostring(b) .. tostring(c) if #r > 20 then break end end return r end")
	for range 2 + g.n(5) {
		var subject strings.Builder
		for range g.n(14) {
			subject.WriteString(g.pick("a", "a", "b", "x", "1", " ", "(", ")", "%", "-", ".", "\\0", "\\n", "[", "]",
				"^",
				"A", "_", "\\255"))
		}
		s, p := `"`+subject.String()+`"`, quoteLua(g.pattern())
		switch g.n(6) {
		case 0:
			g.line("T(", g.label(), ", pcall(string.find, ", s, ", ", p, g.pick("", ", 2", ", -3", ", 0", ", 99",
				", 1, true", ", nil, false"), "))")
		case 1:
			g.line("T(", g.label(), ", pcall(string.match, ", s, ", ", p, g.pick("", ", 2", ", -3"), "))")
		case 2:
			g.line("T(", g.label(), ", pcall(all, ", s, ", ", p, "))")
		default:
			g.line("T(", g.label(), ", pcall(string.gsub, ", s, ", ", p, ", ", g.replacement(),
				g.pick("", "", ", 1", ", 0",
					", -1", ", 2.5"), "))")
		}
	}
	g.indent--
	g.line("end")
}
