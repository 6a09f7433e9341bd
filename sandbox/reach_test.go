package sandbox

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

var update = flag.Bool("update", false, "write the golden files")

// thing returns a state with an object that exposes nothing.
func thing(t testing.TB) *State {
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

// TestReachable walks everything that a script can reach from its globals and from the
// values it is given, by any access that the language has, and compares the names with a
// list that a person has read. It is internal because the walk is the VM's.
func TestReachable(t *testing.T) {
	s := thing(t)
	var names []string
	seen := map[lua.LValue]bool{}
	var walk func(path string, v lua.LValue)
	walk = func(path string, v lua.LValue) {
		names = append(names, path+" "+v.Type().String())
		if seen[v] {
			return
		}
		seen[v] = true
		switch v := v.(type) {
		case *lua.LTable:
			v.ForEach(func(k, e lua.LValue) { walk(path+"."+k.String(), e) })
			walkMeta(v.Metatable, path, walk)
		case *lua.LUserData:
			walkMeta(v.Metatable, path, walk)
		case *lua.LFunction:
			for i, u := range v.Upvalues {
				walk(fmt.Sprintf("%s^%d", path, i), u.Value())
			}
		}
	}
	walk("_G", s.env)
	if mt, ok := s.l.GetMetatable(lua.LString("")).(lua.LString); !ok || mt != "string" {
		t.Errorf("the metatable of strings shows as %v", mt)
	}
	for name, mt := range map[string]*lua.LTable{"list": s.mt.list, "tuple": s.mt.tuple, "set": s.mt.set, "dict": s.mt.dict,
		"kw": s.mt.kw, "exception": s.mt.exception, "bytes": s.mt.bytes, "int": s.mt.integer, "float": s.mt.float,
		"complex": s.mt.complex, "datetime": s.mt.datetime, "date": s.mt.date, "stream": s.mt.stream, "proxy": s.mt.proxy} {
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

// walkMeta follows what a metatable lets through: its protection must hide the table
// itself, and then only what __index finds is reachable.
func walkMeta(mt lua.LValue, path string, walk func(string, lua.LValue)) {
	t, ok := mt.(*lua.LTable)
	if !ok {
		return
	}
	if t.RawGetString("__metatable") == lua.LNil {
		walk(path+"<open metatable>", t)
		return
	}
	if index, ok := t.RawGetString("__index").(*lua.LTable); ok {
		index.ForEach(func(k, v lua.LValue) { walk(path+"."+k.String(), v) })
	}
}
