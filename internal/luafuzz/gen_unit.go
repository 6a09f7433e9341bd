package luafuzz

// coroutineUnit writes a coroutine of random statements that yield, and resumes it to its end and beyond.
func (g *generator) coroutineUnit() {
	if g.chance(45) {
		g.protectedTemplate(oneOf(g, coroutineShapes))
		return
	}
	wrap := g.chance(50)
	g.line("do")
	g.indent++
	sig := &signature{params: []valueKind{aNumber, anything}, results: []valueKind{aNumber, aString},
		vararg: g.chance(30)}
	count := len(g.vars)
	params, leave := g.enter(sig, function{coroutine: true})
	if wrap {
		g.line("local co = coroutine.wrap(function(", params, ")")
	} else {
		g.line("local co = coroutine.create(function(", params, ")")
	}
	g.scoped(func() {
		for range 2 + g.n(2) {
			g.statements(1)
			g.yield()
		}
		g.traceVisible()
		g.line("return ", g.results())
	})
	leave()
	g.line("end)")
	for range 2 + g.n(4) {
		if wrap {
			g.line("T(", g.label(), ", pcall(co, ", g.expressions(1+g.n(2), 1), "))")
		} else {
			g.line("T(", g.label(), ", coroutine.status(co), coroutine.resume(co, ", g.expressions(1+g.n(2), 1), "))")
		}
	}
	g.indent--
	g.line("end")
	g.vars = g.vars[:count]
}

func (g *generator) yield() {
	values := g.expressions(1+g.n(2), 1)
	switch g.n(5) {
	case 0:
		g.line("coroutine.yield(", values, ")")
	case 1:
		g.line("T(", g.label(), ", coroutine.yield(", values, "))")
	case 2:
		g.line("local a, b = coroutine.yield(", values, ")")
		g.declare(variable{name: "a", kind: anything})
		g.declare(variable{name: "b", kind: anything})
	case 3:
		g.line("T(", g.label(), ", pcall(coroutine.yield, ", values, "))")
	default:
		g.line("for i = 1, 2 do T(", g.label(), ", i, (coroutine.yield(i, ", values, "))) end")
	}
}

