// Package stdlib has the libraries of Lua 5.1 for untrusted scripts: functions that compute, and none that reach files,
// processes or the VM.
//
// Functions behave as those of PUC Lua 5.1.5, error messages included. Each charges for its work before it begins, so
// that none can exceed the granted steps.
//
// A [Library] holds the functions of one VM. [Library.Globals] makes the globals of one run. Scripts may change them,
// and the next run has new ones.
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
}

// Library is the standard library of one VM.
type Library struct {
	vm  *lua.VM
	cfg Config

	globals *lua.Table            // the template
	tables  map[string]*lua.Table // the library tables in it, by name
	random  *rand.Rand
	seeded  bool
	count   *counter // of coroutines
}

// New makes the library of a VM. It serves any number of consecutive runs.
func New(vm *lua.VM, cfg Config) *Library {
	if cfg.Coroutines == 0 {
		cfg.Coroutines = 1000
	}
	if cfg.SourceBytes == 0 {
		cfg.SourceBytes = 1 << 20
	}
	l := &Library{
		vm:      vm,
		cfg:     cfg,
		globals: lua.NewTable(0, 64),
		tables:  map[string]*lua.Table{},
		count:   new(counter),
	}
	l.Reseed()
	l.globals.SetString("_VERSION", lua.String("Lua 5.1"))
	l.openBase()
	l.openLoad()
	l.openString()
	l.openTable()
	l.openMath()
	l.openOS()
	l.openCoroutine()
	l.openStubs()
	return l
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

// Add puts functions into a library table, which it makes if necessary. The name "" stands for the globals.
func (l *Library) Add(name string, fns map[string]lua.Native) {
	t := l.globals
	if name != "" {
		t = l.tables[name]
		if t == nil {
			t = lua.NewTable(0, len(fns))
			l.tables[name] = t
			l.globals.SetString(name, t.Value())
		}
	}
	for _, key := range sorted(fns) {
		t.SetString(key, lua.NewNative(fns[key]).Value())
	}
}

// Set puts a value into the globals of all future runs.
func (l *Library) Set(name string, v lua.Value) { l.globals.SetString(name, v) }

// Globals makes the globals of a run and its metatable of strings.
func (l *Library) Globals() *lua.Table {
	g := l.globals.Clone()
	g.SetString("_G", g.Value())
	for _, name := range sorted(l.tables) {
		g.SetString(name, l.tables[name].Clone().Value())
	}
	meta := lua.NewTable(0, 1)
	meta.SetString("__index", g.GetString("string"))
	l.vm.StringMeta = meta
	if p := g.GetString("package").AsTable(); p != nil {
		loaded := lua.NewTable(0, 16)
		for _, name := range sorted(l.tables) {
			loaded.SetString(name, g.GetString(name))
		}
		loaded.SetString("_G", g.Value())
		p.SetString("loaded", loaded.Value())
		p.SetString("preload", lua.NewTable(0, 0).Value())
	}
	return g
}
