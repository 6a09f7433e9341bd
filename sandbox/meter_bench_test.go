package sandbox_test

import (
	"context"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"github.com/hearthhost/hearth/object"
)

// metered is what BenchmarkMeter runs: each returns a number, so that nothing is left out.
var metered = []struct{ name, body string }{
	{"fib", "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end return fib(18)"},
	{"methods", "local C = {} C.__index = C function C:inc(k) self.n = self.n + k return self end " +
		"local o = setmetatable({n = 0}, C) for i = 1, 5000 do o:inc(i):inc(1) end return o.n"},
	{"closures", "local function adder(k) return function(x) return x + k end end local n = 0 for i = 1, 5000 do n = adder(i)(n) end return n"},
	{"loop", "local n = 0 for i = 1, 50000 do n = n + i % 7 end return n"},
	{"tables", "local t = {} for i = 1, 5000 do t[i] = i * 2 end local n = 0 for k, v in pairs(t) do n = n + v end return n"},
	{"strings", "local t = {} for i = 1, 1000 do t[#t + 1] = ('%d:%s'):format(i, 'x'):upper() end return #table.concat(t, ',')"},
	{"concat", "local s = '' for i = 1, 500 do s = s .. i end return #s"},
	{"sort", "local t, x = {}, 42 for i = 1, 1000 do x = (x * 1103515245 + 12345) % 2147483648 t[i] = x end table.sort(t) return t[1]"},
	{"patterns", "local n = 0 for w in ('the quick brown fox jumps over the lazy dog '):rep(50):gmatch('%a+') do n = n + #w end return n"},
}

// BenchmarkMeter runs the same Lua in a bare VM (vm=bare) and under the meter and all limits
// (vm=metered); benchstat -col /vm gives what they cost.
func BenchmarkMeter(b *testing.B) {
	for _, m := range metered {
		b.Run(m.name+"/vm=bare", func(b *testing.B) {
			l := lua.NewState(lua.Options{CallStackSize: 200, MinimizeStackMemory: true, RegistrySize: 256, RegistryMaxSize: 1 << 20})
			defer l.Close()
			if err := l.DoString("function f() " + m.body + " end"); err != nil {
				b.Fatal(err)
			}
			f := l.GetGlobal("f")
			for b.Loop() {
				if err := l.CallByParam(lua.P{Fn: f, NRet: 1, Protect: true}); err != nil {
					b.Fatal(err)
				}
				l.Pop(1)
			}
		})
		b.Run(m.name+"/vm=metered", func(b *testing.B) {
			h := start(b, method(m.body))
			r, enc := h.request(object.Invoke, "f", nil, nil)
			for b.Loop() {
				enc.Reset(nil)
				if out, err := h.s.Call(context.Background(), r); err != nil || out.Exception {
					b.Fatal(err)
				}
			}
		})
	}
}
