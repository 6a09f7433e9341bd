package sandbox

import (
	"strings"

	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/stdlib"
	"github.com/hearthhost/hearth/sandbox/values"
)

// openLibraries makes the globals of all future runs: the standard libraries and hearth.
func (s *State) openLibraries() {
	s.lib = stdlib.New(s.vm, stdlib.Config{
		Print:       func(L *lua.Thread, line string) { s.log(L, "info", line) },
		Coroutines:  s.p.limits.Coroutines,
		SourceBytes: max(s.p.limits.SourceBytes, libSourceBytes),
		Exception: func(v lua.Value) bool {
			t := v.AsTable()
			return t != nil && t.Meta == s.types.Exception
		},
	})
	s.lib.Add("", map[string]lua.Native{
		"print":    s.logger("info"),
		"require":  s.modules.Require,
		"module":   s.modules.Module,
		"tonumber": values.ToNumber,
	})
	s.lib.Add("package", map[string]lua.Native{"seeall": s.modules.SeeAll})
	s.openHearth()
}

// libSourceBytes is the least limit of a module's source, and of a text that load compiles, in bytes.
const libSourceBytes = 1 << 20

// freshGlobals makes the globals of a run. Scripts may change them.
func (s *State) freshGlobals() {
	s.env = s.lib.Globals()
	s.vm.Main.SetGlobals(s.env)
	s.modules.Begin(s.env)
	log := lua.NewTable(0, 4)
	for _, level := range []string{"debug", "info", "warn", "error"} {
		log.SetString(level, s.loggers[level])
	}
	hearth := s.env.GetString("hearth").AsTable()
	hearth.SetString("log", log.Value())
	hearth.SetString("store", s.durable.Table().Value())
	hearth.SetString("null", s.types.Null)
}

// logger makes a function that logs its arguments, separated by spaces.
func (s *State) logger(level string) lua.Native {
	return func(L *lua.Thread) int {
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
