package sandbox_test

import (
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
)

// small limits memory, and lets a call run long enough to exceed that limit.
var small = object.Limits{Steps: 200_000_000, MaxDuration: time.Minute, Memory: 32 << 20}

// TestMemoryIsLimited retains more and more memory in every place where a script can retain it, and catches all errors.
func TestMemoryIsLimited(t *testing.T) {
	neighbour := start(t, counter)
	for _, body := range []string{
		"local t = {} while true do t[#t + 1] = ('x'):rep(1e5) .. #t end",
		"local t = {} while true do t[#t + 1] = {} end",
		"local t, n = {}, 0 while true do n = n + 1; t[n] = n + 0.5 end",
		"local t, n = {}, 0 while true do n = n + 1; t['k' .. n] = n end",
		"local t, n = {}, 0 while true do n = n + 1; t[n .. ''] = n .. '' end",
		"local t = {} while true do t = {t, ('x'):rep(1e4)} end",
		"local f = function() end while true do local g, s = f, ('x'):rep(1e4) .. tostring(f); f = function() " +
			"return g, s end end",
		"local t = {} while true do pcall(function() while true do t[#t + 1] = ('x'):rep(1e5) end end) end",
		"while true do g = {g, ('x'):rep(1e5)} end",
		"while true do self.g = {self.g, ('x'):rep(1e5)} end",
		"local function f(s) return f(s .. ('x'):rep(1e4)) .. s end return f('')",
		"local t = {} coroutine.wrap(function() while true do t[#t + 1] = ('x'):rep(1e5) end end)()",
		"coroutine.wrap(function() local t = {} while true do t[#t + 1] = ('x'):rep(1e5) end end)()",
		"local t = {} while true do t[#t + 1] = hearth.bytes(('x'):rep(1e5)) end",
		"local t = {} while true do t[#t + 1] = setmetatable({}, {__index = {('x'):rep(1e4)}}) end",
	} {
		t.Run(body, func(t *testing.T) {
			a := startLimited(t, method(body), small).call("f")
			if a.err == nil || object.CodeOf(a.err) != object.CodeExhausted ||
				!strings.Contains(a.err.Error(), "32 MiB of memory") || !a.out.Broken {
				t.Errorf("%v, %v, %+v; want the limit of memory", a.value, a.err, a.out)
			}
		})
	}
	neighbour.call("add", 1).want(t, int64(1))
}

// TestMemoryAddsUpOverCalls lets an instance keep a little of every call.
func TestMemoryAddsUpOverCalls(t *testing.T) {
	h := startLimited(t, method("self[#self + 1] = ('x'):rep(1e6); for i = 1, 5000 do end; return #self"), small)
	for i := range 1000 {
		a := h.call("f")
		if a.err != nil {
			if i < 16 || !strings.Contains(a.err.Error(), "of memory") {
				t.Errorf("call %d: %v", i, a.err)
			}
			return
		}
	}
	t.Error("an instance held a GB")
}

// TestGarbageIsFree allocates thirty times the limit and retains almost none of it.
func TestGarbageIsFree(t *testing.T) {
	h := startLimited(t, method("local s for i = 1, 10000 do s = ('x'):rep(1e5) .. i end return #s"), small)
	h.call("f").want(t, int64(100_005))
	// The memory of a call does not count in the next call.
	h = startLimited(t, method("local t = {} for i = 1, 150 do t[i] = ('x'):rep(1e5) .. i end return #t"), small)
	for range 20 {
		h.call("f").want(t, int64(150))
	}
}

// TestResultIsLimited checks that a result is measured before it is written.
func TestResultIsLimited(t *testing.T) {
	limits := quick
	limits.ResultBytes = 100_000
	h := startLimited(t, method("local s, t = ('x'):rep(a), {} for i = 1, b do t[i] = s end return t"), limits)
	h.call("f", 1000, 99).want(t, func() []any {
		var out []any
		for range 99 {
			out = append(out, strings.Repeat("x", 1000))
		}
		return out
	}())
	h.call("f", 1000, 101).raises(t, "builtins.TypeError", "has more than 100000 bytes in all")
	h.call("f", 1_000_000, 1000).raises(t, "builtins.TypeError", "has more than 100000 bytes in all")
}

func BenchmarkLoop(b *testing.B) {
	benchmark(b, method("local t = {} for i = 1, 20000 do t[i % 100] = i end return #t"), "f")
}

// TestPartsDoNotRetainTheWhole checks that a script that keeps a few bytes of every large text retains only those,
// however they were cut out.
func TestPartsDoNotRetainTheWhole(t *testing.T) {
	for _, cut := range []string{"a:sub(1, 16)", "a:match('^x+y')", "a:match('(x+)y')", "hearth.bytes(a):sub(1, 16)"} {
		t.Run(cut, func(t *testing.T) {
			h := start(t, "local T = hearth.object { instance = 'single' }\nlocal kept = {}\n"+
				"function T.expose:f(a) kept[#kept + 1] = "+cut+" return #kept[#kept] < 20 end\nreturn T")
			text := strings.Repeat("x", 15) + strings.Repeat("y", 1<<20)
			before := heap()
			for range 16 {
				h.call("f", text).want(t, true)
			}
			if held := heap() - before; held > 4<<20 {
				t.Errorf("16 parts of 16 bytes hold %d bytes", held)
			}
			runtime.KeepAlive(h)
		})
	}
}

// heap returns the bytes in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // pools keep their content for one cycle
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestIncompleteArgumentsAreNotRetained checks that incomplete arguments are not retained. Otherwise a caller could
// make each instance retain megabytes.
func TestIncompleteArgumentsAreNotRetained(t *testing.T) {
	text := strings.Repeat("x", 100_000)
	for name, tc := range map[string]struct {
		kind object.CallKind
		args []any
	}{
		"arguments":           {object.Invoke, []any{text}},
		"a list":              {object.Invoke, []any{[]any{text}}},
		"a batch":             {object.Batch, []any{codec.Tuple{"f", codec.Tuple{text}, map[string]any{}}}},
		"a batch with a dict": {object.Batch, []any{codec.Tuple{"f", codec.Tuple{}, map[string]any{"k": text}}}},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, method("return 1"))
			r, _ := h.request(tc.kind, "f", nil, nil)
			ser := codec.ByID(codec.Msgpack)
			doc, err := pyro.AppendCall(ser, nil, "acme.thing", "f", tc.args, nil, true)
			if err != nil {
				t.Fatal(err)
			}
			arrived := &doc[0]
			kept := weak.Make(arrived)
			r.Batch, r.OwnedBuf = []object.Method{"f"}, doc
			r.Args = func(to object.Sink) error { return pyro.DecodeCall(ser, doc[:len(doc)-1], codec.Limits{}, to) }
			if _, err := h.s.Call(t.Context(), r); object.CodeOf(err) != object.CodeInvalid {
				t.Fatalf("error %v, want one of the arguments", err)
			}
			runtime.KeepAlive(arrived)
			r, doc, arrived = nil, nil, nil //nolint:ineffassign,wastedassign // for the collector
			runtime.GC()
			if kept.Value() != nil {
				t.Error("the arguments are still there")
			}
			runtime.KeepAlive(h)
		})
	}
}
