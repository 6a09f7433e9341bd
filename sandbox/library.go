package sandbox

import (
	"strings"
	"sync"

	"github.com/hearthhost/hearth/sandbox/durable"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/stdlib"
	"github.com/hearthhost/hearth/sandbox/modules"
	"github.com/hearthhost/hearth/sandbox/proxy"
	"github.com/hearthhost/hearth/sandbox/values"
)

// libraries are the functions and types of all states of the process. They are immutable.
type libraries struct {
	template   *stdlib.Template // the standard libraries and hearth
	types      *values.Types
	log, store *lua.Table // hearth.log and hearth.store
	searchers  []lua.Value
}

// shared makes the libraries of the process.
var shared = sync.OnceValue(func() *libraries {
	types := values.New()
	proxy.AddMethods(types, func(L *lua.Thread) *proxy.Library { return stateOf(L).proxies })
	types.Share()
	t := stdlib.NewTemplate()
	t.Add("", map[string]lua.Native{
		"print":    logger("info"),
		"require":  func(L *lua.Thread) int { return stateOf(L).modules.Require(L) },
		"module":   func(L *lua.Thread) int { return stateOf(L).modules.Module(L) },
		"tonumber": values.ToNumber,
	})
	t.Add("package", map[string]lua.Native{
		"seeall": func(L *lua.Thread) int { return stateOf(L).modules.SeeAll(L) },
	})
	t.Add("hearth", hearthFunctions(types))
	log := lua.NewTable(0, 4)
	for _, level := range []string{"debug", "info", "warn", "error"} {
		values.SetNative(log, level, logger(level))
	}
	lua.Share(log)
	store := durable.Table(func(L *lua.Thread) *durable.Library { return stateOf(L).durable })
	lua.Share(store)
	searchers := modules.Searchers(func(L *lua.Thread) *modules.Loader { return stateOf(L).modules })
	for _, f := range searchers {
		lua.ShareValue(f)
	}
	return &libraries{template: t, types: types, log: log, store: store, searchers: searchers}
})

// stateOf returns the state that runs a function.
func stateOf(L *lua.Thread) *State {
	return L.VM().Host.(*State) //nolint:forcetypeassert // only emptyState sets it, before any function runs
}

// openLibraries gives the state the standard libraries and hearth.
func (s *State) openLibraries() {
	s.vm.Host = s
	s.lib = stdlib.New(s.vm, stdlib.Config{
		Template:    shared().template,
		Print:       func(L *lua.Thread, line string) { s.log(L, "info", line) },
		Coroutines:  s.p.limits.Coroutines,
		SourceBytes: max(s.p.limits.SourceBytes, libSourceBytes),
		Exception: func(v lua.Value) bool {
			t := v.AsTable()
			return t != nil && t.Meta == s.types.Exception
		},
	})
}

// libSourceBytes is the least limit of a module's source, and of a text that load compiles, in bytes.
const libSourceBytes = 1 << 20

// freshGlobals makes the globals of a run. Scripts may change them.
func (s *State) freshGlobals() {
	s.env = s.lib.Globals()
	s.vm.Main.SetGlobals(s.env)
	s.modules.Begin(s.env)
	hearth := s.env.Get(hearthName).AsTable()
	hearth.Set(logName, shared().log.View().Value())
	hearth.Set(storeName, shared().store.View().Value())
	hearth.Set(nullName, s.types.Null)
}

// Names of values that each run sets.
var (
	hearthName = lua.SharedString("hearth")
	logName    = lua.SharedString("log")
	storeName  = lua.SharedString("store")
	nullName   = lua.SharedString("null")
)

// logger makes a function that logs its arguments, separated by spaces.
func logger(level string) lua.Native {
	return func(L *lua.Thread) int {
		s := stateOf(L)
		var b strings.Builder
		for i := 1; i <= L.Top(); i++ {
			if i > 1 {
				b.WriteByte(' ')
			}
			text := L.ToString(L.Get(i))
			L.ChargeBytes(len(text))
			b.WriteString(s.p.services.Shown(text, maxLogBytes)) // before a cut could split a secret
			if b.Len() > maxLogBytes {
				break
			}
		}
		s.log(L, level, b.String())
		return 0
	}
}

// log logs one line.
func (s *State) log(L *lua.Thread, level, line string) {
	L.Charge(100 + len(line)>>2)
	// Redact the whole line again: a secret may be split over several arguments.
	line = values.Clip(strings.ToValidUTF8(s.p.services.Secrets.Redact(line, maxLogBytes+1), "\uFFFD"), maxLogBytes)
	s.p.services.Log.Line(s.id, level, line)
}
