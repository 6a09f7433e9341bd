package lua_test

import (
	"runtime"
	"testing"

	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/stdlib"
)

// keepers are scripts that return a value which retains memory. Some retain it where no variable refers to it.
var keepers = []struct{ name, source string }{
	{"strings", "local t = {} for i = 1, 200 do t[i] = ('x'):rep(50000) .. i end return t"},
	{"tables", "local t = {} for i = 1, 50000 do t[i] = {i} end return t"},
	{"fields", "local t = {} for i = 1, 50000 do t['k' .. i] = i end return t"},
	{"closures", "local t = {} for i = 1, 50000 do local u = i t[i] = function() return u end end return t"},
	{"parts of strings", "local t = {} for i = 1, 200 do local s = ('x'):rep(50000) .. i " +
		"while #s > 1 do s = s:sub(1, #s / 2 + 1) if #s < 3 then s = s:sub(2) end end t[i] = s end return t"},
	{"captures", "local t = {} for i = 1, 200 do t[i] = (('x'):rep(50000) .. i):match('%d+') end return t"},
	{"parts of short strings", "local t = {} for i = 1, 5000 do t[i] = (('x'):rep(2000) .. i):sub(-2) end return t"},
	{"joined numbers", "local t = {} for i = 1, 20000 do " +
		"t[i] = 1 .. 2 .. 3 .. 4 .. 5 .. 6 .. 7 .. 8 .. 9 .. 1 .. 2 .. 3 .. 4 .. 5 .. 6 end return t"},
	{"patterns", "local t = {} for i = 1, 200 do t[i] = ('x'):gmatch(('x'):rep(50000) .. i) end return t"},
	{"subjects", "local t = {} for i = 1, 200 do t[i] = (('x'):rep(50000) .. i):gmatch('x') end return t"},
	{"iterators", "local t = {} for i = 1, 20000 do t[i] = ('x'):gmatch('x') end return t"},
	{"code", "local s, t = 'return function(a, b, c) local d = a + b return d * c end ', {} " +
		"for i = 1, 2000 do t[i] = loadstring(s) end return t"},
	{"inner code", "local t = {} " +
		"local s = ('local a = 1 '):rep(150) .. 'return function() ' .. ('x = 1 '):rep(500) .. 'end' " +
		"for i = 1, 200 do t[i] = loadstring(s)() end return t"},
	{"sources", "local t = {} for i = 1, 200 do " +
		"t[i] = loadstring('unlikelyName = 1' .. (' '):rep(50000)) end return t"},
	{"strings of code", "local t = {} for i = 1, 200 do " +
		"t[i] = loadstring('return \"' .. ('x'):rep(50000) .. i .. '\"')() end return t"},
	{"names of locals", "local t = {} for i = 1, 200 do " +
		"t[i] = loadstring('local ' .. ('x'):rep(50000) .. i .. ' = 1') end return t"},
	{"sources of locals", "local t = {} for i = 1, 200 do " +
		"t[i] = loadstring('local unlikelyName = 1' .. (' '):rep(50000)) end return t"},
	{"removed keys", "local t = {} for i = 1, 300 do t[i .. 'k'] = 1 end " +
		"for i = 1, 200 do local k = ('x'):rep(50000) .. i t[k] = 1 t[k] = nil end return t"},
	{"dead slots", "local y = coroutine.yield local co = coroutine.create(function() " +
		"local function d(n) if n > 0 then d(n - 1) return end local s = ('x'):rep(50000) .. n end " +
		"for n = 200, 1, -1 do d(n) end y() end) coroutine.resume(co) return co"},
	{"frames", "local function d(n) if n > 0 then return 1 + d(n - 1) end coroutine.yield() end local t = {} " +
		"for i = 1, 20 do t[i] = coroutine.create(d) coroutine.resume(t[i], 5000) end return t"},
	{"failed coroutines", "local t = {} for i = 1, 200 do local s = ('x'):rep(50000) .. i " +
		"local function f() error(#s) end t[i] = coroutine.create(function() f() end) " +
		"coroutine.resume(t[i]) end return t"},
	{"frames of failed coroutines", "local function d(n) if n > 0 then return 1 + d(n - 1) end error(1) end " +
		"local t = {} " +
		"for i = 1, 20 do t[i] = coroutine.create(d) coroutine.resume(t[i], 5000) end return t"},
	{"coroutines", "local t = {} for i = 1, 900 do t[i] = coroutine.wrap(function() end) end return t"},
	{"metatables", "local t = {} for i = 1, 20000 do t[i] = setmetatable({}, {__index = {}}) end return t"},
	{"environments", "local t = {} for i = 1, 20000 do t[i] = setfenv(function() end, {}) end return t"},
	{"proxies", "local t = {} for i = 1, 20000 do t[i] = newproxy(true) getmetatable(t[i]).__index = {} end return t"},
}

// TestHeldCountsWhatIsKept compares the VM's count of bytes in use with the bytes that the process does not collect.
func TestHeldCountsWhatIsKept(t *testing.T) {
	for _, k := range keepers {
		t.Run(k.name, func(t *testing.T) {
			vm := lua.New(lua.Limits{})
			g := stdlib.New(vm, stdlib.Config{}).Globals()
			vm.Main.SetGlobals(g)
			p, err := lua.Compile("keeper", k.source)
			if err != nil {
				t.Fatal(err)
			}
			before := vm.Held(1 << 40)
			heap := heapBytes()
			vm.Main.Push(lua.NewFunction(p, g).Value())
			if err := vm.Run(0, nil); err != nil {
				t.Fatal(err)
			}
			v := vm.Main.Get(1)
			vm.Clear()
			held := vm.Held(1<<40, v) - before
			kept := heapBytes() - heap
			if runtime.KeepAlive(v); held*2 < kept {
				t.Errorf("%d bytes are kept, and %d counted", kept, held)
			}
		})
	}
}

// heapBytes returns the bytes in use after a collection.
func heapBytes() int64 {
	runtime.GC()
	runtime.GC() // a value with a cleanup is collected by the second run
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