var coroutineShapes = trimAll([]string{
	`
local co
co = coroutine.create(function(...)
  T($l, coroutine.status(co), coroutine.running() == co, ...)
  T($l, coroutine.resume(co), pcall(coroutine.resume, co))
  local a = coroutine.yield($v)
  local inner = coroutine.wrap(function(x) T($l, coroutine.status(co)) coroutine.yield(x) error($a) end)
  T($l, inner(a), pcall(inner), pcall(inner))
  error($a)
end)
T($l, coroutine.status(co), coroutine.resume(co, $v))
T($l, coroutine.resume(co, $n))
T($l, coroutine.status(co), coroutine.resume(co), coroutine.running())`,
	`
local function gen(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i, i * $d) end return "end" end) end
for i, v in gen(3) do T($l, i, v) if i == "end" then break end end
local g = gen(1)
T($l, g(), g(), pcall(g))`,
	`
local co = coroutine.wrap(function()
  T($l, pcall(function() coroutine.yield(1) end))
  T($l, pcall(table.sort, {3, 2, 1}, function(a, b) coroutine.yield(a) return a < b end))
  T($l, pcall(string.gsub, "abc", "b", function() coroutine.yield(2) end))
  T($l, pcall(function() for x in function() coroutine.yield(3) end do end end))
  local mt = setmetatable({}, {__index = function(t, k) return coroutine.yield(k) end, __add = function(a, b) coroutine.yield("add") return 1 end})
  T($l, pcall(function() return mt.x end), pcall(function() return mt + 1 end))
  return mt.y
end)
T($l, pcall(co))
T($l, pcall(co, $a))`,
	`
T($l, pcall(coroutine.yield, 1), pcall(coroutine.resume, 1), pcall(coroutine.create, 1), pcall(coroutine.wrap), pcall(coroutine.status, nil))
local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) return a + b end)
T($l, coroutine.resume(co, $n))
T($l, coroutine.resume(co, $a))
T($l, coroutine.resume(co), coroutine.status(co))`,
	`
local log = {}
local function task(name, n) return coroutine.create(function() for i = 1, n do log[#log + 1] = name .. i coroutine.yield() end if n == $d then error(name) end return name end) end
local tasks = {task("a", 1), task("b", 3), task("c", 2)}
while #tasks > 0 do
  for i = #tasks, 1, -1 do
    local ok, r = coroutine.resume(tasks[i])
    if coroutine.status(tasks[i]) == "dead" then table.remove(tasks, i) log[#log + 1] = tostring(ok) .. tostring(r) end
  end
end
T($l, log)`,
	`
local n = 0
local co = coroutine.wrap(function(...)
  local function up() n = n + 1 return n end
  local x = $n
  local function set(v) x = v end
  while true do local v = coroutine.yield(x, up(), ...) if not v then break end set(v) end
  return "done", x, up()
end)
T($l, co($v)) T($l, co(n + 10)) n = 100 T($l, co("x")) T($l, co()) T($l, pcall(co), n)`,
	`
local co = coroutine.create(function() local ok, e = pcall(error, {1}) T($l, ok, e) local r = {coroutine.yield()} return unpack(r) end)
T($l, coroutine.resume(co)) T($l, coroutine.resume(co, $v)) T($l, coroutine.resume(co))
local w = coroutine.wrap(function() return pcall(pcall, error, "e") end)
T($l, w())
T($l, pcall(coroutine.wrap(function() error({$d}) end)))
T($l, pcall(coroutine.wrap(function() error("text") end)))
T($l, pcall(coroutine.wrap(function() error("text", 0) end)))
T($l, pcall(coroutine.wrap(function() local x = nil; x() end)))
T($l, select("#", coroutine.wrap(function(...) return ... end)($v)))`,
})

// objectUnit uses objects with metamethods.
func (g *generator) objectUnit() { g.protectedTemplate(oneOf(g, objectShapes)) }

