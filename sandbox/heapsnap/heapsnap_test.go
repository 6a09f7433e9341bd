package heapsnap_test

import (
	"testing"

	"github.com/hearthhost/hearth/sandbox/heapsnap"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/stdlib"
)

// TestUnchanged runs a script, takes a snapshot and runs the function that the script returns. Changes of any kind
// must be found.
func TestUnchanged(t *testing.T) {
	for source, want := range map[string]bool{
		"local n = 0 return function() local x = 1 return x + n end":                               true,
		"t = {} return function() return t.x end":                                                  true,
		"t = {} return function() local u = {} u.x = 1 end":                                        true,
		"return function() x = 1 end":                                                              false,
		"t = {x = 1} return function() t.x = 2 end":                                                false,
		"t = {x = 1} return function() t.x = nil end":                                              false,
		"t = {a = {b = {}}} return function() table.insert(t.a.b, 1) end":                          false,
		"local n = 0 return function() n = n + 1 end":                                              false,
		"local n = 0 local function f() return n end g = f return function() n = {} end":           false,
		"t = setmetatable({}, {__index = {}}) return function() getmetatable(t).__index.x = 1 end": false,
		"return function() string.x = 1 end":                                                       false,
		"local f = function() end return function() setfenv(f, {}) end":                            false,
		"c = coroutine.create(function() end) return function() end":                               false,
		"it = ('abc'):gmatch('.') return function() end":                                           false,
		"t = {} for i = 1, 3000 do t[i] = {} end return function() end":                            false,
	} {
		vm := lua.New(lua.Limits{})
		vm.Refill = func() (int64, error) { return 1 << 20, nil }
		globals := stdlib.New(vm, stdlib.Config{Coroutines: 10}).Globals()
		vm.Main.SetGlobals(globals)
		proto, err := lua.Compile("test", source)
		if err != nil {
			t.Fatal(err)
		}
		vm.Main.Push(lua.NewFunction(proto, globals).Value())
		if err := vm.Run(0, nil); err != nil {
			t.Fatal(err)
		}
		f := vm.Main.Get(1)
		vm.Clear()
		s := heapsnap.Take(vm, globals, f)
		vm.Main.Push(f)
		if err := vm.Run(0, nil); err != nil {
			t.Fatal(err)
		}
		if got := s.Unchanged(vm); got != want {
			t.Errorf("%s\nUnchanged = %v, want %v", source, got, want)
		}
	}
}
