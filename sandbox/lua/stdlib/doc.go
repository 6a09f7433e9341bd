// Package stdlib has the libraries of Lua 5.1 for untrusted scripts: functions that compute, and none that reach files,
// processes or the VM.
//
// Functions behave as those of PUC Lua 5.1.5, error messages included. Each charges for its work before it begins, so
// that none can exceed the granted steps.
//
// A [Template] holds the functions, which all VMs of the process share. A [Library] has the state of the functions in
// one VM. [Library.Globals] makes the globals of one run. Scripts may change them: the changed table is copied, so that
// no other VM and no other run sees the change.
//
// Source: Lua 5.1 reference manual, section 5 "Standard Libraries", and the behaviour of lua5.1 where the manual
// leaves a choice.
package stdlib

import (
	"math/rand/v2"

	"github.com/hearthhost/hearth/sandbox/lua"
)

// Config adapts a library to its host. The zero Config is usable.
type Config struct {
	// Print receives the lines of print and io.write. nil discards them.
	Print func(L *lua.Thread, line string)
	// Coroutines is the limit of live coroutines; 0 means 1000.
	Coroutines int
	// SourceBytes is the limit of source that load and loadstring accept, in bytes; 0 means 1 MiB.
	SourceBytes int
	// Random is the generator of math.random; nil means a randomly seeded one.
	Random *rand.Rand
	// Exception reports whether assert must raise a value unchanged. nil means never.
	Exception func(v lua.Value) bool
	// Template has the functions of the library; nil means those of Lua.
	Template *Template
}

// Library is the standard library of one VM.
type Library struct {
	vm     *lua.VM
	cfg    Config
	random *rand.Rand
	seeded bool
	count  *counter // of coroutines
}

// New makes the library of a VM. It serves any number of consecutive runs.
func New(vm *lua.VM, cfg Config) *Library {
	if cfg.Coroutines == 0 {
		cfg.Coroutines = 1000
	}
	if cfg.SourceBytes == 0 {
		cfg.SourceBytes = 1 << 20
	}
	if cfg.Template == nil {
		cfg.Template = standard()
	}
	cfg.Template.share()
	l := &Library{vm: vm, cfg: cfg, count: new(counter)}
	l.Reseed()
	vm.Library = l
	vm.SetNext(cfg.Template.next)
	return l
}

// of returns the library of the VM that runs a function.
func of(L *lua.Thread) *Library {
	return L.VM().Library.(*Library) //nolint:forcetypeassert // only New sets it, before any function runs
}

// Reseed gives math.random an unpredictable seed.
func (l *Library) Reseed() {
	l.seeded = false
	l.random = l.cfg.Random
	if l.random == nil {
		l.random = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) //nolint:gosec // math.random is not for secrets
	}
}

// Seeded reports whether a script has chosen a seed since the last Reseed.
func (l *Library) Seeded() bool { return l.seeded }

// Globals makes the globals of a run and its metatable of strings.
func (l *Library) Globals() *lua.Table {
	t := l.cfg.Template
	g := t.globals.Clone()
	g.Set(globalsName, g.Value())
	for _, lib := range t.sorted {
		g.Set(lib.name, lib.table.View().Value())
	}
	meta := lua.NewTable(0, 1)
	meta.Set(indexName, g.Get(stringName))
	l.vm.StringMeta = meta
	if p := g.Get(packageName).AsTable(); p != nil {
		loaded := lua.NewTable(0, 16)
		for _, lib := range t.sorted {
			loaded.Set(lib.name, g.Get(lib.name))
		}
		loaded.Set(globalsName, g.Value())
		p.Set(loadedName, loaded.Value())
		p.Set(preloadName, lua.NewTable(0, 0).Value())
	}
	return g
}

// Names of tables in the globals and in package.
var (
	globalsName = lua.SharedString("_G")
	indexName   = lua.SharedString("__index")
	stringName  = lua.SharedString("string")
	packageName = lua.SharedString("package")
	loadedName  = lua.SharedString("loaded")
	preloadName = lua.SharedString("preload")
)
