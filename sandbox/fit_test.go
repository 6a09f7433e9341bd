package sandbox

import (
	"testing"

	lua "github.com/yuin/gopher-lua"

	"github.com/hearthhost/hearth/object"
)

// TestFit: code that is kept has memory for what there is of it, not for what there could be.
func TestFit(t *testing.T) {
	p := &Program{limits: object.Limits{}.OrDefaults()}
	proto, err := p.compile("x.lua", []byte("local t = {}\nfunction t.f(a) return function() return a .. t.f end end\nfunction t.g() return t.f(1) end\nreturn t"))
	if err != nil {
		t.Fatal(err)
	}
	functions := 0
	var walk func(f *lua.FunctionProto)
	walk = func(f *lua.FunctionProto) {
		functions++
		for what, room := range map[string]int{
			"instructions": cap(f.Code) - len(f.Code), "lines": cap(f.DbgSourcePositions) - len(f.DbgSourcePositions),
			"constants": cap(f.Constants) - len(f.Constants), "functions": cap(f.FunctionPrototypes) - len(f.FunctionPrototypes),
			"locals": cap(f.DbgLocals) - len(f.DbgLocals), "calls": cap(f.DbgCalls) - len(f.DbgCalls), "upvalues": cap(f.DbgUpvalues) - len(f.DbgUpvalues),
		} {
			if room > 12 { // what the allocator rounds up to
				t.Errorf("the function at line %d has room for %d more %s", f.LineDefined, room, what)
			}
		}
		for _, inner := range f.FunctionPrototypes {
			walk(inner)
		}
	}
	if walk(proto); functions != 5 {
		t.Errorf("there are %d functions, want 5: the chunk with its joiner, and three of the script", functions)
	}
}
