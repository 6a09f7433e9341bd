package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/internal/redact"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
	"github.com/hearthhost/hearth/sandbox/services"
)

// env implements the services of the engine in these tests.
type env struct {
	mu    sync.Mutex
	lines []string
	proxy func(*services.ObjectCall) error

	secrets  map[string]string
	known    *redact.Set
	searched int // bytes of texts that Redact has searched
}

func (e *env) Secret(id object.ID, name string) (string, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	v, ok := e.secrets[string(id)+"/"+name]
	return v, ok
}

func (e *env) Redact(text string, most int) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.searched += min(len(text), most)
	return e.known.Cut(text, most)
}

func (e *env) Line(_ object.ID, level, msg string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines = append(e.lines, level+": "+msg)
}

func (e *env) Call(_ context.Context, r *services.ObjectCall) error { return e.proxy(r) }

// host loads a script and holds one state of it.
type host struct {
	t testing.TB
	e *env
	p *sandbox.Program
	s *sandbox.State
}

// quick limits end attacks soon: most exceed the steps, not the time.
var quick = object.Limits{Steps: 2_000_000, MaxDuration: 3 * time.Second}

func load(src string, libs map[string]string, e *env) (*sandbox.Program, error) {
	return loadLimited(src, libs, quick, e)
}

func loadLimited(src string, libs map[string]string, limits object.Limits, e *env) (*sandbox.Program, error) {
	cfg := sandbox.Config{
		ID:       "acme.thing",
		Source:   []byte(src),
		Libs:     map[string][]byte{},
		Services: services.Set{Objects: e, Log: e, Secrets: e},
		Classes:  pyro.ObjectCalls,
		Limits:   limits,
	}
	for name, s := range libs {
		cfg.Libs[name] = []byte(s)
	}
	return sandbox.Load(context.Background(), cfg)
}

func start(t testing.TB, src string) *host { return startWith(t, src, nil, quick) }

func startLimited(t testing.TB, src string, limits object.Limits) *host {
	return startWith(t, src, nil, limits)
}

func startWith(t testing.TB, src string, libs map[string]string, limits object.Limits) *host {
	t.Helper()
	h := &host{t: t, e: &env{}}
	var err error
	h.p, err = loadLimited(src, libs, limits, h.e)
	if err != nil {
		t.Fatal(err)
	}
	h.s, err = h.p.NewState(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.s.NewInstance(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.s.Close(context.Background()) })
	return h
}

// method wraps a body in an object with one method f.
func method(body string) string {
	return "local T = hearth.object { instance = \"single\" }\nfunction T.expose:f(a, b, c)\n" + body +
		"\nend\nreturn T"
}

type answer struct {
	value any
	out   sandbox.Outcome
	err   error
}

func (h *host) request(kind object.CallKind, m object.Method, args []any, kw map[string]any) (*sandbox.Request,
	codec.Encoder) {
	h.t.Helper()
	ser := codec.ByID(codec.Serpent)
	payload, err := pyro.AppendCall(ser, nil, "acme.thing", string(m), args, kw, false)
	if err != nil {
		h.t.Fatal(err)
	}
	enc := ser.NewEncoder(nil)
	return &sandbox.Request{
		Kind: kind, Method: m, Result: enc, Traceback: true,
		Caller:      object.Caller{Principal: "alice", Peer: object.Peer{Auth: "peer", UID: 7, Addr: "here"}},
		ResetResult: func() { enc.Reset(nil) },
		Args:        func(to object.Sink) error { return pyro.DecodeCall(ser, payload, codec.Limits{}, to) },
		Classes:     pyro.ObjectCalls,
	}, enc
}

func (h *host) value(enc codec.Encoder) any {
	h.t.Helper()
	doc, err := enc.Document()
	if err != nil {
		h.t.Fatal(err)
	}
	v, err := codec.Unmarshal(codec.ByID(codec.Serpent), doc, codec.Limits{})
	if err != nil {
		h.t.Fatalf("reading %s: %v", doc, err)
	}
	return v
}

