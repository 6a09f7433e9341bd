package modules

import (
	"fmt"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/values"
)

// loadingValue marks a module in package.loaded while it runs, and after its run has failed.
type loadingValue struct{}

var loading = func() lua.Value {
	v := lua.NewUserData(loadingValue{}, nil)
	lua.ShareValue(v)
	return v
}()

// Loader implements require, module and package.loaders in one VM. It belongs to the goroutine of the VM.
type Loader struct {
	vm        *lua.VM
	library   *Library
	shown     func(text string, n int) string
	searchers []lua.Value // functions of package.loaders
	run       Run
}

// Run is the state of a Loader for one run of a script.
type Run struct {
	env    *lua.Table // globals
	loaded *lua.Table // package.loaded
}

// NewLoader makes the loader of a VM. searchers are those of [Searchers]. shown returns the beginning of a text, about
// n bytes, without secrets.
func NewLoader(vm *lua.VM, library *Library, searchers []lua.Value, shown func(text string, n int) string) *Loader {
	return &Loader{
		vm:        vm,
		library:   library,
		searchers: searchers,
		shown:     shown,
	}
}

// Searchers returns the functions in package.loaders. of returns the loader of the running VM.
func Searchers(of func(L *lua.Thread) *Loader) []lua.Value {
	return []lua.Value{
		lua.NewNative(func(L *lua.Thread) int { return of(L).preloaded(L) }).Value(),
		lua.NewNative(func(L *lua.Thread) int { return of(L).libLoader(L) }).Value(),
	}
}

// Begin starts a run with new globals. It fills the table package.
func (l *Loader) Begin(globals *lua.Table) {
	modules := globals.Get(packageName).AsTable()
	l.run = Run{env: globals, loaded: modules.Get(loadedName).AsTable()}
	loaders := lua.NewTable(len(l.searchers), 0)
	for i, search := range l.searchers {
		loaders.Set(lua.Int(i+1), search)
	}
	modules.Set(loadersName, loaders.Value())
	modules.Set(pathName, l.library.path)
}

// Names of the tables that Begin uses.
var (
	packageName = lua.SharedString("package")
	loadedName  = lua.SharedString("loaded")
	loadersName = lua.SharedString("loaders")
	pathName    = lua.SharedString("path")
)

// Run returns the current run.
func (l *Loader) Run() Run { return l.run }

// Resume continues a run after another.
func (l *Loader) Resume(r Run) { l.run = r }

// Require implements require. It runs a module once in each run of the script and returns its result. The module is a
// library, a value that the script has put into package.loaded, or the result of the first of package.loaders that
// finds it.
func (l *Loader) Require(L *lua.Thread) int {
	name := L.CheckString(1)
	L.Charge(10 + len(name)>>3)
	if v := l.run.loaded.GetString(name); v == loading {
		L.RaiseError("loop or previous error loading module '%s'", l.shownModule(name))
	} else if v.Truth() {
		L.Push(v)
		return 1
	}
	load := l.findModule(L, name)
	key := lua.String(name)
	L.RawSet(l.run.loaded, key, loading)
	v := L.Call(load, key)
	if v.IsNil() {
		v = l.run.loaded.Get(key)
		if v == loading {
			v = lua.True
		}
	}
	L.RawSet(l.run.loaded, key, v)
	L.Push(v)
	return 1
}

// maxLooked bounds the list of searched places in a message, in bytes.
const maxLooked = 8 << 10

// maxModuleName limits a module's name in a message, in bytes.
const maxModuleName = 80

// shownModule returns a module's name for a message, without secrets and shortened to maxModuleName.
func (l *Loader) shownModule(name string) string { return l.shown(name, maxModuleName) }

