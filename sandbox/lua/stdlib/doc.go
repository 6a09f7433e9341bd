// Package stdlib has the libraries of Lua 5.1 for scripts that are not trusted: what computes, and nothing
// that reaches files, processes or the VM itself.
//
// Functions behave as those of PUC Lua 5.1.5, error texts included. Each charges for its work before it does
// it, so that none can run for longer than the VM grants.
//
// A [Library] holds the functions of one VM. [Library.Globals] makes the globals of one run: scripts may
// change whatever they find there, and nothing of it is visible in the next run.
//
// Source: Lua 5.1 reference manual, section 5 "Standard Libraries"; lua5.1 itself for what that leaves open.
package stdlib

import (
	"math/rand/v2"

	"github.com/hearthhost/hearth/sandbox/lua"
)

// Config adapts a library to its host. The zero Config is usable.
type Config struct {
	// Print takes the line that print and io.write made. nil drops it.
	Print func(L *lua.Thread, line string)
	// Coroutines bounds the coroutines that are alive; 0: 1000.
	Coroutines int
	// SourceBytes bounds the source that load and loadstring take; 0: 1 MiB.
	SourceBytes int
	// Random is the generator of math.random; nil: a random one.
	Random *rand.Rand
	// Exception reports whether assert raises a value as it is; nil: none.
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

// New makes the library of a VM. It serves any number of runs.
func New(vm *lua.VM, cfg Config) *Library {
	if cfg.Coroutines == 0 {
		cfg.Coroutines = 1000
	}
	if cfg.SourceBytes == 0 {
		cfg.SourceBytes = 1 << 20
	}
	l := &Library{vm: vm, cfg: cfg, globals: lua.NewTable(0, 64), tables: map[string]*lua.Table{}, count: new(counter)}
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

// Reseed gives math.random numbers that no script can foresee.
func (l *Library) Reseed() {
	l.seeded = false
	if l.random = l.cfg.Random; l.random == nil {
		l.random = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) //nolint:gosec // math.random is not for secrets
	}
}

// Seeded reports whether a script has chosen a seed since the last Reseed.
func (l *Library) Seeded() bool { return l.seeded }

// Add puts functions into a library that exists or is made; "" is the globals themselves.
func (l *Library) Add(name string, fns map[string]lua.Native) {
	t := l.globals
	if name != "" {
		if t = l.tables[name]; t == nil {
			t = lua.NewTable(0, len(fns))
			l.tables[name] = t
			l.globals.SetString(name, t.Value())
		}
	}
	for _, key := range sorted(fns) {
		t.SetString(key, lua.NewNative(fns[key]).Value())
	}
}

// Set puts a value into the globals of all runs to come.
func (l *Library) Set(name string, v lua.Value) { l.globals.SetString(name, v) }

// Globals makes the globals of a run, and the metatable of strings that belongs to them.
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
