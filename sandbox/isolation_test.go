package sandbox_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/hearthhost/hearth/object"
)

// dump is a script with a method that returns every name that it finds from the globals, in the order of pairs, with
// the type of its value and of its metatable, and some results of library functions. The names of other methods that
// it defines begin with attack.
const dump = `
local T = hearth.object { instance = "keyed" }
local util = require "util"
function T.expose:dump()
  local seen, out = {}, {}
  local function add(path, v)
    out[#out + 1] = path .. " " .. type(v) .. " " .. type(getmetatable(v))
    if type(v) == "number" or type(v) == "string" then out[#out] = out[#out] .. " " .. v end
    if type(v) ~= "table" or seen[v] then return end
    seen[v] = true
    for k, e in pairs(v) do add(path .. "." .. tostring(k), e) end
    for k in next, v do out[#out + 1] = path .. " next " .. tostring(k) end
    out[#out + 1] = path .. " # " .. #v
    if type(getmetatable(v)) == "table" then add(path .. " meta", getmetatable(v)) end
  end
  add("_G", _G)
  add("string meta", getmetatable(""))
  add("util", util)
  for name, v in pairs { list = hearth.list {}, bytes = hearth.bytes "x", int = hearth.int "1", null = hearth.null,
    exception = hearth.exception("E", "m"), date = hearth.date(1), proxy = hearth.proxy "a.b", out = io.stdout } do
    out[#out + 1] = name .. " " .. tostring(getmetatable(v)) .. " " .. tostring(v):gsub("0x%x+", "") .. " " .. hearth.typeof(v)
  end
  out[#out + 1] = ("%s %d"):format(("abc"):upper():rep(2), ("abc"):len()) .. tostring(hearth.bytes("abc"):sub(2))
  out[#out + 1] = tostring(pcall(error, "x")) .. coroutine.wrap(function() return coroutine.status(
    coroutine.running()) end)()
  return table.concat(out, "\n")
end
function T.expose:random(seed) if seed then math.randomseed(seed) end return math.random(1e9) end
`

// attacks change every table that a script can reach, in every way that it has. An attack may fail: the victim must not
// notice it.
var attacks = []string{
	`string.x = 1`, `string.format = nil`, `rawset(string, "upper", function() return "hacked" end)`,
	`rawset(math, "pi", 3)`, `rawset(table, "insert", nil)`, `math.huge = 0`, `os.time = nil`, `io.write = print`,
	`debug.traceback = error`, `coroutine.wrap = error`, `_G.print = nil`, `print = error`, `_G._G = nil`, `_G = {}`,
	`rawset(_G, "new", 1)`, `new = 1`, `_VERSION = "6"`,
	`getmetatable("").__index = { upper = function() return "hacked" end }`,
	`getmetatable("").__index.upper = function() return "hacked" end`,
	`getmetatable("").__index = function() return error end`, `getmetatable("").__add = function() return 1 end`,
	`debug.getmetatable("").__index.rep = nil`, `getmetatable("").__metatable = "x"`,
	`for _, t in pairs { string, math, table, os, io, debug, coroutine, package, hearth, hearth.log, hearth.store, _G } do
	  setmetatable(t, { __index = function() return 1 end, __newindex = function() end, __metatable = "x" }) end`,
	`for _, t in pairs { string, math, os, io, coroutine, hearth.log, hearth.store } do
	  for k in pairs(t) do t[k] = nil end end`,
	`for _, t in pairs { string, math, os, io, coroutine, package, hearth, hearth.log, hearth.store } do
	  for k in next, t do rawset(t, k, "hacked") end end`,
	`for _, t in pairs { string, math, os, io, coroutine, hearth, hearth.log, hearth.store, _G } do
	  for i = 1, 100 do t["k" .. i] = i end for i = 1, 100 do t[i] = i end end`,
	`for _, t in pairs { string, math, hearth.log } do table.insert(t, 1) table.insert(t, 1, 2) table.remove(t)
	  table.sort(t) t[0.5] = 1 t[true] = 1 t[t] = t end`,
	`table.foreach(string, function(k) string[k] = nil end)`,
	`hearth.log.info = nil`, `hearth.store.get = nil`, `hearth.null = 1`, `hearth.list = nil`, `hearth.log = {}`,
	`rawset(hearth.log, "warn", print)`, `rawset(hearth.store, "put", print)`,
	`package.loaded.string = {}`, `package.loaded.util = {}`, `package.preload.x = print`, `package.loaders[1] = error`,
	`package.loaders[3] = error`, `package.path = "x"`, `package.seeall(string)`, `package.seeall(hearth)`,
	`module("string", package.seeall) x = 1`, `module("hearth") x = 1`, `module("math.more")`,
	`require("util").f = error`, `require("util").new = 1`, `setmetatable(require("util"), {})`,
	`setfenv(print, {})`, `setfenv(string.format, string)`, `setfenv(1, string) y = 1 upper = 1`, `setfenv(0, {})`,
	`setfenv(loadstring("upper = nil z = 1"), string)()`, `loadstring("string.x = 1 math = nil")()`,
	`getfenv(print).print = nil`, `getfenv(0).string.x = 1`, `getfenv(require("util").f).string = nil`,
	`debug.getinfo(print).func = nil`, `debug.getinfo(1, "f").func = nil`,
	`getmetatable(hearth.list {}).x = 1`, `setmetatable(hearth.list {}, string)`, `rawset(hearth.null, "x", 1)`,
	`getmetatable(io.stdout).__index.write = nil`, `debug.getmetatable(io.stdout).x = 1`, `io.stdout.write = nil`,
	`io.stdout.x = 1`, `hearth.null.x = 1`, `hearth.bytes("x").sub = nil`, `hearth.int("1").x = 1`,
	`local l = hearth.list { 1 } l.x = 1 rawset(l, "__tostring", error) l[2] = l`,
	`local e = hearth.exception("E", "m") e.class = 1 e.args[1] = 2 getmetatable(e.args).x = 1`,
	`local ok, e = pcall(hearth.store.get, "") e.class = 1 setmetatable(e, nil)`,
	`local ok, e = pcall(error, setmetatable({}, string)) string.__index = math string.__tostring = error
	  tostring(e) e.x = 1`,
	`string.__index, string.__newindex, string.__eq = math, math, error local a, b = setmetatable({}, string),
	  setmetatable({}, string) a.x = 1 pcall(function() return a == b end)`,
	`xpcall(function() string.x = 1 error("x") end, function() math.x = 1 debug.traceback = nil end)`,
	`coroutine.wrap(function() string.x = 1 coroutine.yield() end)()`,
	`local c = coroutine.create(function() setfenv(0, {}) math.x = 1 end) coroutine.resume(c)`,
	`local p = newproxy(true) getmetatable(p).__index = string getmetatable(newproxy(p)).__newindex = string p.x = 1`,
	`local d = hearth.dict(string) d.upper = nil d.x = 1 for k in pairs(d) do d[k] = nil end`,
	`("x"):gsub("x", setmetatable({}, { __index = function() string.x = 1 end }))`,
	`setmetatable(string, { __newindex = math }) string.q = 1`,
	`string.upper = function() return "hacked" end string.upper = nil`, `math.random, math.pi = math.pi, math.random`,
	`tostring, pairs, next, type, table, string = nil`, `math.randomseed(1)`,
	`local p = hearth.proxy("a.b") getmetatable(p).x = 1 p.get_attribute = 1`,
	`rawset(p, "get_attribute", 1)`,
}

