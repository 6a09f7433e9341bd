package sandbox

import (
	"fmt"
	"testing"

	"github.com/hearthhost/hearth/sandbox/lua"
)

// TestScriptsReachNoSharedTable walks all tables that a script can reach by every access that yields a table. A shared
// one could not be written to. It is an internal test because the walk uses the VM.
func TestScriptsReachNoSharedTable(t *testing.T) {
	s := emptyObject(t)
	seen := map[lua.Value]bool{}
	tables := 0
	var walk func(path string, v lua.Value)
	walk = func(path string, v lua.Value) {
		if seen[v] {
			return
		}
		seen[v] = true
		var meta *lua.Table
		switch v.Kind() { //nolint:exhaustive // the others have no parts
		case lua.TableKind:
			tables++
			if v.AsTable().Shared() {
				t.Errorf("%s is shared with other states", path)
			}
			for k, e := range v.AsTable().All() {
				walk(path+"."+lua.Describe(k), e)
			}
			meta = v.AsTable().Meta
		case lua.UserDataKind:
			meta = v.AsUserData().Meta
		case lua.FunctionKind:
			if f := v.AsFunction(); f.Env != nil {
				walk(path+" env", f.Env.Value())
			}
			for i := range v.AsFunction().Upvalues() {
				walk(fmt.Sprintf("%s^%d", path, i), v.AsFunction().Upvalue(i))
			}
		}
		if meta != nil && meta.GetString("__metatable").IsNil() {
			walk(path+" meta", meta.Value())
		}
	}
	walk("_G", s.env.Value())
	walk("string meta", s.vm.StringMeta.Value())
	walk("the object", s.def.Table.Value())
	walk("the instances", s.def.Meta.Value())
	if tables < 20 {
		t.Errorf("the walk has found %d tables only", tables)
	}
}
