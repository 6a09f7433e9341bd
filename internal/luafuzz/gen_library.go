package luafuzz

import "strings"

// A libraryCall is a function of a library with the usual kinds of its parameters. The letters are those of argument.
type libraryCall struct {
	name   string
	params string // lower case: required; an upper case letter may be left out
}

var libraryCalls = []libraryCall{
	{"string.sub", "siI"}, {"string.rep", "sc"}, {"string.find", "spIB"}, {"string.find", "spI"}, {"string.match",
		"spI"},
	{"string.gsub", "sprC"}, {"string.gsub", "sprC"}, {"string.byte", "sII"}, {"string.char",
		"bBB"}, {"string.reverse", "s"},
	{"string.upper", "s"}, {"string.lower", "s"}, {"string.len", "s"}, {"string.gmatch", "sp"},
	{"string.format", "fvVV"}, {"string.format", "fvV"}, {"string.format", "fv"},
	{"table.concat", "tSII"}, {"table.concat", "tS"}, {"table.maxn", "t"}, {"table.getn", "t"}, {"table.insert", "tv"},
	{"table.insert", "tjv"}, {"table.remove", "tJ"}, {"table.sort", "tF"}, {"table.foreach", "of"}, {"table.foreachi",
		"tf"},
	{"math.floor", "n"}, {"math.ceil", "n"}, {"math.abs", "n"}, {"math.max", "nNN"}, {"math.min", "nNN"}, {"math.fmod",
		"nn"},
	{"math.mod", "nn"}, {"math.modf", "n"}, {"math.sqrt", "n"}, {"math.frexp", "n"}, {"math.ldexp", "ni"}, {"math.pow",
		"nx"},
	{"math.deg", "n"}, {"math.rad", "n"},
	{"tonumber", "sX"}, {"tonumber", "s"}, {"tonumber", "n"}, {"tostring", "v"}, {"type", "V"}, {"select", "ivVV"},
	{"unpack", "tII"}, {"rawget", "tv"}, {"rawequal", "vv"}, {"rawset", "tkv"}, {"next", "oK"}, {"ipairs", "t"},
	{"setmetatable", "tM"}, {"getmetatable", "v"}, {"assert", "vVV"}, {"pcall", "vVV"}, {"xpcall", "vV"}, {"error",
		"vL"},
	{"loadstring", "sS"}, {"getfenv", "l"}, {"setfenv", "lt"}, {"coroutine.create", "v"}, {"coroutine.wrap", "v"},
	{"coroutine.status", "v"}, {"coroutine.resume", "vV"}, {"coroutine.running", ""}, {"collectgarbage", "S"},
}

// argument returns an argument for a parameter's letter.
func (g *generator) argument(letter byte) string {
	if g.n(14) == 0 && letter|0x20 != 'l' {
		letter = "vsbtovvv"[g.n(8)] // a wrong one
	}
	switch letter | 0x20 {
	case 's':
		if g.chance(15) {
			return g.numeral()
		}
		return g.quoted()
	case 'i': // a position
		return g.pick("1", "2", "3", "-1", "-2", "0", "10", "-10", `"2"`, "1.5", "nil", "2.9", "1e9")
	case 'j': // a position that PUC shifts elements from, one by one
		return g.pick("1", "2", "3", "4", "10", "-2", `"2"`, "1.5")
	case 'l': // a level; the callers of a program differ between engines
		return g.pick("0", "1", "2", "1", "-1", "9999", "nil", `"1"`, "print")
	case 'c': // a count
		return g.pick("0", "1", "2", "3", "-1", `"2"`, "1.5", "2.9")
	case 'b': // a byte, or a flag
		return g.pick("65", "97", "48", "0", "255", "256", "-1", "true", "false", "nil", `"66"`)
	case 'p':
		return quoteLua(g.pattern())
	case 'r':
		return g.replacement()
	case 'f':
		return quoteLua(g.format())
	case 't':
		return g.pick("{1, 2, 3}", `{"c", "a", "b"}`, "{}", "{10, 20, n = 1}", `{"x", 1, "y", 2.5}`, "{3, 1, 2, 5, 4}",
			"t")
	case 'o':
		return g.pick("{k = 1}", "{5}", "{}", `{["x"] = {}}`)
	case 'k':
		return g.pick("nil", `"k"`, "1", `"nokey"`, "1.5", "{}")
	case 'n':
		return g.pick("0", "1", "-1", "2.5", "-2.5", "7", "10", `"3"`, "1/0", "-1/0", "123456789012", "0.5", "100",
			"-0.5", "3", "4", "1e300")
	case 'x': // a base, or an exponent
		return g.pick("2", "16", "10", "8", "36", "37", "1", `"16"`, "nil", "3")
	case 'm':
		return g.pick("nil", "{}", "{__index = {a = 1}}", `{__metatable = "locked"}`, "t")
	default:
		return g.pick("nil", "true", "false", "0", "1", "-1.5", `"s"`, `""`, "{}", "{1, 2}", "print",
			"function() return 1, 2 end",
			"function(a, b) return a end", "function(a, b) return b end", `"5"`, "t", "function(a, b) return a < b end")
	}
}