// attacked returns dump with a method for each attack.
func attacked() string {
	var b strings.Builder
	b.WriteString(dump)
	for i, a := range attacks {
		fmt.Fprintf(&b, "function T.expose:attack%d()\n%s\nend\n", i, a)
	}
	b.WriteString("return T\n")
	return b.String()
}

// isolationLibs are the modules of the script.
var isolationLibs = map[string]string{"util": "return { f = function() return 1 end }"}

// TestStatesDoNotSeeChanges attacks the libraries, metatables and globals of one state. A state that existed before,
// and a new one, find them unchanged.
func TestStatesDoNotSeeChanges(t *testing.T) {
	victim := startWith(t, attacked(), isolationLibs, quick)
	want := fmt.Sprint(victim.call("dump").value)
	if !strings.Contains(want, "_G.string.upper function nil") || !strings.Contains(want, "loaded.util.f function") {
		t.Fatalf("the dump is incomplete:\n%s", want)
	}
	for i, attack := range attacks {
		attacker := startWith(t, attacked(), isolationLibs, quick)
		a := attacker.call(object.Method(fmt.Sprint("attack", i)))
		if a.err != nil && a.out.Broken {
			t.Errorf("%s: %v", attack, a.err)
		}
		if got := fmt.Sprint(victim.call("dump").value); got != want {
			t.Fatalf("%s: an older state sees a change:\n%s", attack, firstDifference(want, got))
		}
		if got := fmt.Sprint(startWith(t, attacked(), isolationLibs, quick).call("dump").value); got != want {
			t.Fatalf("%s: a new state sees a change:\n%s", attack, firstDifference(want, got))
		}
	}
	first := victim.call("random", 7).value
	second := victim.call("random").value
	victim.call("random", 7)
	startWith(t, attacked(), isolationLibs, quick).call("random", 9)
	if got := victim.call("random").value; got != second || first == second {
		t.Errorf("the random numbers are %v, %v and %v: another state's seed changes them", first, second, got)
	}
}

// firstDifference returns the first lines that differ.
func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("want %s\ngot  %s", w[i], g[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

// TestStatesRunAtOnce attacks in several goroutines while others dump and count their memory. With the race detector it
// finds writes to values that states share.
func TestStatesRunAtOnce(t *testing.T) {
	p, err := load(attacked(), isolationLibs, &env{})
	if err != nil {
		t.Fatal(err)
	}
	var want string
	var mu sync.Mutex
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for round := range 8 {
				s, err := p.NewState(t.Context())
				if err == nil {
					err = s.NewInstance(t.Context(), nil)
				}
				if err != nil {
					t.Error(err)
					return
				}
				h := &host{t: t, e: &env{}, p: p, s: s}
				got := fmt.Sprint(h.call("dump").value)
				mu.Lock()
				if want == "" {
					want = got
				} else if got != want {
					t.Errorf("a state sees a change:\n%s", firstDifference(want, got))
				}
				mu.Unlock()
				for i := range attacks {
					if i%4 == (worker+round)%4 {
						h.call(object.Method(fmt.Sprint("attack", i)))
						s.Held()
					}
				}
				s.Close(t.Context())
			}
		})
	}
	wg.Wait()
}
