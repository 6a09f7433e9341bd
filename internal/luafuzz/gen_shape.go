package luafuzz

import "strings"

// shape writes one of the templates below as a separate block. In a template, $n is a number,
// $s a string, $b a condition, $a any value, $t a list, $d a digit, $l a trace label, $x a
// numeric variable in scope or a literal, $v a list of values with an open end.
func (g *generator) shape() { g.template(oneOf(g, shapes)) }

// template writes an expanded template as a block.
func (g *generator) template(text string) {
	g.line("do")
	g.lines(g.expand(text))
	g.line("end")
}

func (g *generator) lines(text string) {
	g.indent++
	for line := range strings.Lines(text) {
		g.line(strings.TrimSuffix(line, "\n"))
	}
	g.indent--
}

// protectedTemplate writes an expanded template whose errors end only itself, most of the time.
func (g *generator) protectedTemplate(text string) {
	switch g.n(6) {
	case 0:
		g.template(text)
	case 1:
		g.line("local function unit(a, ...)")
		g.lines(g.expand(text))
		g.line("end")
		g.line("T(", g.label(), ", pcall(unit, ", g.expressions(1+g.n(2), 1), "))")
	default:
		g.line("T(", g.label(), ", pcall(function()")
		g.lines(g.expand(text))
		g.line("end))")
	}
}

// shapeUnit writes a shape at the top of the program.
func (g *generator) shapeUnit() { g.protectedTemplate(oneOf(g, shapes)) }

// expand fills the places of a template.
func (g *generator) expand(template string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(template, "$")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		// The place may be inside a function of the template.
		b.WriteString(g.inFunction(func() string { return g.place(rest[0]) }))
		template = rest[1:]
	}
}

func (g *generator) place(code byte) string {
	switch code {
	case 'n':
		return g.operand(aNumber, 1)
	case 's':
		return g.operand(aString, 1)
	case 'b':
		return g.operand(aBoolean, 1)
	case 'a':
		return g.operand(g.anyKind(), 1)
	case 't':
		return g.list(1)
	case 'd':
		return g.pick("0", "1", "2", "3", "4", "5", "7", "9")
	case 'l':
		return g.label()
	case 'v':
		return g.expressions(1+g.n(3), 1)
	case 'x':
		return g.numberLeaf()
	case 'o': // an arithmetic operator
		return g.pick("+", "-", "*", "%", "/")
	case 'c': // a comparison
		return g.pick("<", "<=", ">", ">=", "==", "~=")
	case '&': // a logical operator
		return g.pick("and", "or")
	default:
		return "$" + string(code)
	}
}

