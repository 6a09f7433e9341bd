package stdlib

import (
	"sync"

	"github.com/hearthhost/hearth/sandbox/lua"
)

// Template has the functions of libraries. All VMs share them: a function finds the state that it has in its VM by
// [lua.VM.Library] or [lua.VM.Host]. [New] ends the changes of a template, which is then safe for concurrent use.
type Template struct {
	globals *lua.Table
	tables  map[string]*lua.Table // the library tables in globals, by name
	next    *lua.Function

	once   sync.Once // guards the rest
	sorted []library // the library tables, in the order of their names
}

// library is a library table.
type library struct {
	name  lua.Value
	table *lua.Table
}

// NewTemplate returns a template with the libraries of Lua.
func NewTemplate() *Template {
	t := &Template{globals: lua.NewTable(0, 64), tables: map[string]*lua.Table{}}
	t.globals.SetString("_VERSION", lua.String("Lua 5.1"))
	t.openBase()
	t.openLoad()
	t.openString()
	t.openTable()
	t.openMath()
	t.openOS()
	t.openCoroutine()
	t.openStubs()
	return t
}

// standard is the template without other libraries.
var standard = sync.OnceValue(NewTemplate)

// Add puts functions into a library table, which it makes if necessary. The name "" stands for the globals.
func (t *Template) Add(name string, fns map[string]lua.Native) {
	to := t.globals
	if name != "" {
		to = t.tables[name]
		if to == nil {
			to = lua.NewTable(0, len(fns))
			t.tables[name] = to
			t.globals.SetString(name, to.Value())
		}
	}
	for _, key := range sorted(fns) {
		to.SetString(key, lua.NewNative(fns[key]).Value())
	}
}

// share makes the template immutable.
func (t *Template) share() {
	t.once.Do(func() {
		lua.Share(t.globals)
		for _, name := range sorted(t.tables) {
			t.sorted = append(t.sorted, library{lua.SharedString(name), t.tables[name]})
		}
	})
}
