package lua_test

import (
	"testing"

	gopher "github.com/yuin/gopher-lua"

	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/stdlib"
)

var programs = []struct{ name, body string }{
	{"fib", "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end return fib(22)"},
	{"methods", "local C = {} C.__index = C function C:inc(k) self.n = self.n + k return self end " +
		"local o = setmetatable({n = 0}, C) for i = 1, 20000 do o:inc(i):inc(1) end return o.n"},
	{"closures", "local function adder(k) return function(x) return x + k end end local n = 0 for i = 1, 20000 do n = adder(i)(n) end return n"},
	{"loop", "local n = 0 for i = 1, 200000 do n = n + i % 7 end return n"},
	{"tables", "local t = {} for i = 1, 20000 do t[i] = i * 2 end local n = 0 for k, v in pairs(t) do n = n + v end return n"},
	{"strings", "local t = {} for i = 1, 1000 do t[#t + 1] = ('%d:%s'):format(i, 'x'):upper() end return #table.concat(t, ',')"},
	{"concat", "local s = '' for i = 1, 500 do s = s .. i end return #s"},
	{"sort", "local t, x = {}, 42 for i = 1, 1000 do x = (x * 1103515245 + 12345) % 2147483648 t[i] = x end table.sort(t) return t[1]"},
}

func BenchmarkVM(b *testing.B) {
	for _, p := range programs {
		b.Run(p.name+"/vm=gopher", func(b *testing.B) {
			l := gopher.NewState(gopher.Options{RegistrySize: 256, RegistryMaxSize: 1 << 20})
			defer l.Close()
			if err := l.DoString("function f() " + p.body + " end"); err != nil {
				b.Fatal(err)
			}
			f := l.GetGlobal("f")
			for b.Loop() {
				if err := l.CallByParam(gopher.P{Fn: f, NRet: 1, Protect: true}); err != nil {
					b.Fatal(err)
				}
				l.Pop(1)
			}
		})
		b.Run(p.name+"/vm=hearth", func(b *testing.B) {
			vm := lua.New(lua.Limits{})
			vm.Refill = func() (int64, error) { return 1000, nil }
			g := stdlib.New(vm, stdlib.Config{}).Globals()
			vm.Main.SetGlobals(g)
			proto, err := lua.Compile("bench", p.body)
			if err != nil {
				b.Fatal(err)
			}
			f := lua.NewFunction(proto, g).Value()
			for b.Loop() {
				vm.Main.Push(f)
				if err := vm.Run(0, nil); err != nil {
					b.Fatal(err)
				}
				vm.Clear()
			}
		})
	}
}
