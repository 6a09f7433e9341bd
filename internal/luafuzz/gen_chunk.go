package luafuzz

import "strings"

// chunkUnit loads source at run time: programs of the generator with a token changed, and known errors.
func (g *generator) chunkUnit() {
	for range 2 + g.n(3) {
		source := oneOf(g, badChunks)
		if g.chance(60) {
			source = g.mutated(g.snippet())
		}
		name := g.pick("", "", `, "=name"`, `, "@file.lua"`, `, "chunk text"`)
		g.line("T(", g.label(), ", loadstring(", quoteChunk(source), name, "))")
	}
	g.protectedTemplate(oneOf(g, chunkShapes))
}

// snippet returns a few statements.
func (g *generator) snippet() string {
	saved := g.budget
	g.budget = 3
	count, fn := len(g.vars), g.fn
	g.fn = function{vararg: true}
	text := g.detached(func() { g.statements(1 + g.n(2)) })
	g.vars, g.fn = g.vars[:count], fn
	g.budget = saved - 1
	return text
}

// mutated deletes, doubles or exchanges a token, most of the time. Line breaks stay.
func (g *generator) mutated(source string) string {
	var pieces []string // tokens and the space between them
	for rest := source; rest != ""; {
		n := len(rest) - len(strings.TrimLeft(rest, " \t\r\n"))
		if n == 0 {
			var err error
			_, n, err = scan(rest)
			if err != nil {
				return source
			}
		}
		pieces = append(pieces, rest[:n])
		rest = rest[n:]
	}
	if len(pieces) == 0 || g.chance(10) {
		return source
	}
	at := g.n(len(pieces))
	switch g.n(4) {
	case 0:
		pieces[at] = " "
	case 1:
		pieces[at] += " " + pieces[at]
	case 2:
		pieces[at] = g.pick("end", "(", ")", "=", ",", "then", "do", "x", "1", `"s"`, "}", "{", "..", "...", "local",
			"return", "not", "nil", "break",
			"function", "for", "in", "@", "!", "~", "&", "$", "\\", "'", "\"", "[[", "--[[", "3x", "0x", "1..2", "goto",
			"::", "//", "~=", "]", ":", ";", "elseif")
	default:
		other := g.n(len(pieces))
		pieces[at], pieces[other] = pieces[other], pieces[at]
	}
	return strings.Join(pieces, "")
}

// quoteChunk returns source as a Lua string literal on one line.
func quoteChunk(source string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\x00", `\0`).Replace(source) + `"`
}

var badChunks = []string{
	"x =", "for i = 1 do end", "return return", "x = = 1", "local function", "goto x", "goto = 1 return goto", "break",
	"a.b:c = 1", "f() = 1",
	"local f\n(f)(1)", "f\n(g)", "x = 'unfinished", "x = [[unfinished", "--[[ unfinished", `x = "\400"`, "x = 3x",
	"x = 0xg", "x = 1..2", "x = }",
	"until x", "return 1,", "local a <const> = 1", "::l::", "x = ~1", "x = a // b", "x = a != b", "if x then",
	"while true do", "repeat until",
	"for a b in c do end", "for in x do end", "function f(a, ..., b) end", "function f(a.b) end", "local x.y = 1",
	"x = function end", "x = {1, 2", "x = {,}",
	"return ...", "local function f() return ... end", "function f() break end", "do return end x = 1", "return; x = 1",
	"x = 1 y = 2 return x, y",
	"x = 'a\nb'", "x = [=[ a ]]", "x = [==", "x = 1 2", "x.1 = 2", "(x) = 1", "x, f() = 1, 2", "a, b.c, d[1] = 1",
	"x = not", "x = - ", "x = #", "x = a and",
	"local local x", "end", "else", "x = 08", "x = 1e", "x = 1e+", "x = .", "x = ..", "\"string\"", "1", "nil = 1",
	"x = nil.y", "x = 'a'.y", "x = ('a').y",
	"f 'a' 'b' {c = 1} [[d]]", "x = f{...}", "for i = 1, 2, 3, 4 do end", "for i, j = 1, 2 do end",
	"local function a.b() end", "function a:b.c() end",
	"while x do if y then break end end", "while x do do break end end", "while x do break x = 1 end",
	"x = [[ [[ ]] ]]", "\\", "x = \"\\", "#!shebang\nx = 1",
	"# comment\nreturn 1", ";", "x = 1;; y = 2", "x = 1; y = 2;", "local a = 1 local a = 2 return a",
	"return function() return ... end",
	"x = 0x", "x = 3.4.5", "x = 1__2", "x = 'a\\z b'", "x = '\\x41' return x", "x = '\\065\\10' return x",
	"a = b c = d", "a b", "a.b", "a:b", "a[1]", "a.b.c",
	"(a)", "((a))", "(a)()", "a()()", "a:b()", "a:b{}", "a.b'x'", "not x", "- x", "x ==", "x + 1", "function() end",
	"(function() end)()", "local x = 1 = 2",
	"if x then else if y then end", "if x then elseif then end", "if then end", "for i = 1, 10, do end",
	"for 1 = 1, 2 do end", "return return 1", "return break",
}

var chunkShapes = trimAll([]string{
	`
local f = loadstring("local a, b = ... T('chunk', a, b) return b, a, select('#', ...)")
T($l, f($v))
T($l, pcall(loadstring("error('in chunk')")), pcall(loadstring("local x = nil\n\nx()", "=named")), pcall(loadstring("return 1 + nil", "@file.lua")))
T($l, pcall(loadstring("\n\nundefined.x = 1", "a long chunk name that continues here until it must be cut because sixty bytes are enough")))
T($l, pcall(loadstring("error('x')", "first line\nsecond line")), pcall(loadstring), pcall(loadstring, {}), loadstring("x ="), loadstring("x =", "=n"))`,
	`
local n = 0
local pieces = {"return ", "$d + ", "$d", nil}
T($l, pcall(load, function() n = n + 1 return pieces[n] end), n)
T($l, pcall(load, function() return {} end), pcall(load, "return 1"), load(function() error("in reader") end))
local f = load(function() n = n + 1 if n < 8 then return " " elseif n == 8 then return "return 'late'" end end, "=reader")
T($l, f and f())`,
	`
local template = "local out = {} for i = 1, " .. $d % 5 .. " do out[#out + 1] = 'row ' .. i .. (suffix or '') end return out"
local f = assert(loadstring(template))
T($l, f()) T($l, setfenv(f, {suffix = $s})())
T($l, select(2, pcall(assert(loadstring("local t = {} return t.x.y", "=t")))))`,
})