// findModule calls the functions in package.loaders in order, and returns the first function that one of them returns.
// Texts that they return name the places that they have searched.
func (l *Loader) findModule(L *lua.Thread, name string) lua.Value {
	var loaders *lua.Table
	if p := l.run.env.GetString("package").AsTable(); p != nil {
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
			L.RaiseError("module '%s' not found:%s", l.shownModule(name), values.Clip(string(looked.B), maxLooked))
		}
		v := L.Call(loader, lua.String(name))
		if v.AsFunction() != nil {
			return v
		}
		if text, ok := v.ToString(); ok && len(looked.B) < maxLooked {
			looked.Add(text)
		}
	}
}

// preloaded is the first of package.loaders. It searches package.preload.
func (l *Loader) preloaded(L *lua.Thread) int {
	name := L.CheckString(1)
	if p := l.run.env.GetString("package").AsTable(); p != nil {
		if t := p.GetString("preload").AsTable(); t != nil {
			if f := t.GetString(name); !f.IsNil() {
				L.Push(f)
				return 1
			}
		}
	}
	return L.PushString(fmt.Sprintf("\n\tno field package.preload['%s']", l.shownModule(name)))
}

// libLoader is the second of package.loaders. It searches the tenant's lib folder.
func (l *Loader) libLoader(L *lua.Thread) int {
	name := L.CheckString(1)
	if !validModule(name) {
		L.RaiseError("require: %q is not a module's name: use parts of letters, digits, '_' and '-' joined by dots",
			l.shown(name, 40))
	}
	m := l.library.module(name)
	if m == nil {
		lib := l.library.folder + strings.ReplaceAll(l.shownModule(name), ".", "/")
		return L.PushString(fmt.Sprintf("\n\tno file '%s.lua'\n\tno file '%s/init.lua'", lib, lib))
	}
	proto, err := l.library.compiled(L, m)
	if err != nil {
		L.Raise(lua.String(fmt.Sprintf("error loading module '%s' from file '%s':\n\t%s", name, m.file, err)))
	}
	L.Push(lua.NewFunction(proto, l.run.env).Value())
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

// Module implements module, with which a file declares itself a module. The globals of the file become the fields of a
// table, which require returns.
func (l *Loader) Module(L *lua.Thread) int {
	name := L.CheckString(1)
	L.Charge(10 + len(name)>>3)
	m := l.run.loaded.GetString(name).AsTable()
	if m == nil {
		m = l.fieldTable(L, name)
		if m == nil {
			L.RaiseError("name conflict for module '%s'", l.shownModule(name))
		}
		L.RawSet(l.run.loaded, lua.String(name), m.Value())
	}
	if m.GetString("_NAME").IsNil() { // the first declaration of this module
		L.RawSet(m, lua.String("_M"), m.Value())
		L.RawSet(m, lua.String("_NAME"), lua.String(name))
		parent := name[:strings.LastIndexByte(name, '.')+1]
		L.AllocateString(len(parent))
		L.RawSet(m, lua.String("_PACKAGE"), lua.String(strings.Clone(parent)))
	}
	// The caller is the main function of the file: its globals become the module.
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

// fieldTable returns the table under a dotted name, starting at the globals. It makes missing tables. The result is nil
// if the name refers to another value.
func (l *Loader) fieldTable(L *lua.Thread, name string) *lua.Table {
	t := l.vm.Main.Globals()
	for part := range strings.SplitSeq(name, ".") {
		L.Charge(10)
		next := t.GetString(part)
		if next.IsNil() {
			next = L.NewTable(0, 4).Value()
			L.AllocateString(len(part))
			L.RawSet(t, lua.String(strings.Clone(part)), next) // a copy, so that it does not retain the whole name
		}
		t = next.AsTable()
		if t == nil {
			return nil
		}
	}
	return t
}

// SeeAll implements package.seeall: reads of a module's fields fall back to the globals.
func (l *Loader) SeeAll(L *lua.Thread) int {
	m := L.CheckTable(1)
	if m.Meta == nil {
		m.SetMeta(L.NewTable(0, 1))
	} else if !m.Meta.GetString("__metatable").IsNil() {
		L.RaiseError("cannot change a protected metatable")
	}
	L.RawSet(m.Meta, lua.String("__index"), l.run.env.Value())
	return 0
}