func quoteLua(s string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`) + `"`
}

// pattern returns a Lua pattern, well formed more often than not.
func (g *generator) pattern() string {
	var b strings.Builder
	if g.chance(12) {
		b.WriteByte('^')
	}
	open := 0
	for range 1 + g.n(4) {
		item := g.pick("a", "b", "x", ".", "%a", "%d", "%w", "%s", "%l", "%u", "%p", "%c", "%x", "%A", "%D", "[abc]",
			"[^a]", "[a-z]",
			"[%w_]", "[]]", "[^]]", "%.", "%%", "l", "[a-]", "[%a-z]", "o", "e", "1", ",", "%z", "-")
		switch g.n(26) {
		case 0, 1:
			b.WriteByte('(')
			open++
		case 2:
			b.WriteString("()")
			continue
		case 3:
			item = g.pick("%b()", "%bxy", "%f[%w]", "%f[^a]", "%1", "%2", "%b", "%f", "[a", "%", "(", ")", "[%", "[",
				"%9",
				"%0", "]")
		}
		b.WriteString(item)
		b.WriteString(g.pick("", "", "", "*", "+", "-", "?"))
		if open > 0 && g.chance(60) {
			b.WriteByte(')')
			open--
		}
	}
	for open > 0 && g.chance(92) {
		b.WriteByte(')')
		open--
	}
	if g.chance(12) {
		b.WriteByte('$')
	}
	return b.String()
}

func (g *generator) replacement() string {
	return g.pick(`"z"`, `"<%0>"`, `"%1"`, `"%2%1"`, `"%%"`, `""`, `"%"`, `"%x"`, "{a = 'A', b = false, x = 1}", "{}",
		"{true}", "5",
		"string.upper", "function(a, b) return b end", "function() end", "function() return false end",
		"function(a) return a .. a end",
		"function() return {} end", "function(...) return select('#', ...) end", "function(a) error(a) end",
		"setmetatable({}, {__index = function(t, k) return k .. k end})", "nil", "true")
}

// format returns a format; %d and the like get whole numbers of moderate size from C's conversions.
func (g *generator) format() string {
	var b strings.Builder
	for range 1 + g.n(3) {
		b.WriteString(g.pick("", "x", " ", "%%"))
		b.WriteByte('%')
		switch g.n(24) {
		case 0:
			b.WriteString(g.pick("123", "#####", "-+ #0", "5.123", ".", "ll", "", "y", "w", "p", "n", "a", "l", "*",
				"h", "Z"))
		default:
			b.WriteString(g.pick("", "", "", "-", "0", "+", " ", "#"))
			b.WriteString(g.pick("", "", "5", "12", "1"))
			b.WriteString(g.pick("", "", ".0", ".3", ".10", "."))
		}
		b.WriteString(g.pick("d", "s", "s", "d", "i", "u", "c", "x", "X", "o", "e", "E", "f", "g", "G", "q"))
	}
	return b.String()
}

// callText returns a call of a library function with mostly fitting arguments.
func (g *generator) callText() (name string, args []string) {
	c := oneOf(g, libraryCalls)
	for i := range len(c.params) {
		letter := c.params[i]
		if letter < 'a' && g.chance(45) {
			break
		}
		args = append(args, g.argument(letter))
	}
	if strings.HasSuffix(c.name, "etfenv") {
		return c.name, []string{g.argument('l'), "{}"}[:len(c.params)]
	}
	switch g.n(20) {
	case 0:
		if len(args) > 0 {
			args = args[:len(args)-1]
		}
	case 1:
		args = append(args, g.argument('v'))
	case 2:
		args = nil
	}
	if c.name == "collectgarbage" {
		args = []string{g.pick(`"collect"`, `"nonsense"`, "nil", "{}")}
	}
	return c.name, args
}