var objectShapes = trimAll([]string{
	`
local function name(x) return type(x) == "table" and rawget(x, "name") or x end
local mt = {}
for _, op in ipairs({"add", "sub", "mul", "div", "mod", "pow", "concat"}) do mt["__" .. op] = function(a, b) return op .. "(" .. tostring(name(a)) .. "," .. tostring(name(b)) .. ")" end end
mt.__unm = function(a, b) return "unm", rawequal(a, b) end
mt.__len = function() return $d end
local a, b = setmetatable({name = "A"}, mt), setmetatable({name = "B"}, mt)
T($l, a + b, a - $n, $n * a, a / b, a % 2, 2 ^ a, a .. "x", "x" .. a, 1 .. a, a .. b .. "z", "y" .. a .. b, -a, #a)
T($l, pcall(function() return a + {} end), pcall(function() return {} .. {} end), pcall(function() return $a + a end), pcall(function() return a .. $a end))`,
	`
local mt = {__eq = function(a, b) return a.v == b.v end, __lt = function(a, b) return a.v < b.v end, __le = $b and function(a, b) return a.v <= b.v end or nil}
local function new(v) return setmetatable({v = v}, mt) end
local a, b, c = new(1), new($d), new(1)
T($l, a == b, a == c, a ~= c, a < b, a <= b, a > b, a >= b, a == 1, rawequal(a, c))
T($l, pcall(function() return a < 1 end), pcall(function() return a <= {} end), pcall(function() return a == setmetatable({v = 1}, {__eq = mt.__eq}) end), pcall(function() return a < setmetatable({v = 1}, {}) end))
local list = {new(3), new(1), new(2)}
table.sort(list)
T($l, list[1].v, list[2].v, list[3].v)`,
	`
local Base = {} Base.__index = Base
function Base.new(v) return setmetatable({v = v}, Base) end
function Base:get() return self.v end
function Base:add(d) self.v = self.v + d return self end
local Sub = setmetatable({}, {__index = Base, __call = function(cls, ...) local o = Base.new(...) return setmetatable(o, cls) end}) Sub.__index = Sub
function Sub:get() return "sub:" .. Base.get(self) end
local o, s = Base.new($d), Sub($n)
T($l, o:get(), s:get(), s:add(2):get(), o:add(1):add(2).v, rawget(Sub, "add"), s.missing, pcall(s.missing, 1))
T($l, pcall(function() return s:nothing() end), pcall(function() return o.get() end), pcall(o.add, o, $a))`,
	`
local log = {}
local t = setmetatable({}, {
  __index = function(t, k) log[#log + 1] = "get " .. tostring(k) return k ~= "no" and k or nil end,
  __newindex = function(t, k, v) log[#log + 1] = "set " .. tostring(k) rawset(t, k, v) end,
  __call = function(self, ...) log[#log + 1] = "call " .. select("#", ...) return ... end,
  __tostring = function() return "object " .. $d end,
})
t.a = $a
t.a = t.b
t[1], t[2] = t.x, t.no
t[t.y] = t(1, t.z)
T($l, tostring(t), t(t, $v) == t, t.no, log)
print(t, t.a)`,
	`
local store = {}
local t = setmetatable({}, {__index = store, __newindex = store})
t.x = $d t.x = t.x + 1 t[1] = $a
T($l, rawget(t, "x"), t.x, store)
local chain = setmetatable({}, {__index = setmetatable({a = 1}, {__index = setmetatable({b = 2}, {__index = function(_, k) return k .. "!" end})})})
T($l, chain.a, chain.b, chain.c, rawget(chain, "a"))
local loop = {} setmetatable(loop, {__index = loop}) T($l, loop.a == nil or 1, pcall(function() return loop.x end))
local l2 = setmetatable({}, {}) getmetatable(l2).__newindex = l2 T($l, pcall(function() l2.x = 1 end))`,
	`
local calls = 0
local f = setmetatable({}, {__call = function(self, a, b) calls = calls + 1 return a, b, self == nil end})
T($l, f(1, $a), pcall(f, 2), (f(3)), select("#", f()), calls)
T($l, pcall(setmetatable({}, {__call = f}), 1), pcall(setmetatable({}, {__call = 1})), pcall(setmetatable({}, {__index = 1}).x))
local sorted = {3, 1, 2} pcall(table.sort, sorted, setmetatable({}, {__call = function(_, a, b) return a < b end})) T($l, sorted)
T($l, ("x"):gsub("x", setmetatable({}, {__index = function(_, k) return k .. $d end})))`,
	`
local P = setmetatable({}, {__metatable = "locked", __tostring = function() return $a end})
T($l, getmetatable(P), pcall(setmetatable, P, {}), pcall(tostring, P), pcall(print, P))
local E = setmetatable({code = $d}, {__tostring = function(e) return "E" .. e.code end})
T($l, pcall(error, E), select(2, pcall(error, E)) == E, tostring(E), pcall(function() return E .. "x" end))`,
	`
local smt = getmetatable("")
local old = smt.__index
smt.__add = function(a, b) return "add:" .. tostring(a) .. tostring(b) end
T($l, pcall(function() return "a" + "b" end), pcall(function() return "1" + "2" end), pcall(function() return "a" + 1 end))
smt.__add = nil
smt.__index = function(s, i) if type(i) == "number" then return old.sub(s, i, i) end return old[i] end
T($l, ("abc")[2], ("abc"):upper(), ("abc").x)
smt.__index = old
smt.__call = function(s, ...) return s .. select("#", ...) end
T($l, pcall(function() return ("f")(1, 2) end)) smt.__call = nil`,
	`
local proxy = setmetatable({}, {__index = function(t, k) local v = rawget(t, "_" .. k) if v == nil then error("no field " .. k, 2) end return v end})
rawset(proxy, "_a", $a)
T($l, pcall(function() return proxy.a end), pcall(function() return proxy.zz end))
local ro = setmetatable({}, {__newindex = function(t, k) error("read-only: " .. tostring(k), $d % 4) end})
T($l, pcall(function() ro.x = 1 end), pcall(function() ro[$d], G3 = 1, 2 end), pcall(rawset, ro, "x", 1))`,
})