func (h *host) do(kind object.CallKind, m object.Method, args []any, kw map[string]any) answer {
	h.t.Helper()
	r, enc := h.request(kind, m, args, kw)
	out, err := h.s.Call(h.t.Context(), r)
	a := answer{out: out, err: err}
	if err == nil && out.Stream == nil {
		a.value = h.value(enc)
	}
	return a
}

func (h *host) call(m object.Method, args ...any) answer {
	h.t.Helper()
	return h.do(object.Invoke, m, args, nil)
}

func (a answer) want(t testing.TB, want any) {
	t.Helper()
	if diff := cmp.Diff(want, a.value); a.err != nil || diff != "" {
		t.Errorf("error %v; result (-want +got):\n%s", a.err, diff)
	}
}

func (a answer) raises(t testing.TB, class, text string) {
	t.Helper()
	e, ok := a.value.(*codec.Exception)
	if !ok || !a.out.Exception {
		t.Fatalf("answer = %v, %v; want %s", a.value, a.err, class)
	}
	if e.Class != class || !strings.Contains(fmt.Sprint(e.Args...), text) {
		t.Errorf("raised %s%v, want %s(…%s…)", e.Class, e.Args, class, text)
	}
}

const counter = `
local C = hearth.object { doc = "Counts.", instance = "single" }
function C:init() self.n = 0 end
-- Adds k
-- and tells.
function C.expose:add(k) self.n = self.n + k; return self.n end
function C.oneway:reset() self.n = 0 end
-- The total.
function C.get:total() return self.n end
function C.set:total(v) self.n = v end
function C:helper() return self:add(1) end
function C.expose:twice() self:helper(); return self:helper() end
return C`

func TestObject(t *testing.T) {
	h := start(t, counter)
	want := &object.Description{ID: "acme.thing", Doc: "Counts.", Instance: object.Single, Members: []object.Member{
		{Name: "add", Doc: "Adds k\nand tells.", Signature: "(k)", Method: true},
		{Name: "reset", Signature: "()", Method: true, Oneway: true},
		{Name: "total", Doc: "The total.", Get: true, Set: true},
		{Name: "twice", Signature: "()", Method: true},
	}}
	if diff := cmp.Diff(want, h.p.Description(), cmpopts.IgnoreFields(object.Member{}, "Function")); diff != "" {
		t.Errorf("description:\n%s", diff)
	}
	h.call("add", 2).want(t, int64(2))
	h.call("twice").want(t, int64(4))
	h.do(object.Set, "total", []any{"total", 9}, nil).want(t, nil)
	h.do(object.Get, "total", []any{"total"}, nil).want(t, int64(9))
	for _, m := range []object.Method{"init", "helper", "close", "expose", "total", "nosuch", "__index"} {
		if a := h.call(m); object.CodeOf(a.err) != object.CodeNotFound {
			t.Errorf("%s: %v, %v; want not_found: it is not exposed", m, a.value, a.err)
		}
	}
}