// libraryProbe calls one library function and traces results and error.
func (g *generator) libraryProbe() {
	name, args := g.callText()
	list := strings.Join(args, ", ")
	switch {
	case strings.HasPrefix(name, "table.") || name == "rawset":
		// The table is traced after the call.
		if len(args) == 0 {
			g.line("T(", g.label(), ", pcall(", name, "))")
			return
		}
		rest := strings.Join(append([]string{"t"}, args[1:]...), ", ")
		table := args[0]
		if table == "t" {
			table = "{5, 6, 7, 8, 9}"
		}
		g.line("T(", g.label(), ", pcall(function() local t = ", table, " return t, ", name, "(", rest, ") end))")
	case name == "string.gmatch":
		g.line("T(", g.label(), ", pcall(function() local all = {} for a, b in ", name, "(", list,
			") do all[#all + 1] = {a, b} end return all end))")
	case strings.HasPrefix(name, "string.") && g.chance(25) && len(args) > 0:
		g.line("T(", g.label(), ", pcall(function() local t = {} return (", args[0], "):", name[len("string."):], "(",
			strings.Join(args[1:], ", "), ") end))")
	case g.chance(50):
		g.line("T(", g.label(), ", pcall(function(t) return ", name, "(", list, ") end, {1, 2}))")
	case list == "":
		g.line("T(", g.label(), ", pcall(", name, "))")
	default:
		g.line("do local t = {4, 5} T(", g.label(), ", pcall(", name, ", ", list, ")) end")
	}
}

func (g *generator) libraryUnit() {
	for range 3 + g.n(5) {
		if g.chance(25) {
			lines := g.expand(oneOf(g, libraryShapes))
			g.line("do")
			g.line(strings.TrimSuffix(lines, "\n"))
			g.line("end")
			continue
		}
		g.libraryProbe()
	}
}