// errorUnit is about error values, levels, handlers and assertions.
func (g *generator) errorUnit() { g.protectedTemplate(oneOf(g, errorShapes)) }

var errorShapes = trimAll([]string{
	`
local function e(v, l) error(v, l) end
local function caller(...) e(...) return 1 end
for level = 0, 3 do T($l, pcall(caller, "m", level)) end
T($l, pcall(caller, $a, $d % 4), pcall(caller), pcall(caller, nil, 2), pcall(error), pcall(error, "x", $d % 3), pcall(error, 42), pcall(caller, 42), pcall(caller, 42, 2))`,
	`
T($l, xpcall(function() error("a") end, function(m) return m .. "!" end))
T($l, xpcall(function() error({1}) end, function(m) return m end))
T($l, xpcall(function() error("a") end, function(m) error("b") end))
T($l, xpcall(function() local x = nil + 1 end, function(m) return m, 2 end))
T($l, xpcall(function() return $v end, nil), pcall(xpcall), pcall(xpcall, 1), xpcall(1, tostring), xpcall(nil, function(m) return "h:" .. m end))
T($l, xpcall(function(...) return select("#", ...) end, print, 1, 2))`,
	`
local function thrower(kind)
  if kind == 1 then error("text") elseif kind == 2 then error({code = $d}) elseif kind == 3 then local x = nil; return x.y
  elseif kind == 4 then return #kind elseif kind == 5 then return kind() elseif kind == 6 then return kind .. nil elseif kind == 7 then error() end
  return kind
end
for i = 1, 8 do T($l, i, pcall(thrower, i)) end
T($l, pcall(pcall), pcall(pcall, error), pcall(pcall, pcall, error, 1))`,
	`
local depth = 0
local function nest(n) depth = depth + 1 if n == 0 then error("bottom " .. depth, $d % 3) end local r = {pcall(nest, n - 1)} depth = depth - 1 if n % 2 == 1 then error(r[2], 0) end return unpack(r) end
T($l, pcall(nest, $d), depth)
T($l, pcall(function() local ok, e = pcall(nest, 2) error(e) end))`,
	`
local function f() local function g() error("in g", 2) end g() end
T($l, pcall(f))
local t = {} function t.m() error("in m", 2) end function t:n() self.m() end
T($l, pcall(t.n, t), pcall(t.m), pcall(function() t.m() end), pcall(function() t:n() end))
T($l, pcall(string.rep), pcall(function() string.rep() end), pcall(function() ("x"):rep({}) end), pcall(function() local s = string.rep s() end), pcall(("x").rep))
T($l, pcall(function() return math.floor("x") end), pcall(function() return setmetatable(1) end), pcall(function() t.z = ("x"):bad() end), pcall(function() ipairs() end))`,
	`
local function inf(n) return 1 + inf(n + 1) end
local ok, e = pcall(inf, 1)
T($l, ok, type(e) == "string" and e:match("stack overflow"))
local n = 0
local function after() n = n + 1 return n end
T($l, after(), after(), n)`,
	`
T($l, pcall(function(...)
  local a, b = ...
  return a.x + b
end, {x = $a}, $a))
T($l, pcall(function(x) return x.y.z end, {y = $a}), pcall(function(x) x.y.z = 1 end, {}), pcall(function(...) return (...).x end, $a))
T($l, pcall(function(x) local y = x; return function() return y.z.w end end, $a), pcall((function(x) return function() return x.z.w end end)({})))
T($l, pcall(function()
  local s = "x" ..
    {} ..
    "y"
end), pcall(function() return
  undefined
  .x
  .y
end), pcall(function()
  return string
    .rep(
    )
end))`,
})