// shapes are small programs in which engines have gone wrong. Each is written in random variations.
var shapes = trimAll([]string{
	// Concatenation assigned to a parameter or a local.
	`
local function f(s) s = s .. $s return s end
T($l, f("a"), f($s), pcall(f, $a))`,
	`
local function f(a, s) s = a .. s .. $n return s, a end
T($l, f("a", "b"), pcall(f, $v))`,
	`
local s, t = "", $s
for i = 1, 4 do s, t = s .. i, (t .. s):sub(1, 20) end
T($l, s, t)`,

	// Multiple assignment.
	`
local a, b, c = $d, $n, $d
a, b = b, a
T($l, a, b)
a, b, c = c, a, b
T($l, a, b, c)
a, b = b, a $o b
a, b, c = a + b, b, a
T($l, a, b, c)`,
	`
local a, b = 0, 1
for _ = 1, $d do a, b = b, a + b end
local x, y = 48, $d
while y > 0 do x, y = y, x % y end
T($l, a, b, x, y)`,
	`
local o, v = {x = $n, y = $a}, $a
o.x, v = v, o.x
T($l, o, v)
o.x, o.y, v = o.y, v, o.x
T($l, o, v)`,
	`
local x, y = $a
x, y = y, x
T($l, x, y)
local u, w = 1
local function swap() u, w = w, u return u, w end
T($l, swap(), swap())
u, w = w, u
T($l, u, w)`,
	`
local t, i = {10, 20, 30}, 1
i, t[i] = i + 1, $n
T($l, t, i)
t[i], i, t[i + 1] = i, t[1], i
T($l, t, i)`,
	`
local t = {$v}
local function f(...) t, G1 = {...}, t return ... end
t[1], t[2] = f($n, $n), f($d)
T($l, t, G1)
G1 = 1`,
	`
local a = {}
local i = 1
local function f() i = i + 1 return i end
a[i], a[f()], i = f(), f(), $d
T($l, a, i)
a[i], i = f(), f()
T($l, a, i)`,
	`
local a = {b = {}}
local function f() a = {b = {c = $d}} return a end
a.b, a = $a, f()
T($l, a)
a.b.c, a.b, f().b = 1, $a, 2
T($l, a)`,
	`
local n, s = $n, $s
local function g(x, y) return x, y end
local function f(n, a) n, a = g(a, n), g(n, a) return n, a end
T($l, f(n, s), f($v))
n, s = g(s, n), n
T($l, n, s)`,
	`
local function f(p, q, r) p, q, r = r, p, q; q, r = r, q; p, p = q, r return p, q, r end
T($l, f($v))
local a, a, a = 1, 2, $n
T($l, a)
a, a = $d, $n
T($l, a)`,

	// Logical assignment.
	`
local v = "old"
local function f() return $b end
local function g() return $a end
v = f() and g()
T($l, v)
v = f() and g() or $a
T($l, v)
v = not f() and g()
T($l, v)`,
	`
local t, v = {$b}, "old"
v = t.a and t.a.b
T($l, v)
v = t.a and t.a.b or v
T($l, v)
t.a = {b = $a}
v = t.a and t.a.b
T($l, v)`,
	`
local ok = $b
local function no() return false end
local function yes() return $a end
for i = 1, 2 do ok = ok and no() and yes() T($l, ok) ok = i end
ok = ok and (no() or yes())
T($l, ok)
ok = no() or no() and yes()
T($l, ok)`,
	`
local a, b, c = $a, $a, $a
local x = a and b or c
local y = (a or b) and c
local z = not (a and not b) == c
a = a and a or b
b = b == nil and b or not b
c = (c and nil) or (c or nil)
T($l, x, y, z, a, b, c)`,
	`
local a = $b
if a and not (a and $b) or nil then T($l, 1) elseif not a or $b then T($l, 2) else T($l, 3) end
local b = a == ($b and 1 or 2)
while a and b do a, b = not a, b T($l, a, b) if a then break end end
T($l, a and 1, b or 2, a ~= b and a)`,
	`
local x = $n
local t = {x > 1 and x, x <= 1 or x, y = x and x > 2, not x, not not x, (x)}
T($l, t, x $c 2 and "yes" or "no", x and x $c $n)
local function f(...) return ... and 1 or 2, $b and ... end
T($l, f($v), f(nil), f())`,
	`
local x = 1
x = x and (x $c 1) and (x $c 2) or x
T($l, x)
x = x == 1 and x or x == 2 and $a or false
T($l, x)
x = (x or $a) == (x and $a)
T($l, x, 1 $c 2 and 3, nil and undefined.x, false and undefined(), true or undefined())`,

	// Caught errors and upvalues.
	`
local n = 0
local function inc() n = n + 1 return n end
pcall(error, "x")
inc()
T($l, n, inc(), n)
T($l, pcall(function() inc() error({n}) end))
T($l, n, inc(), n)`,
	`
local n, log = 0, {}
local function retry(f, times)
  for i = 1, times do
    local ok, e = pcall(f, i)
    if ok then return e end
    log[#log + 1] = e
    n = n + 1
  end
  return "gave up"
end
T($l, retry(function(i) if i < $d then error("try " .. i, $d % 3) end return i end, 3), n, log)`,
	`
local n = 0
local function inc(d) n = n + d end
local ok, e = xpcall(function() inc(1) local x = nil; inc(x) end, function(m) inc(10) return m end)
T($l, ok, e, n)
inc(100)
T($l, n, (function() n = n + 1 return n end)())`,
	`
local n = 0
local gen = coroutine.wrap(function() for i = 1, 2 do n = n + i coroutine.yield(n) end error("end of " .. n) end)
for i = 1, 4 do T($l, pcall(gen, i)) n = n + 10 end
T($l, n)`,
	`
local log = {}
local function try(f, ...) local r = {pcall(f, ...)} log[#log + 1] = r[2] return unpack(r, 2, 3) end
local a, b = try(function(x) local y = x log.y = function() y = y + 1 return y end error("e") end, $d)
T($l, a, b, log, log.y(), log.y())
T($l, try($a), try(error), try(error, nil), try(try, error, {1}))`,

	// Generic for over expressions.
	`
local t = {k = $d}
for k, v in next, t do T($l, k, v) end
for k, v in next, t, nil do T($l, k, v) end
for k in pairs{$d} do if false then p = 1 end T($l, k) end
for i in pairs({$d}) do local x = false and i T($l, x) end`,
	`
local function req() return {f = {[7] = {5, 6}, iter = function(t) local i = 0 return function() i = i + 1 return t[i] end end}} end
for i, v in ipairs(req().f[7]) do T($l, i, v) end
for v in req().f.iter{$d, 8} do T($l, v) end
for i, v in req().f[1] or ipairs{$s} do T($l, i, v) end`,
	`
for k, v in (function() return next, {x = $d}, nil end)() do T($l, k, v) end
for i, v, w in function(s, c) if c < s then return c + 1, $s, s end end, $d, 1 do T($l, i, v, w) end
T($l, pcall(function() for x in $x do return x end end))`,
	`
T($l, pcall(function() for x in nil do end end))
T($l, pcall(function() for x in 5, 6 do end end))
T($l, pcall(function() local it for x in it do end end))
T($l, pcall(function() for x in setmetatable({}, {__call = function(_, s, c) if not c then return 1 end end}) do T($l, x) end return "end" end))`,
	`
local function range(n) local i = 0 return function() i = i + 1 if i <= n then return i end end end
local sum = 0
for a in range(3) do for b in range(a) do if b == $d then break end sum = sum + a * b end end
T($l, sum)
for a, b in range(2) do a = a + 1 T($l, a, b) end`,

	// A local is not visible in its own initializer.
	`
local tostring = function(x) return "<" .. tostring(x) .. ">" end
T($l, tostring($n), tostring(nil))
local x = x
local T0, f = T, f
local G1 = G1 and G1 + 1
T($l, x, G1)`,
	`
local f = 1
local f = function() return f end
T($l, f())
local function f(n) if n <= 0 then return 0 end return n + f(n - 1) end
T($l, f($d))
local a = 1 local a, b = a + 1, a
T($l, a, b)`,

	// Table constructors.
	`
local function f() return 1, 2, 3 end
T($l, #{"a", id = f()}, #{f(), id = f(), f()}, {f(), f()}, {(f())}, {f(), x = 1})
local function g(...) return {..., n = select("#", ...)}, {n = select("#", ...), ...}, #{n = 1, ...} end
T($l, g($d, $d, $d))
T($l, g($s))`,
	`
local i = 0
local function f() i = i + 1 return i end
T($l, {f(), f(), [f()] = f(), x = f(), f()}, {[1] = "a", "b"}, {"b", [1] = "a"}, {[$n] = 1, [2] = $a, $a; $v})`,
	`
T($l, pcall(function() return {[nil] = 1} end))
T($l, pcall(function() return {[0/0] = 1} end))
T($l, pcall(function() local t = {} t[nil] = 1 end))
T($l, pcall(function() local t = {} t[0/0] = $a return t end))
T($l, ({})[nil], ({$v})[1], ({[1.0] = 1})[1], ({["1"] = 1})[1])`,

	// Order of evaluation with calls that change a variable of the expression.
	`
local x = 1
local function f(...) x = x + 1 return x, ... end
T($l, x + f(), f() + x, x * f() - x)
T($l, x, f(), x, (f(x)))
T($l, {x, f(), x, [x] = f(), f(x)}, x .. f() .. x, x $c f())
local a, b, c = x, f(), x
T($l, a, b, c, -x + f(), #{x, f()}, not x == f())`,
	`
local t = {n = 0}
function t:inc(d) self.n = self.n + (d or 1) return self end
function t.get() return t.n end
T($l, t.n, t:inc().n, t.n, t:inc($d):inc(t.n).n, t.get(t:inc()))
T($l, t.n + t:inc().n, t:inc().n * t.n)
local u = t
u, u.n = nil, u:inc().n
T($l, u, t.n)`,
	`
local function f(a) local b = a a = a + 1 return function() a, b = b, a return a, b end end
local g = f($d)
T($l, g(), g(), (g()))
local h = f(g())
T($l, h(), g())`,
	`
local f = function(...) return "first", ... end
local function change() f = function(...) return "second", ... end return $a end
T($l, f(change(), f(1)))
local t = {f = f}
local function swap() t = {f = function() return "new" end} return 1 end
T($l, t.f(swap()), t.f(2))
local k = "f"
T($l, t[k](function() k = "g" end), k)`,
	`
local a = {1, 2, 3}
local b = a
a[1], b[1], a = b[2], a[3], nil
T($l, a, b)
b[#b + 1], b[#b + 1] = $d, $d
T($l, b)
b[#b], b[#b] = nil, 5
T($l, #b >= 3)`,

	// Closures and scopes.
	`
local fs = {}
for i = 1, 3 do local j = i * $d fs[i] = {function() j = j + i return j end, function() return i, j end} i = i + 10 end
for i = 1, 3 do T($l, fs[i][1](), fs[i][2]()) end`,
	`
local fs, i = {}, 0
repeat local x = i fs[#fs + 1] = function() x = x + 1 return x end i = i + 1 until x >= $d % 4 or fs[i]() > 3
T($l, #fs, i, fs[1](), fs[#fs]())`,
	`
local fs = {}
for i = 1, 5 do
  local x = i
  if i == $d then break end
  fs[#fs + 1] = function() x = x * 2 return x end
  while x < 3 do local y = x x = x + 1 fs[#fs + 1] = function() y = y + x return y end end
end
for _, f in ipairs(fs) do T($l, f(), f()) end`,
	`
local function counter() local n = $d return function(d) n = n + (d or 1) return n end, function() return n end end
local i1, g1 = counter()
local i2, g2 = counter()
i1(5) i2() i1()
T($l, g1(), g2(), i1(i2()), g1())`,
	`
local a = $d
do local a = a + 1 a = a + 1 T($l, a) do local a = a T($l, a) end end
T($l, a)
local function f(a) do local b = a local a = b + 1 if a > 3 then return a, b end end return a end
T($l, f(1), f($d), f(9))`,
	`
local x = 0
local function outer() local y = 1 local function inner() local function deep() x, y = y, x + 1 return x end return deep() + y end return inner() + inner() end
T($l, outer(), x, outer(), x)`,

	// Variable arguments and multiple results.
	`
local function f(...) return select("#", ...), ... end
local function g(...) return f(...), f(...) end
local function h(...) local a, b = ... return f(a, b, ...) end
T($l, g($v))
T($l, h($v))
T($l, f(f(), (f(1, 2)), f(nil, nil)))
T($l, (f($v)))`,
	`
local function f(...) local t = {...} t[#t + 1] = select("#", ...) return unpack(t) end
T($l, f(), f($d), f($d, $s))
local function tail(...) return f(...) end
local function notail(...) return (f(...)) end
T($l, tail(1, 2), notail(1, 2), pcall(tail, $d))`,
	`
local function f(a, ...) local n = arg and arg.n if n then return n, arg[1] end return "none" end
local function g(a, ...) return arg, ... end
local function h(a, ...) return arg.n, arg[1], #arg, a end
T($l, f(1, 2, 3), pcall(g, 1, 2))
T($l, h(1, 2, 3), h(1), h())`,
	`
T($l, select(2, $v), select(-1, $v), pcall(select, 0), pcall(select, -5, 1), select("#"), select("2", 1, 2))
T($l, unpack({1, 2, 3}, 2), unpack({1, 2}, 0, 3), unpack({}, 1, 2), pcall(unpack, $a))`,
	`
local function r(n) if n == 0 then return "end", $d end return r(n - 1) end
local function m(n, ...) if n == 0 then return ... end return m(n - 1, n, ...) end
T($l, r(50), m(5))
local o = {v = 1} function o:f(n) if n == 0 then return self.v end return self:f(n - 1) end
T($l, o:f(30), select("#", m(9, nil)))`,

	// Numbers and text.
	`
T($l, "10" + 1, "0x10" * 2, " 5 " - 1, "1e1" / "2", -"3", "7" % 4, "2" ^ "3", 10 .. 20, 1.5 .. "|", -1 .. "")
T($l, pcall(function() return $s + 1 end), pcall(function() return {} .. "x" end), pcall(function() return -$a end))
T($l, "10" == 10, "abc" < "abd", "Z" < "a", "" < "a", "10" < "9", pcall(function() return "10" < 9 end))`,
	`
T($l, 5 % 3, -5 % 3, 5 % -3, -5 % -3, 5.5 % 2, -0.5 % 1, 3 % math.huge, -3 % math.huge, 1e15 % 7)
T($l, 7 / 2, 1 / 0, -1 / 0, 2 ^ 10, 2 ^ -1, -2 ^ 2, 2 ^ 3 ^ 2, (-8) ^ 3, $n $o $n)
T($l, 1e15, 123456789012, 0.1 + 0.2, 1 / 3, 100 * 1.1, 1e100, 2 ^ 53, 1e-5, 12345.678)
T($l, tostring(1e15), 1e14 .. "", 0.1 .. "", 1e300 * 1e10 .. "", -1e300 * 1e10 .. "")`,
	`
local function cmp(a, b) return pcall(function() return a < b end), pcall(function() return a <= b end), a == b end
T($l, cmp(1, 2), cmp("a", "b"), cmp(1, "1"), cmp(nil, 1), cmp({}, {}), cmp(true, false), cmp($a, $a))
T($l, pcall(function() return {} < 1 end))
T($l, pcall(function() return nil > 1 end), pcall(function() return print <= print end))`,

	// Errors that name variables.
	`
local a, t = nil, {}
local function up() return a.x end
T($l, pcall(function() return a.b end), pcall(up))
T($l, pcall(function() return undefinedglobal.x end))
T($l, pcall(function() return t.x.y end), pcall(function() return t[1][2] end), pcall(function() t.a.b = 1 end))
T($l, pcall(function() local s = "x" return s.y.z end), pcall(function() a() end), pcall(function() t.x() end))
T($l, pcall(function() t:m() end), pcall(function() undefinedglobal() end), pcall(function() local l = $a; l() end))`,
	`
local a, t = {}, {n = {}}
T($l, pcall(function() return a + 1 end), pcall(function() return 1 + t.n end), pcall(function() local b return b .. "x" end))
T($l, pcall(function() return "x" .. t.zz end), pcall(function() return #a.q end), pcall(function() return -t.n end))
T($l, pcall(function() return G9 .. 1 end), pcall(function() return 2 ^ {} end), pcall(function() return t.n.x.y.z end))
T($l, pcall(function() local x = 1 x.y = 2 end), pcall(function() ("x").y.z = 1 end), pcall(function() (nil)() end))
T($l, pcall(function() for i = 1, a do end end), pcall(function() return t[a].b end), pcall(function() return $a < $a end))`,
	`
local t = {1, 2}
T($l, pcall(function() return t[1]() end), pcall(function() return t["key with space"].x end), pcall(function() return t[t].x end))
T($l, pcall(function() return ("x")() end), pcall(function() return ({})() end), pcall(function() return (1 + 2)() end))
T($l, pcall(function() t.a.b.c = 1 end), pcall(function() t[nil][1] = 1 end), pcall(function() local i = 1 t[i].x = 1 end))
T($l, pcall(function() return #5 end), pcall(function() return #nil end), pcall(function() return -{} end))`,
})

// trimAll removes the line break that each template begins with.
func trimAll(list []string) []string {
	for i := range list {
		list[i] = strings.TrimPrefix(list[i], "\n")
	}
	return list
}
