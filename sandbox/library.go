package sandbox

import (
	"fmt"
	"hash/maphash"

	lua "github.com/yuin/gopher-lua"
)

// MaxArrayIndex is where the VM begins to keep whole numbers as hash keys instead of
// positions in an array. Its own value lets one assignment of a small script, such as
// t[67108863] = 1, take a gigabyte; this one is the number of elements that a message
// may have anyway.
func init() { lua.MaxArrayIndex = maxElements + 1 } //nolint:gochecknoinits // the VM has no other setting for it

// stock are the functions of the VM's own libraries that scripts get as they are. Each
// was read: it works in constant time, or in time in proportion to values that exist
// already, and reaches nothing outside its state.
var stock = func() map[string]lua.LGFunction {
	L := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer L.Close()
	found := map[string]lua.LGFunction{}
	take := func(prefix string, names ...string) {
		t := L.G.Global
		if prefix != "" {
			t = t.RawGetString(prefix).(*lua.LTable) //nolint:forcetypeassert // the library above made it
			prefix += "."
		}
		for _, name := range names {
			found[prefix+name] = t.RawGetString(name).(*lua.LFunction).GFunction //nolint:forcetypeassert // as above
		}
	}
	for _, open := range []lua.LGFunction{lua.OpenBase, lua.OpenTable, lua.OpenMath, lua.OpenCoroutine, lua.OpenOs} {
		open(L)
	}
	take("", "error", "next", "rawequal", "rawget", "select", "type", "getmetatable")
	take("table", "getn", "maxn", "sort")
	take("math", "abs", "acos", "asin", "atan", "atan2", "ceil", "cos", "cosh", "deg", "exp", "floor", "fmod", "frexp",
		"ldexp", "log", "log10", "max", "min", "modf", "pow", "rad", "sin", "sinh", "sqrt", "tan", "tanh")
	take("coroutine", "create", "resume", "running", "status", "yield")
	take("os", "clock", "difftime", "time")
	return found
}()

// openLibraries fills the globals. Everything that is not named here does not exist.
func (s *State) openLibraries() {
	L := s.l
	s.base = L.CreateTable(0, 64)
	s.envMeta = protectedTable(L, "globals")
	s.envMeta.RawSetString("__index", s.base)
	s.joiner = L.NewFunction(s.join)
	s.outer = L.NewFunction(func(L *lua.LState) int {
		L.Panic = s.notice
		L.Call(L.GetTop()-1, lua.MultRet)
		return L.GetTop()
	})
	s.quiet = L.NewFunction(func(L *lua.LState) int {
		L.Panic = quietPanic
		L.Call(L.GetTop()-1, lua.MultRet)
		return L.GetTop()
	})
	s.base.RawSetString("_VERSION", lua.LString("Lua 5.1"))
	s.openBase()
	s.openString()
	s.openTable()
	s.openMath()
	s.openCoroutine()
	s.openOS()
	s.openHearth()
}

// newTable makes a table with room for a few fields: the VM's own default is for dozens.
func newTable(L *lua.LState) *lua.LTable { return L.CreateTable(0, 8) }

// library makes a table of functions.
func (s *State) library(fns map[string]lua.LGFunction) *lua.LTable {
	t := s.l.CreateTable(0, len(fns))
	for name, fn := range fns {
		t.RawSetString(name, s.l.NewFunction(fn))
	}
	return t
}

// stockFunctions picks stock functions of one library.
func stockFunctions(prefix string, names ...string) map[string]lua.LGFunction {
	fns := make(map[string]lua.LGFunction, 32)
	for _, name := range names {
		fns[name] = stock[prefix+name]
	}
	return fns
}

// frozenKey is in the metatable of every read-only table, where no script sees it.
const frozenKey = "frozen"

// frozenTable makes t readable through a table that scripts cannot change: itself empty,
// it finds everything in t.
func (s *State) frozenTable(t *lua.LTable) *lua.LTable {
	L := s.l
	front := L.CreateTable(0, 0)
	mt := protectedTable(L, "read-only")
	mt.RawSetString("__index", t)
	mt.RawSetString("__newindex", L.NewFunction(func(L *lua.LState) int {
		L.RaiseError("this table is read-only")
		return 0
	}))
	mt.RawSetString(frozenKey, lua.LTrue)
	front.Metatable = mt
	return front
}

// writable returns the first argument, a table that the script may change by raw access.
func writable(L *lua.LState) *lua.LTable {
	t := L.CheckTable(1)
	if mt, ok := t.Metatable.(*lua.LTable); ok && mt.RawGetString(frozenKey) == lua.LTrue {
		L.RaiseError("this table is read-only")
	}
	return t
}

// text shows a value as tostring does.
func (s *State) text(L *lua.LState, v lua.LValue) string {
	switch v := v.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return v.String()
	}
	if L.GetMetaField(v, "__tostring").Type() == lua.LTFunction {
		v = L.ToStringMeta(v)
	}
	return s.plain(v)
}

// plain shows a value without running any code. What has no text of its own is told from
// others by a number, which does not say where in memory it is: the VM would print that.
func (s *State) plain(v lua.LValue) string {
	switch v.(type) {
	case *lua.LTable, *lua.LFunction, *lua.LUserData, *lua.LState:
		return fmt.Sprintf("%s: 0x%016x", v.Type(), maphash.Comparable(s.names, v))
	}
	return v.String()
}