// forBoundsUnit is about numeric loops with odd bounds and steps.
func (g *generator) forBoundsUnit() {
	bound := func() string {
		return g.pick("1", "2", "3", "5", "-1", "0", "0.5", `"2"`, "nil", "{}", `"x"`, "1e15", "math.huge",
			"-math.huge",
			"3.7", `" 3 "`, `"0x3"`, "0/0", "true")
	}
	for range 3 {
		step := g.pick("", "", ", 1", ", -1", ", 0.25", ", 2", ", 0", `, "1"`, ", nil", ", -0.5", ", {}", ", 1e15")
		g.line("T(", g.label(), ", pcall(function() local r, c = {}, 0 for i = ", bound(), ", ", bound(), step,
			" do c = c + 1 r[c] = i ", g.pick("", "i = i + 1 ", `i = "x" `),
			"if c >= 6 then break end end return c, r end))")
	}
	g.template(`local log = {}
local function b(n) log[#log + 1] = n return n end
for i = b(1), b($d), b($d % 3 + 1) do log[#log + 1] = "i" .. i if #log > 12 then break end end
T($l, log)
local hi = 3
for i = 1, hi do hi = 1 log[#log + 1] = i end
local i = $d
for i = i, i + 2 do local i = i * 2 log[#log + 1] = i end
T($l, log, i, hi)`)
}

// environmentUnit is about setfenv and getfenv.
func (g *generator) environmentUnit() { g.protectedTemplate(oneOf(g, environmentShapes)) }

var environmentShapes = trimAll([]string{
	`
local T, getfenv, setfenv, pcall, loadstring, _G = T, getfenv, setfenv, pcall, loadstring, _G
local function f() x1 = $d return x1, y1 end
local env = {y1 = $a}
T($l, setfenv(f, env) == f, getfenv(f) == env, f())
T($l, env, x1, getfenv(1) == _G, getfenv(0) == _G, getfenv() == _G, getfenv(print) == _G)
local function g() setfenv(1, {z1 = $d}) local function h() return z1 end return z1, h() end
T($l, g())
local chunk = loadstring("q1 = (q1 or 0) + 1 return q1, _G ~= nil")
setfenv(chunk, setmetatable({}, {__index = _G}))
T($l, chunk(), chunk(), q1)`,
	`
T($l, pcall(setfenv, print, {}), pcall(setfenv, 1), pcall(setfenv, nil, {}), pcall(getfenv, -1), pcall(getfenv, 9999), pcall(setfenv, {}, {}), pcall(getfenv, "x"))
local function make() return function() v1 = (v1 or $d) + 1 return v1 end end
local a, b = make(), make()
setfenv(a, {})
T($l, a(), a(), b(), v1, pcall(setfenv(function() return undefinedfn() end, {}))) v1 = nil
local tr = setfenv(function() local r = {} r[1] = name r[2] = other return r end, setmetatable({name = $s}, {__index = function(_, k) return "?" .. k end}))
T($l, tr())`,
	`
local seen = {}
local mt = {__newindex = function(t, k, v) seen[#seen + 1] = k rawset(t, k, v) end, __index = function(t, k) return "undefined " .. k end}
local f = setfenv(function() a1 = b1 a1 = $n local function g() c1 = a1 return c1 end return g(), d1 end, setmetatable({}, mt))
T($l, f()) T($l, seen)
setmetatable(_G, {__index = function(_, k) return "global " .. k end})
T($l, undefined1, rawget(_G, "undefined1"), pcall(function() return undefined2.x end))
setmetatable(_G, nil)`,
})
