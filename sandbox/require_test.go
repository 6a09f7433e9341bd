package sandbox_test

import (
	"strings"
	"testing"
)

// TestRequireLikePUC runs programs with modules. PUC Lua 5.1 returns the same results if the files are in acme/lib.
func TestRequireLikePUC(t *testing.T) {
	libs := map[string]string{
		"broken":       "local x =\n+",
		"raises":       "runs = (runs or 0) + 1\nerror('no')",
		"itself":       "return require 'itself'",
		"silent":       "",
		"named":        "return (...)",
		"sets":         "package.loaded[...] = 7",
		"pkg.init":     "return { part = require 'pkg.part' }",
		"pkg.part":     "return 'part'",
		"old":          "module('old', package.seeall)\nfunction upper(s) return string.upper(s) end",
		"old.deep":     "module(...)\nx = 1",
		"old.bare":     "module(..., function(m) m.opt = m._NAME end)\nfunction f() return print end",
		"conflict":     "module('string.rep')",
		"shebang":      "#!/usr/bin/lua\nreturn 1",
		"needs-absent": "return require 'absent'",
	}
	for _, tc := range []struct{ body, want string }{
		{"return pcall(require, 'absent.one')", "false|module 'absent.one' not found:\n\tno field " +
			"package.preload['absent.one']" +
			"\n\tno file 'acme/lib/absent/one.lua'\n\tno file 'acme/lib/absent/one/init.lua'"},
		{"return pcall(require, 'needs-absent')", "false|acme/lib/needs-absent.lua:1: module 'absent' not found:" +
			"\n\tno field package.preload['absent']\n\tno file 'acme/lib/absent.lua'\n\tno file " +
			"'acme/lib/absent/init.lua'"},
		{"return pcall(require, 'broken')",
			"false|error loading module 'broken' from file 'acme/lib/broken.lua':\n\tacme/lib/broken.lua:2: " +
				"unexpected symbol near '+'"},
		{"local a, b = pcall(require, 'raises') local c, d = pcall(require, 'raises') return b, d, runs",
			"acme/lib/raises.lua:2: no|loop or previous error loading module 'raises'|1"},
		{"return pcall(require, 'itself')", "false|acme/lib/itself.lua:1: loop or previous error loading module " +
			"'itself'"},
		{"return require 'silent', require 'silent', package.loaded.silent", "true|true|true"},
		{"return require 'named', require 'sets', require 'sets', require 'pkg'.part", "named|7|7|part"},
		{"for _, n in ipairs{'table', 'math', 'os', 'coroutine', 'io', 'debug', 'package'} do " +
			"if require(n) ~= _G[n] then return n end end return package.config:sub(1, 1), io.type(io.stdout)",
			"/|file"},
		{"return require 'shebang'", "1"},
		{"return require 'string' == string, require '_G' == _G, package.path",
			"true|true|acme/lib/?.lua;acme/lib/?/init.lua"},
		{"package.preload.p = function(n) return n .. '!' end return require 'p', require 'p'", "p!|p!"},
		{"package.preload.p = 5 return pcall(require, 'p')", "false|module 'p' not found:5\n\tno file " +
			"'acme/lib/p.lua'\n\tno file 'acme/lib/p/init.lua'"},
		{"table.insert(package.loaders, function(n) return function(m) return n .. m end end) return require 'made'",
			"mademade"},
		{"package.loaders = { function() return '\\n\\tnowhere' end } return pcall(require, 'x')",
			"false|module 'x' not found:\n\tnowhere"},
		{"package.loaders = nil return pcall(require, 'x')", "false|'package.loaders' must be a table"},
		{"local m = require 'old' return m.upper('a'), old == m, m._NAME, m._M == m, m._PACKAGE == '', m.print == " +
			"print, tostring(upper)",
			"A|true|old|true|true|true|nil"},
		{"local m = require 'old.deep' return m.x, old.deep == m, m._PACKAGE, tostring(m.print)", "1|true|old.|nil"},
		{"local m = require 'old.bare' return m.opt, tostring(m.f())", "old.bare|nil"},
		{"return pcall(require, 'conflict')", "false|acme/lib/conflict.lua:1: name conflict for module 'string.rep'"},
		{"return pcall(module)", "false|bad argument #1 to '?' (string expected, got no value)"},
		{"return pcall(module, 'x')", "false|'module' not called from a Lua function"},
		{"return pcall(package.seeall, setmetatable({}, { __metatable = 1 }))",
			"false|cannot change a protected metatable"},
		{"return pcall(package.seeall, hearth.exception('E', ''))", "false|cannot change a protected metatable"},
	} {
		body := "local f = function() " + tc.body + " end\nlocal r = { f() }\n" +
			"for i = 1, table.maxn(r) do r[i] = tostring(r[i]) end\nreturn table.concat(r, '|')"
		if got := startWith(t, method(body), libs, quick).call("f").value; got != tc.want {
			t.Errorf("%s\ngot  %q\nwant %q", tc.body, got, tc.want)
		}
	}
}

// TestModuleNamesInMessages checks that long names and secrets do not fill a message.
func TestModuleNamesInMessages(t *testing.T) {
	h := start(t, method("return select(2, pcall(require, ('n'):rep(200)))"))
	if text, _ := h.call("f").value.(string); len(text) > 500 || !strings.Contains(text, "not found") {
		t.Errorf("%d bytes: %s", len(text), text)
	}
}

// TestStatesShareNoValue checks that parallel states share no values, because a count of memory writes to every value.
// The race detector reports a shared value, such as that of a module whose run failed.
func TestStatesShareNoValue(t *testing.T) {
	const script = `
pcall(require, "broken")
local C = hearth.object { instance = "single" }
function C.expose:f() return package.loaded end
return C`
	a := startWith(t, script, map[string]string{"broken": "error('x')"}, quick)
	b, err := a.p.NewState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	done := make(chan int64)
	go func() { done <- b.Held() }()
	mine := a.s.Held()
	if other := <-done; mine <= 0 || other <= 0 {
		t.Errorf("%d and %d bytes are held", mine, other)
	}
}
