package sandbox

import (
	"fmt"
	"github.com/hearthhost/hearth/sandbox/values"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/lua"
)

// loadingValue is in package.loaded for a module that runs, and for one whose run failed. Each state has a userdata of
// its own for it: a count of memory marks what it finds.
type loadingValue struct{}

// require runs a module once in each run of the script and returns its result: a library, a value that the
// script has put into package.loaded, or the module that the first of package.loaders finds.
func (s *State) require(L *lua.Thread) int {
	name := L.CheckString(1)
	L.Charge(10 + len(name)>>3)
	if v := s.loaded.GetString(name); v == s.loading {
		L.RaiseError("loop or previous error loading module '%s'", s.shownModule(name))
	} else if v.Truth() {
		L.Push(v)
		return 1
	}
	load := s.findModule(L, name)
	key := lua.String(name)
	L.RawSet(s.loaded, key, s.loading)
	v := L.Call(load, key)
	if v.IsNil() {
		if v = s.loaded.Get(key); v == s.loading {
			v = lua.True
		}
	}
	L.RawSet(s.loaded, key, v)
	L.Push(v)
	return 1
}

// maxModuleName is the most bytes of a module's name in a message.
const maxModuleName = 80

// shownModule returns a module's name for a message: without secrets, and not longer than maxModuleName.
func (s *State) shownModule(name string) string { return s.p.shown(name, maxModuleName) }

// findModule asks the functions in package.loaders in order, and returns the first function that one of them
// returns. Texts that they return say where they have looked.
func (s *State) findModule(L *lua.Thread, name string) lua.Value {
	var loaders *lua.Table
	if p := s.env.GetString("package").AsTable(); p != nil {
		loaders = p.GetString("loaders").AsTable()
	}
	if loaders == nil {
		L.RaiseError("'package.loaders' must be a table")
	}
	looked := L.NewBuilder(0)
	for i := 1; ; i++ {
		L.Charge(10)
		loader := loaders.Get(lua.Int(i))
		if loader.IsNil() {
			L.RaiseError("module '%s' not found:%s", s.shownModule(name), values.Clip(string(looked.B), maxLogBytes))
		}
		v := L.Call(loader, lua.String(name))
		if v.AsFunction() != nil {
			return v
		}
		if text, ok := v.ToString(); ok && len(looked.B) < maxLogBytes {
			looked.Add(text)
		}
	}
}

// preloaded is the first of package.loaders. It finds functions in package.preload.
func (s *State) preloaded(L *lua.Thread) int {
	name := L.CheckString(1)
	if p := s.env.GetString("package").AsTable(); p != nil {
		if t := p.GetString("preload").AsTable(); t != nil {
			if f := t.GetString(name); !f.IsNil() {
				L.Push(f)
				return 1
			}
		}
	}
	return L.PushString(fmt.Sprintf("\n\tno field package.preload['%s']", s.shownModule(name)))
}

// libLoader is the second of package.loaders. It finds files of the tenant's lib folder.
func (s *State) libLoader(L *lua.Thread) int {
	name := L.CheckString(1)
	if !validModule(name) {
		L.RaiseError("require: %q is not a module's name: want parts of letters, digits, '_' and '-' joined by dots",
			s.p.shown(name, 40))
	}
	m := s.p.module(name)
	if m == nil {
		lib := string(s.p.id.Tenant()) + "/lib/" + strings.ReplaceAll(s.shownModule(name), ".", "/")
		return L.PushString(fmt.Sprintf("\n\tno file '%s.lua'\n\tno file '%s/init.lua'", lib, lib))
	}
	proto, err := s.p.compiled(L, m)
	if err != nil {
		L.Raise(lua.String(fmt.Sprintf("error loading module '%s' from file '%s':\n\t%s", name, m.file, err)))
	}
	L.Push(lua.NewFunction(proto, s.env).Value())
	return 1
}

func validModule(name string) bool {
	if len(name) > object.MaxIDBytes {
		return false
	}
	for part := range strings.SplitSeq(name, ".") {
		if !object.ValidName(part) {
			return false
		}
	}
	return true
}

// makeModule is module, with which a file declares itself a module: the file's globals become the fields of a
// table, which require returns.
func (s *State) makeModule(L *lua.Thread) int {
	name := L.CheckString(1)
	L.Charge(10 + len(name)>>3)
	m := s.loaded.GetString(name).AsTable()
	if m == nil {
		if m = s.fieldTable(L, name); m == nil {
			L.RaiseError("name conflict for module '%s'", s.shownModule(name))
		}
		L.RawSet(s.loaded, lua.String(name), m.Value())
	}
	if m.GetString("_NAME").IsNil() {
		L.RawSet(m, lua.String("_M"), m.Value())
		L.RawSet(m, lua.String("_NAME"), lua.String(name))
		parent := name[:strings.LastIndexByte(name, '.')+1]
		L.AllocateString(len(parent))
		L.RawSet(m, lua.String("_PACKAGE"), lua.String(strings.Clone(parent)))
	}
	caller, _ := L.Level(1)
	if caller.Fn == nil || caller.Fn.Proto() == nil {
		L.RaiseError("'module' not called from a Lua function")
	}
	caller.Fn.Env = m
	for _, option := range L.Args(2) {
		L.Call(option, m.Value())
	}
	return 0
}

// fieldTable returns the table that a dotted name leads to, starting at the globals. It makes tables that do not
// exist. The result is nil where something else has the name.
func (s *State) fieldTable(L *lua.Thread, name string) *lua.Table {
	t := s.vm.Main.Globals()
	for part := range strings.SplitSeq(name, ".") {
		L.Charge(10)
		next := t.GetString(part)
		if next.IsNil() {
			next = L.NewTable(0, 4).Value()
			L.AllocateString(len(part))
			L.RawSet(t, lua.String(strings.Clone(part)), next) // and not the whole name
		}
		if t = next.AsTable(); t == nil {
			return nil
		}
	}
	return t
}

// seeAll is package.seeall: reading a module's fields finds the globals, too.
func (s *State) seeAll(L *lua.Thread) int {
	m := L.CheckTable(1)
	if m.Meta == nil {
		m.SetMeta(L.NewTable(0, 1))
	} else if !m.Meta.GetString("__metatable").IsNil() {
		L.RaiseError("cannot change a protected metatable")
	}
	L.RawSet(m.Meta, lua.String("__index"), s.env.Value())
	return 0
}
