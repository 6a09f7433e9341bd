package luafuzz

import "strings"

// levelUnit raises errors at levels that tail calls, native functions and coroutines are among.
func (g *generator) levelUnit() {
	g.line("do")
	g.indent++
	level := func() string { return g.pick("0", "1", "2", "3", "4", "5", "2", "1") }
	g.line("local function e(...) error(", g.pick(`"m"`, "42", "..."), ", ", level(), ") end")
	callers := []string{"e"}
	for _, name := range []string{"f", "h", "k"}[:1+g.n(3)] {
		inner := oneOf(g, callers)
		body := g.pick("return X(...)", "X(...)", "return (X(...))", "local r = X(...) return r",
			"return pcall(X, ...)",
			"return X(...), 1",
			"for i = 1, 1 do X(...) end", "return (function(...) return X(...) end)(...)",
			"(string.gsub)('x', 'x', function() X() end)", "table.sort({1, 2}, X)",
			"return coroutine.wrap(X)(...)", "return setmetatable({}, {__index = X}).x",
			"return setmetatable({}, {__call = X})()", "return xpcall(X, function(m) return m, 1 end)",
			"local co = coroutine.create(X) return coroutine.resume(co, ...)",
			"return setmetatable({}, {__add = X}) + 1", "return select(1, X(...))",
			"return tostring(setmetatable({}, {__tostring = X}))")
		g.line("local function ", name, "(...) ", strings.ReplaceAll(body, "X", inner), " end")
		callers = append(callers, name)
	}
	for range 1 + g.n(2) {
		last := callers[len(callers)-1]
		g.line("T(", g.label(), ", pcall(", g.pick(last, "function() "+last+"('x') end",
			"function() return "+last+"('x') end", "function() local t = {m = "+last+"} t.m() end",
			"function() local t = {m = "+last+"} t:m(1) end"), "))")
	}
	if g.chance(40) {
		what := g.pick("getfenv", "setfenv")
		g.line("T(", g.label(), ", pcall(function() local function q() return ", what, "(", level(),
			map[string]string{"getfenv": "", "setfenv": ", {}"}[what], ") ~= nil end return q() end))")
	}
	g.indent--
	g.line("end")
}

// traceUnit traces debug.traceback and debug.getinfo in functions that call each other in many ways. The frames of
// the program's caller are cut off.
func (g *generator) traceUnit() {
	g.line("do")
	g.indent++
	g.line(`local function cut(s) return type(s) == "string" and s:gsub("in main chunk.*", "in main chunk") or s end`)
	what := g.pick(`T(X, cut(debug.traceback("m")))`, `T(X, cut(debug.traceback("m", 1)))`,
		`T(X, cut(debug.traceback("", 2)))`, `T(X, cut(debug.traceback(1, 0)))`, "T(X, info(1), info(2))",
		"T(X, info(2), info(3))")
	g.line(`local function info(l) local i = debug.getinfo(l + 1, "nSl") if not i or i.short_src ~= "prog" and ` +
		`i.what == "Lua" or i.what == "main" then return i and i.currentline end i.source = nil if i.what == "C" ` +
		`and l > 2 then return "C" end return i end`)
	g.line("local function e(...) ", strings.ReplaceAll(what, "X", g.label()), g.pick("", " return ...",
		" return 1, 2"), " end")
	callers := []string{"e"}
	for _, name := range []string{"f", "h", "k", "glob", "t.m", "t:n"}[:1+g.n(6)] {
		inner := oneOf(g, callers)
		body := g.pick("return X(...)", "X(...)", "return (X(...))", "local r = X(...) return r",
			"return pcall(X, ...)",
			"return X(...), 1", "local up = X return (up(1))",
			"for i = 1, 1 do X(...) end", "return (function(...) return X(...) end)(...)",
			"(string.gsub)('x', 'x', function() X() end)", "local up = X return (function() up() end)()",
			"return (setmetatable({}, {__index = X}).x)", "for _ in X do break end", "local u = {X} u[1](2)",
			"local u = {a = {b = X}} u.a.b()", "local s = setmetatable({}, {__add = X}) + 1 return s")
		if strings.HasPrefix(name, "t") {
			g.line("t = t or {}")
		}
		g.line(map[bool]string{true: "function ", false: "local function "}[name == "glob" || name[0] == 't'], name,
			"(...) ", strings.ReplaceAll(body, "X", inner), " end")
		if name == "t:n" {
			name = "t.n"
		}
		callers = append(callers, name)
	}
	last := callers[len(callers)-1]
	g.line("T(", g.label(), ", ", last, "('x'))")
	switch g.n(3) {
	case 0:
		g.line("local co = coroutine.create(function(...) local function y(...) coroutine.yield(...) end y(1) ",
			g.pick("y(2)", "do return y(2) end", "T("+g.label()+", debug.traceback('in'))"), " ", last, "() end)")
		for range 3 {
			g.line("T(", g.label(), `, cut(debug.traceback(co`, g.pick("", `, "m"`, `, "m", 0`, `, "m", 1`, ", nil"),
				")), coroutine.resume(co))")
		}
	case 1:
		g.line("T(", g.label(), ", cut(select(2, xpcall(function() ", last, "() ", g.pick("error('e')",
			"local x = nil; x()", "string.rep()", "error()"), " end, ",
			g.pick("debug.traceback", "function(m) return debug.traceback(m, 2) end"), "))))")
	}
	g.line("t, glob = nil, nil")
	g.indent--
	g.line("end")
}