func TestPerCallStartsFresh(t *testing.T) {
	h := start(t, `
local n = 0
seen = (seen or 0)
local C = hearth.object { instance = "call" }
function C.expose:f() n = n + 1; seen = seen + 1; self.x = (self.x or 0) + 1; return n + seen + self.x end
return C`)
	for range 3 {
		h.call("f").want(t, int64(3))
		if err := h.s.NewInstance(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPerCallLeavesNoTrace tries every place where a caller could leave data for the next one. Each method returns the
// data that it finds and leaves more.
func TestPerCallLeavesNoTrace(t *testing.T) {
	for name, body := range map[string]string{
		"a local":              `n = n + 1; return n`,
		"a local set to nil":   `local was = gone; gone = nil; return was and 1 or 2`,
		"a global":             `g = (g or 0) + 1; return g`,
		"a global through _G":  `_G.g = (_G.g or 0) + 1; return g`,
		"a function replaced":  `local was = helper(); helper = function() return 2 end; return was`,
		"a global function":    `local was = ghelper(); function ghelper() return 2 end; return was`,
		"a table":              `t[#t + 1] = 1; return #t`,
		"a key renamed":        `local v = t.x or 2; t.x, t.y = nil, 1; return v`,
		"deep inside":          `t.a.b.c = (t.a.b.c or 0) + 1; return t.a.b.c`,
		"table.insert":         `table.insert(t, 1); return #t`,
		"rawset":               `rawset(t, 1, (t[1] or 0) + 1); return t[1]`,
		"table.sort":           `local v = s[1]; table.sort(s); return v == 3 and 1 or 2`,
		"a metatable":          `local v = getmetatable(t) and 2 or 1; setmetatable(t, {}); return v`,
		"inside a metatable":   `local v = mt.__index.z or 1; mt.__index.z = 2; return v`,
		"the object":           `C.z = (C.z or 0) + 1; return C.z`,
		"a method":             `local v = self:other(); C.expose.other = function() return 2 end; return v`,
		"the instance":         `self.z = (self.z or 0) + 1; return self.z`,
		"a private method":     `local v = self:private(); function C:private() return 2 end; return v`,
		"an iterator":          `return it() == "a" and 1 or 2`,
		"a coroutine":          `return co()`,
		"a coroutine, resumed": `local _, v = coroutine.resume(th); return v`,
		"a module":             `m.n = m.n + 1; return m.n`,
		"a module, required":   `local m = require "m"; m.n = m.n + 1; return m.n`,
		"another module":       `local o = require "o"; o.n = o.n + 1; return o.n`,
		"a mark":               `local v = hearth.typeof(plain) == "table" and 1 or 2; hearth.list(plain); return v`,
		"a library":            `local v = string.extra or 1; string.extra = 2; return v`,
		"a library function":   `local v = ("x"):upper() == "X" and 1 or 2; string.upper = string.lower; return v`,
		"methods of strings":   `local mt = getmetatable(""); local v = mt.extra or 1; mt.extra = 2; return v`,
		"string methods gone": `local v = pcall(function() return ("x").upper end) and 1 or 2; ` +
			`getmetatable("").__index = nil; return v`,
		"the log":         `local v = hearth.log.info and 1 or 2; hearth.log.info = nil; return v`,
		"package.loaded":  `local v = package.loaded.extra or 1; package.loaded.extra = 2; return v`,
		"package.preload": `local v = package.preload.extra and 2 or 1; package.preload.extra = print; return v`,
		"an environment":  `local v = getfenv(helper).extra or 1; setfenv(helper, {extra = 2}); return v`,
		"the globals of load": `local v = loadstring("return extra or 1")(); setfenv(0, {extra = 2, setfenv = ` +
			`setfenv}); return v`,
		"a metatable of _G":   `local v = extra or 1; setmetatable(_G, {__index = {extra = 2}}); return v`,
		"rawset of _G":        `local v = rawget(_G, "extra") or 1; rawset(_G, "extra", 2); return v`,
		"loaded code":         `loadstring("extra = (extra or 0) + 1")(); return extra`,
		"a proxy's metatable": `local mt = getmetatable(px); local v = mt.extra or 1; mt.extra = 2; return v`,
		"an upvalue by load":  `local v = lf(); setfenv(lf, {n = 1}); return v`,
		"the random numbers": `local v = math.random(1e9); math.randomseed(7); local w = math.random(1e9); ` +
			`math.randomseed(7); return v == w and 2 or 1`,
	} {
		t.Run(name, func(t *testing.T) {
			h := startWith(t, `
local n, gone = 0, true
local t, s, plain = { a = { b = {} }, x = 1 }, { 3, 1, 2 }, {}
local mt = { __index = {} }
local withmt = setmetatable({}, mt)
local helper = function() return 1 end
function ghelper() return 1 end
local it = ("a b c"):gmatch("%a")
local co = coroutine.wrap(function() local i = 0; while true do i = i + 1; coroutine.yield(i) end end)
local th = coroutine.create(function() local i = 0; while true do i = i + 1; coroutine.yield(i) end end)
local m = require "m"
local px = newproxy(true)
local lf = loadstring("n = (n or 0) + 1 return n")
local C = hearth.object { instance = "call" }
function C:private() return 1 end
function C.expose:other() return 1 end
function C.expose:f() `+body+` end
function C.expose:quiet() return 1 end
return C`, map[string]string{"m": "return { n = 0 }", "o": "return { n = 0 }"}, quick)
			for i := range 4 {
				h.call("f").want(t, int64(1))
				for range i {
					if err := h.s.NewInstance(t.Context(), nil); err != nil {
						t.Fatal(err)
					}
					h.call("quiet").want(t, int64(1))
				}
				if err := h.s.NewInstance(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestOnlyShownTextIsSearchedForSecrets checks that only the shown part of a text is searched for secrets. A script or
// its caller chooses the length of a text in a log or an error. Searching 32 MB takes seconds, in which no limit
// counts.
func TestOnlyShownTextIsSearchedForSecrets(t *testing.T) {
	for _, body := range []string{
		"print(long)", "hearth.log.warn(long, long)", "io.write(long)", "error(long)",
		"error(hearth.exception('ValueError', long))",
		"error(hearth.exception(long, 'x'))", "return { [long] = print }",
		"return { [long] = { [long] = { [long] = print } } }", "return hearth.proxy('a.b')[long]",
		"hearth.proxy('a.b')[long] = 1", "require(long)", "require('a.' .. long)", "hearth.object { instance = long }",
		"hearth.object { [long] = 1 }",
		"hearth.object { doc = long }", "hearth.secret(long)",
		"error(hearth.exception('ValueError', long:sub(1, 900000), long:sub(1, 900000)))",
	} {
		h := startLimited(t, method("local long = ('secret'):rep(5e6) "+body), object.Limits{Memory: 1 << 30})
		h.e.searched = 0
		h.call("f")
		if most := 3 << 20; h.e.searched > most {
			t.Errorf("%s: secrets were searched for in %d bytes, want at most %d", body, h.e.searched, most)
		}
	}
}

// TestPerCallStreams checks that an item stream made at load time is sent once. The next instance needs another stream,
// whose function shares no data with the first.
func TestPerCallStreams(t *testing.T) {
	h := start(t, `
local stream
do
	local n = 0
	stream = hearth.stream(function() n = n + 1 return n end)
end
local C = hearth.object { instance = "call" }
function C.expose:f() return stream end
return C`)
	for i := range 3 {
		a := h.call("f")
		if a.err != nil || a.out.Stream == nil {
			t.Fatalf("call %d: no stream, but %v, %v", i+1, a.value, a.err)
		}
		r, result := h.request(object.Invoke, "f", nil, nil)
		if ok, _, err := a.out.Stream.Next(t.Context(), r); !ok || err != nil {
			t.Fatalf("call %d: %v, %v", i+1, ok, err)
		}
		if text, err := result.Document(); err != nil || !strings.HasSuffix(strings.TrimSpace(string(text)), "1") {
			t.Errorf("call %d: the first item is %q, %v", i+1, text, err)
		}
		if err := h.s.NewInstance(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestValuesSurvive(t *testing.T) {
	h := start(t, method("return a"))
	for _, v := range []any{
		nil, true, int64(0), int64(-7), int64(1) << 53, int64(1)<<53 + 1, int64(-1) << 63, 1.5, "", "é😀",
		"\xed\xa0\x80",
		[]any{}, map[string]any{}, []any{nil, nil}, []any{int64(1), []any{}}, codec.Tuple{}, codec.Tuple{int64(1)},
		codec.Set{int64(1)}, map[string]any{"a": nil}, codec.Dict{{Key: int64(5), Value: "x"}}, []byte("\x00raw"),
		complex(1, -2),
	} {
		want := v
		if s, ok := v.(codec.Set); ok && len(s) == 0 {
			want = codec.Tuple{}
		}
		h.call("f", v).want(t, want)
	}
}

func TestLuaSide(t *testing.T) {
	for _, tc := range []struct {
		body string
		args []any
		want any
	}{
		{"return 1, nil, 'x'", nil, codec.Tuple{int64(1), nil, "x"}},
		{"return {1, 2}", nil, []any{int64(1), int64(2)}},
		{"return {}", nil, []any{}},
		{"return {a = 1}", nil, map[string]any{"a": int64(1)}},
		{"return hearth.dict{}", nil, map[string]any{}},
		{"return hearth.tuple(1, nil)", nil, codec.Tuple{int64(1), nil}},
		{"return hearth.set{3}", nil, codec.Set{int64(3)}},
		{"return hearth.bytes('ab') .. 'c'", nil, []byte("abc")},
		{"return #a", []any{[]byte("four")}, int64(4)},
		{"return hearth.float(2)", nil, 2.0},
		{"return tostring(hearth.int('9007199254740993') + 1)", nil, "9007199254740994"},
		{"return hearth.int('9007199254740993') > 5", nil, nil}, // replaced below
		{"return a == hearth.null, a[1] == hearth.null", []any{[]any{nil}}, codec.Tuple{false, true}},
		{"return (hearth.complex(1, 2) * hearth.complex(0, 1)).re", nil, int64(-2)},
		{"return ('x'):upper() .. ('%d'):format(5)", nil, "X5"},
		{"return hearth.caller().principal", nil, "alice"},
		{"return select('#', ...)", nil, nil}, // replaced below
		{"return type(os.time()), os.execute, (io.open('x')), debug.sethook, package.loadlib, string.dump, " +
			"loadfile, dofile", nil,
			codec.Tuple{"number", nil, nil, nil, nil, nil, nil, nil}},
	} {
		if tc.want == nil {
			continue
		}
		h := start(t, method(tc.body))
		t.Run(tc.body, func(t *testing.T) { h.t = t; h.call("f", tc.args...).want(t, tc.want) })
	}
}

func TestErrors(t *testing.T) {
	for _, tc := range []struct{ body, class, text string }{
		{"error(hearth.exception('ValueError', 'why', 2))", "builtins.ValueError", "why"},
		{"error(hearth.exception('NamingError', 'x'))", "Pyro5.errors.NamingError", "x"},
		{"error(hearth.exception('SystemExit', 'x'))", "builtins.RuntimeError", "SystemExit: x"},
		{"error('plain')", "builtins.RuntimeError", "acme/thing.lua:3: plain"},
		{"return nil + 1", "builtins.RuntimeError", "acme/thing.lua:3:"},
		{"return print", "builtins.TypeError", "result is a function"},
		{"return {x = {print}}", "builtins.TypeError", "result.x[1] is a function"},
		{"local t = {}; t[1] = t; return t", "builtins.TypeError", "contains itself"},
		{"return '\\255'", "builtins.TypeError", "hearth.bytes"},
		{"error(hearth.exception('ValueError', 'x', ('y'):rep(2e6)))", "Pyro5.errors.PyroError",
			"has more than 1048576 bytes in all"},
		{"setmetatable(hearth.list{}, {})", "builtins.RuntimeError", "protected"},
	} {
		t.Run(tc.body, func(t *testing.T) { start(t, method(tc.body)).call("f").raises(t, tc.class, tc.text) })
	}
}

func TestStreams(t *testing.T) {
	h := start(t, method("local i = 0; return hearth.stream(function() i = i + 1; if i == 3 then error('end') end; "+
		"return i end)"))
	r, _ := h.request(object.Invoke, "f", nil, nil)
	out, err := h.s.Call(t.Context(), r)
	if err != nil || out.Stream == nil {
		t.Fatalf("Call() = %+v, %v; want a stream", out, err)
	}
	for want := range int64(2) {
		r, enc := h.request(object.Invoke, "f", nil, nil)
		ok, _, err := out.Stream.Next(t.Context(), r)
		if err != nil || !ok || h.value(enc) != want+1 {
			t.Errorf("item %d: %v, %v", want, ok, err)
		}
	}
	r, enc := h.request(object.Invoke, "f", nil, nil)
	ok, last, err := out.Stream.Next(t.Context(), r)
	answer{value: h.value(enc), out: last, err: err}.raises(t, "builtins.RuntimeError", "end")
	if !ok {
		t.Error("an error in a stream was taken for its end")
	}
}

// TestBombs runs scripts that exceed limits. Each must end by a limit or an error. None may return, and none may affect
// other states.
func TestBombs(t *testing.T) {
	neighbour := start(t, counter)
	for _, body := range []string{
		"while true do end",
		"while true do pcall(function() while true do end end) end",
		"local function f() pcall(f); return f() end; f()",
		"repeat xpcall(function() while true do end end, function() while true do end end) until false",
		"for co in coroutine.wrap(function() while true do coroutine.yield(1) end end) do end",
		"coroutine.wrap(function() while true do end end)()",
		"while true do coroutine.wrap(function() while true do end end)() end",
		"local t = {} while true do t[#t + 1] = coroutine.create(print) end",
		"return ('x'):rep(2e9)",
		"return ('x'):rep(-1 + 2^31):rep(2^31)",
		"return ('%999999999d'):format(1)",
		"return (('a'):rep(3000)):find('.-.-.-.-b')",
		"return ('a'):rep(30000):gsub('a*a*a*a*b', '')",
		"local t = {}; for i = 1, 1e9 do table.insert(t, -2^30, 1) end",
		"return unpack({}, 1, 1e8)",
		"local function f() return 1 + f() end; return f()",
		"local s = setmetatable({}, {__index = function(t, k) return t[k] end}); return s.x",
		"local t = {}; t[1] = 1; for i = 1, 1e9 do t[i] = i end",
	} {
		t.Run(body, func(t *testing.T) {
			a := start(t, method(body)).call("f")
			if a.err == nil && !a.out.Exception {
				t.Errorf("it returned %v", a.value)
			}
			if code := object.CodeOf(a.err); a.err != nil && code != object.CodeExhausted &&
				code != object.CodeDeadline {
				t.Errorf("error = %v, want a spent limit", a.err)
			}
		})
	}
	neighbour.call("add", 1).want(t, int64(1))
}

func TestCancelStopsACall(t *testing.T) {
	h := start(t, method("while true do end"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, _ := h.request(object.Invoke, "f", nil, nil)
	out, err := h.s.Call(ctx, r)
	if code := object.CodeOf(err); !out.Broken || code != object.CodeCanceled && code != object.CodeExhausted {
		t.Errorf("Call() = %+v, %v; want a broken state and canceled", out, err)
	}
}

func TestScriptsThatDoNotLoad(t *testing.T) {
	for _, tc := range []struct{ src, text string }{
		{"this is not Lua", "acme/thing.lua"},
		{"return 1", "hearth.object"},
		{"return {}", "hearth.object"},
		{"error('at load')", "at load"},
		{"while true do end", "limit exceeded"},
		{"return hearth.object { mode = 'single' }", "unknown setting"},
		{"return hearth.object { instance = 'many' }", "instance must be"},
		{"local T = hearth.object{}; T.expose.x = 1; return T", "expose.x must be a function"},
		{"local T = hearth.object{}; function T.expose:_hidden() end; return T", "public name"},
		{"require 'nosuch'", "module 'nosuch' not found"},
		{strings.Repeat("(", 300), "too many syntax levels"},
		{"return " + strings.Repeat("{", 300), "too many syntax levels"},
		{strings.Repeat("do ", 300), "too many syntax levels"},
		{"return " + strings.Repeat("not ", 300) + "1", "too many syntax levels"},
		{"x = " + strings.Repeat("function() x = ", 300), "too many syntax levels"},
		{"x = " + strings.Repeat("- ", 2000) + "1", "too many syntax levels"},
		{strings.Repeat("-", 1<<17), "bytes"},
	} {
		_, err := load(tc.src, nil, &env{})
		if object.CodeOf(err) != object.CodeUnavailable || !strings.Contains(err.Error(), tc.text) ||
			!strings.Contains(err.Error(), "acme.thing does not load") {
			t.Errorf("%.40q: %v, want …%s…", tc.src, err, tc.text)
		}
	}
}

// TestSecretInAName lets a script use its secret as the name of a method, which every client can read.
func TestSecretInAName(t *testing.T) {
	const src = `local T = hearth.object {}
local secret = hearth.secret("smtp")
%s["is_" .. secret] = function() end
return T`
	e := &env{secrets: map[string]string{"acme.thing/smtp": "hunter22"}}
	e.known = e.known.With("smtp", "hunter22")
	for _, section := range []string{"T.expose", "T.oneway", "T.get", "T.set"} {
		_, err := load(fmt.Sprintf(src, section), nil, e)
		if err == nil || strings.Contains(err.Error(), "hunter22") ||
			!strings.Contains(err.Error(), "a member's name holds a secret") {
			t.Errorf("%s: %v", section, err)
		}
	}
	if _, err := load(fmt.Sprintf(src, "T"), nil, e); err != nil {
		t.Errorf("a helper, which is not listed: %v", err)
	}
}

func TestRequire(t *testing.T) {
	libs := map[string]string{
		"util":   "loads = (loads or 0) + 1; return { double = function(x) return 2 * x end, loads = loads }",
		"loop":   "require 'loop'",
		"broken": "(",
	}
	h := startWith(t, "local u = require 'util'\nlocal v = require 'util'\n"+method("return u.double(a), u == v"), libs,
		quick)
	h.call("f", 4).want(t, codec.Tuple{int64(8), true})
	for name, text := range map[string]string{"loop": "loop or previous error", "broken": "lib/broken.lua"} {
		if _, err := load("require '"+name+"'", libs, &env{}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("require %q: %v, want …%s…", name, err, text)
		}
	}
}

func TestProxyCallsAsItsObject(t *testing.T) {
	h := start(t, method("return hearth.proxy('acme.other'):add(a, hearth.kw{x = 1})"))
	h.e.proxy = func(r *services.ObjectCall) error {
		if r.From != "acme.thing" || r.To != "acme.other" || r.Method != "add" {
			t.Errorf("call %+v", r)
		}
		var b codec.Builder
		if err := r.Args(&b); err != nil {
			return err
		}
		return r.Result.Int(42)
	}
	h.call("f", 1).want(t, int64(42))
	h.e.proxy = func(*services.ObjectCall) error {
		return &services.RemoteException{Class: "KeyError", Message: "gone"}
	}
	h.call("f", 1).raises(t, "builtins.KeyError", "gone")
	h.e.proxy = func(*services.ObjectCall) error { return errors.New("secret cause") }
	a := h.call("f", 1)
	a.raises(t, "builtins.RuntimeError", "calling acme.other")
	if strings.Contains(fmt.Sprint(a.value.(*codec.Exception).Args...), "secret") {
		t.Error("an internal cause reached the script")
	}
}

// TestStatesShareNothing runs several states of one program at the same time, each changing all it can.
func TestStatesShareNothing(t *testing.T) {
	p, err := load(method("spoilt = (spoilt or 0) + a; return spoilt"), nil, &env{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		s, err := p.NewState(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h := &host{t: t, p: p, s: s}
		wg.Go(func() {
			if err := s.NewInstance(context.Background(), nil); err != nil {
				t.Error(err)
			}
			for i := range int64(20) {
				h.call("f", 1).want(t, i+1)
			}
		})
	}
	wg.Wait()
}

func TestLogLines(t *testing.T) {
	h := start(t, method("print('a', 1); hearth.log.warn('b')"))
	h.call("f").want(t, nil)
	if diff := cmp.Diff([]string{"info: a 1", "warn: b"}, h.e.lines); diff != "" {
		t.Errorf("log:\n%s", diff)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(counter)
	f.Add("return " + strings.Repeat("{", 100))
	f.Add("local a = [==[ ]==] --[[ x ]] 'y\\'")
	f.Fuzz(func(_ *testing.T, src string) { _, _ = load(src, nil, &env{}) })
}

func benchmark(b *testing.B, src string, m object.Method, args ...any) {
	h := start(b, src)
	r, enc := h.request(object.Invoke, m, args, nil)
	b.ReportAllocs()
	for b.Loop() {
		enc.Reset(nil)
		if out, err := h.s.Call(context.Background(), r); err != nil || out.Exception {
			b.Fatal(err)
		}
	}
}

func BenchmarkAdd(b *testing.B)  { benchmark(b, counter, "add", 1) }
func BenchmarkEcho(b *testing.B) { benchmark(b, method("return a"), "f", 1) }
func BenchmarkTable(b *testing.B) {
	benchmark(b, method("return a"), "f", []any{1, "two", 3.5, []any{nil}})
}

// BenchmarkFreshInstance measures the addition of mode "call" to each call.
func BenchmarkFreshInstance(b *testing.B) {
	h := start(b, strings.Replace(method("return a"), "single", "call", 1))
	b.ReportAllocs()
	for b.Loop() {
		if err := h.s.NewInstance(context.Background(), nil); err != nil {
			b.Fatal(err)
		}
	}
}
