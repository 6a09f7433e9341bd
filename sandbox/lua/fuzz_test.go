package lua_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/stdlib"
)

// FuzzRun compiles and runs any source. It must end with a result, a Lua error or a limit, and not with a Go panic.
// Then the VM must be usable again.
func FuzzRun(f *testing.F) {
	for _, p := range programs {
		f.Add(p.body)
	}
	for _, s := range []string{
		"a, b = b, a", "return ...", "for i = 1, 10 do local x = i; f = function() return x end end", "goto = 1",
		"local t = setmetatable({}, {__index = function(t, k) return k end}) return t.x .. t.y",
		"return (function(...) return select('#', ...), ... end)(1, nil, nil)", "repeat local x = 1 until x",
		"coroutine.wrap(function() coroutine.yield(1) error({}) end)()", "return #{1, nil, 3, n = 4}, -'2' + '0x10'",
		"local function f() return f() end f()", "return pcall(xpcall, error, error)", "x = [==[\n]]]==] -- ]]",
		"local a <const> = 1", "return 'a' < 1", "while true do local x x = x and 1 or break end",
		"return loadstring('return 1')()",
		"local s = ('x'):rep(100) return s:gsub('(x)(x)', '%2%1'), s:find('x-$'), string.format('%5.2f %q', 1, s)",
		"table.sort({3, 1, 2}, function(a, b) return a > b end)", "return setfenv(function() return x end, {x = 1})()",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		vm := lua.New(lua.Limits{Depth: 200, Stack: 10_000})
		left := 200_000
		spent := errors.New("spent")
		vm.Refill = func() (int64, error) {
			left -= 1000
			if left < 0 || vm.Allocated > 64<<20 {
				return 0, spent
			}
			return 1000, nil
		}
		lib := stdlib.New(vm, stdlib.Config{})
		g := lib.Globals()
		vm.Main.SetGlobals(g)
		p, err := lua.Compile("fuzz", source)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "fuzz:") {
				t.Errorf("a syntax error without a position: %v", err)
			}
			return
		}
		vm.Main.Push(lua.NewFunction(p, g).Value())
		err = vm.Run(0, func(L *lua.Thread, _ lua.Value) string { return L.Traceback("", 1) })
		if err != nil && !errors.Is(err, spent) && !errors.As(err, new(*lua.Error)) {
			t.Errorf("it ended with %v", err)
		}
		vm.Held(1 << 40)
		vm.Revive()
		left = 1 << 40
		again, err := lua.Compile("again", "local t = {} for i = 1, 10 do t[i] = i end return #t")
		if err != nil {
			t.Fatal(err)
		}
		vm.Main.Push(lua.NewFunction(again, lib.Globals()).Value())
		if err := vm.Run(0, nil); err != nil {
			t.Fatalf("the VM cannot be used again: %v", err)
		}
		if n, _ := vm.Main.Get(1).AsNumber(); n != 10 {
			t.Errorf("it returns %v then", n)
		}
	})
}