// libraryShapes are templates, as in shapes, about libraries.
var libraryShapes = trimAll([]string{
	`T($l, tonumber("0x10"), tonumber("1e5"), tonumber(" 10 "), tonumber("010"), tonumber("1_000"), ` +
		`tonumber("0b11"), tonumber(""))`,
	`T($l, tonumber("inf"), tonumber("0x"), tonumber("1 2"), tonumber("1e"), tonumber("- 1"), tonumber("-0x10"), ` +
		`tonumber(" \n7\t"), tonumber("0x1p2"), tonumber("."))`,
	`T($l, tonumber("10", 2), tonumber("ff", 16), tonumber("zz", 36), tonumber("9", 8), tonumber("10", "16"), ` +
		`tonumber(10, 16), tonumber(" 11 ", 2), pcall(tonumber, "1", 99))`,
	`T($l, tonumber($s), tonumber($a), pcall(tonumber), tonumber("1" .. $d), tostring($n), tostring(nil), ` +
		`pcall(tostring))`,
	`T($l, ("x"):rep("3"), ("abc"):sub("2"), ("abc"):byte("1"), ("%d"):format("7"), ("%s"):format($n), #("x"):rep($d))`,
	`T($l, ("abc"):find("", 10), ("abc"):find("", 4), ("abc"):find("b", -1), ("abc"):find("c", -1), ` +
		`("a.c"):find(".", 2, true), ("abc"):find("", -10))`,
	`T($l, table.maxn{[1] = 1, [10.5] = 1}, table.maxn({}), table.maxn({1, 2, nil, 4}), table.maxn({[-1] = 1}), ` +
		`math.modf(1/0), math.modf(-3.7))`,
	`T($l, pcall(next, {}, "nokey"), next({}), next({$d}), rawequal("a", "a"), rawget({$d}, 1), select("#", next({})))`,
	`
local t = {5, 2, 8, 1, 9, 3}
table.sort(t, function(a, b) return a $c b and a ~= b end)
T($l, t, pcall(table.sort, {3, 1, 2}, nil), pcall(table.sort, {1, "x"}), pcall(table.sort, {$d, {}, 2}))`,
	`
local t = {}
for i = 1, $d * 3 do t[i] = (i * 7) % 11 end
table.sort(t)
T($l, t)
table.sort(t, function(a, b) return a > b end)
T($l, t)`,
	`
local words = {"delta", "alpha", "Charlie", "bravo", "10", "9", ""}
table.sort(words)
T($l, words, table.concat(words, "|"))
table.sort(words, function(a, b) return #a < #b or #a == #b and a < b end)
T($l, words, table.concat(words, ",", 2, 4), table.concat({}, "x"), pcall(table.concat, {1, {}, 3}))`,
	`
local t = {1, 2, 3}
table.insert(t, $d) table.insert(t, 1, $s) table.insert(t, 3, "mid")
T($l, t, table.remove(t), table.remove(t, 1), table.remove({}), #t, t)
T($l, pcall(table.insert, t), pcall(table.insert, t, 1, 2, 3), pcall(table.insert, nil, 1), pcall(table.insert, {}, "x", 1))`,
	`
local t = {1, 2}
table.insert(t, 10, "far") table.insert(t, -1, "neg")
T($l, t, table.remove(t, 99), table.getn({1, 2, 3}))
T($l, table.foreach({x = 1}, function(k, v) return k .. v end), table.foreachi({4, 5}, function(i, v) if i == 2 then return v end end))`,
	`
local out = {}
for k, v in ("a=1, b=2, c"):gmatch("(%w+)=(%w+)") do out[#out + 1] = k .. v end
T($l, out, ("hello world"):gsub("o", "0", 1), ("abc"):gsub("", "-"), ("abc"):gsub("%w", "%0%0"), ("hello"):gsub("l+", string.upper))
T($l, ("@name is @x"):gsub("@(%w+)", {name = "n", x = $d}), pcall(string.gsub, "a", "(", "x"), pcall(string.gsub, "abc", "%w", "%2"))`,
	`
T($l, ("%5d|%-5d|%05d|%+d"):format(42, 42, 42, 42), ("%5.2f|%g|%e"):format(3.14159, 1e20, 12345.678), ("%x %X %o %c"):format(255, 255, 8, 65))
T($l, ("%q"):format('a "b" \\ \n \0 \r'), ("%s %s"):format(1, "x"), ("%10.3s|"):format("abcdef"), ("%%"):format(), pcall(string.format, "%d", "x"))
T($l, pcall(string.format, "%d"), pcall(string.format, "%y", 1), pcall(string.format, "%"), ("%g %g %g"):format(1e15, 0.1, 100), ("%.14g"):format($n))`,
	`T($l, math.max(1, $n), math.min($n, 2), pcall(math.max), math.floor(-3.5), math.ceil(-3.5), math.fmod(-5, 3), ` +
		`math.fmod(5, -3), math.huge, -math.huge, math.pi)`,
	`
local t = setmetatable({}, {__index = function(t, k) return k end, __newindex = function(t, k, v) rawset(t, k, {v}) end, __call = function(self, ...) return ... end})
t.x = $d
T($l, t.x, t.y, rawget(t, "y"), t(1, $a), t[1], #t, next({}, nil))`,
	`
T($l, pcall(setmetatable, 1, {}), pcall(setmetatable, {}, 1), pcall(setmetatable, {}), pcall(setmetatable, setmetatable({}, {__metatable = 1}), {}))
T($l, getmetatable(setmetatable({}, {__metatable = $d})), getmetatable("").__index == string, getmetatable({}), pcall(getmetatable))`,
	`
string.split = function(s, sep) local out = {} for piece in (s .. sep):gmatch("(.-)" .. sep) do out[#out + 1] = piece end return out end
T($l, ("a,b,,c"):split(","), ($s):split("b"))
string.split = nil
T($l, pcall(function() return ("x"):split(",") end), ("x").len, ("x").nothing, pcall(function() return ("x").a.b end))`,
	`T($l, pcall(assert, false), pcall(assert, nil, "why"), pcall(assert, false, {1}), assert(1, 2, 3), ` +
		`pcall(assert), pcall(assert, $a, $s))`,
	`T($l, pcall(ipairs), pcall(pairs, nil), pcall(ipairs, $a), pcall(rawset, {}, nil, 1), pcall(rawget, 1, 1), ` +
		`pcall(unpack), type(nil), pcall(type))`,
	`T($l, #"\0a\0", ("\0a"):byte(1, -1), ("a\0b"):find("\0"), ("a\0b"):find("%z"), ("a\0b"):rep(2), "a\0b" < ` +
		`"a\0c", "a\0" == "a", ("a\0b"):upper())`,
	`T($l, os.time({year = 2020, month = 1, day = 1, hour = 12}) - os.time({year = 2020, month = 1, day = 1, hour = ` +
		`0}), pcall(os.time, {year = 2020}), os.date("!%Y-%m-%d %H:%M:%S", $d * 86400), os.date("!*t", 0))`,
})
