package sandbox_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
)

// small limits memory, and lets a call run long enough to pass it by any means.
var small = object.Limits{Steps: 200_000_000, Wall: time.Minute, Memory: 32 << 20}

// TestMemoryIsLimited holds ever more, in every place where a script can hold something,
// and catches all it can.
func TestMemoryIsLimited(t *testing.T) {
	neighbour := start(t, counter)
	for _, body := range []string{
		"local t = {} while true do t[#t + 1] = ('x'):rep(1e5) .. #t end",
		"local t = {} while true do t[#t + 1] = {} end",
		"local t, n = {}, 0 while true do n = n + 1; t[n] = n + 0.5 end",
		"local t, n = {}, 0 while true do n = n + 1; t['k' .. n] = n end",
		"local t, n = {}, 0 while true do n = n + 1; t[n .. ''] = n .. '' end",
		"local t = {} while true do t = {t, ('x'):rep(1e4)} end",
		"local f = function() end while true do local g, s = f, ('x'):rep(1e4) .. tostring(f); f = function() return g, s end end",
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
			if a.err == nil || object.CodeOf(a.err) != object.CodeExhausted || !strings.Contains(a.err.Error(), "32 MiB of memory") || !a.out.Broken {
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

// TestGarbageIsFree makes thirty times the limit, and holds next to nothing of it.
func TestGarbageIsFree(t *testing.T) {
	h := startLimited(t, method("local s for i = 1, 10000 do s = ('x'):rep(1e5) .. i end return #s"), small)
	h.call("f").want(t, int64(100_005))
	// And what a call held is no burden of the next.
	h = startLimited(t, method("local t = {} for i = 1, 150 do t[i] = ('x'):rep(1e5) .. i end return #t"), small)
	for range 20 {
		h.call("f").want(t, int64(150))
	}
}

// TestResultIsLimited: a result is measured before it is written.
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
