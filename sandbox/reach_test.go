package sandbox

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/sandbox/lua"
)

var update = flag.Bool("update", false, "write the golden files")

// emptyObject returns a state with an object that exposes nothing.
func emptyObject(t testing.TB) *State {
	t.Helper()
	p, err := Load(t.Context(), Config{ID: "acme.thing", Source: []byte("return hearth.object{}")})
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.NewState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestReachable walks all values that a script can reach from its globals and from the values that it receives, by
// every access of the language. It compares the names with a reviewed list. It is an internal test because the walk
// uses the VM.
func TestReachable(t *testing.T) {
	s := emptyObject(t)
	var names []string
	seen := map[lua.Value]bool{}
	var walk func(path string, v lua.Value)
	walk = func(path string, v lua.Value) {
		names = append(names, path+" "+v.Kind().String())
		if seen[v] {
			return
		}
		seen[v] = true
		switch v.Kind() {
		case lua.TableKind:
			for k, e := range v.AsTable().All() {
				if name := lua.Describe(k); path != "_G.package.loaded" { // all its elements have another name
					walk(path+"."+name, e)
				}
			}
			walkMeta(v.AsTable().Meta, path, walk)
		case lua.UserDataKind:
			walkMeta(v.AsUserData().Meta, path, walk)
		case lua.FunctionKind:
			f := v.AsFunction()
			for i := range f.Upvalues() {
				walk(fmt.Sprintf("%s^%d", path, i), f.Upvalue(i))
			}
		}
	}
	walk("_G", s.env.Value())
	walk("<string>", s.vm.StringMeta.Value())
	for name, mt := range map[string]*lua.Table{"list": s.types.List, "tuple": s.types.Tuple, "set": s.types.Set,
		"dict": s.types.Dict,
		"kw":   s.types.Keywords, "exception": s.types.Exception, "bytes": s.types.Bytes, "int": s.types.Integer,
		"float":   s.types.Float,
		"complex": s.types.Complex, "datetime": s.types.DateTime, "date": s.types.Date,
		"stream": s.types.Stream, "proxy": s.types.Proxy} {
		walkMeta(mt, "<"+name+">", walk)
	}
	slices.Sort(names)
	got := strings.Join(slices.Compact(names), "\n") + "\n"
	const golden = "api/reachable.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("what scripts reach has changed (-update after reading every line):\n%s", got)
	}
}

// walkMeta follows the accesses that a metatable permits. Its protection must hide the table, so that only the elements
// of __index are reachable.
func walkMeta(t *lua.Table, path string, walk func(string, lua.Value)) {
	if t == nil {
		return
	}
	if t.GetString("__metatable").IsNil() {
		walk(path+"<open metatable>", t.Value())
		return
	}
	if index := t.GetString("__index").AsTable(); index != nil {
		for k, v := range index.All() {
			walk(path+"."+lua.Describe(k), v)
		}
	}
}
