package sandbox

import (
	"encoding/hex"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/hearthhost/hearth/object"
)

// openHearth makes the global "hearth".
func (s *State) openHearth() {
	t := s.library(map[string]lua.LGFunction{
		"object":    s.newObject,
		"stream":    s.newStream,
		"exception": s.newException,
		"caller":    s.callerTable,
		"proxy":     s.newProxy,
		"secret":    s.secret,
		"typeof": func(L *lua.LState) int {
			L.Push(lua.LString(s.typeName(L.CheckAny(1))))
			return 1
		},
		"list":  s.markerOfAny(s.mt.list),
		"dict":  s.marker(s.mt.dict),
		"kw":    s.marker(s.mt.kw),
		"tuple": s.markerOfAny(s.mt.tuple),
		"set":   s.markerOfAny(s.mt.set),
		"bytes": func(L *lua.LState) int {
			if _, ok := valueOf(L.CheckAny(1)).(bytesValue); ok {
				L.SetTop(1)
				return 1
			}
			L.Push(userdata(bytesValue(L.CheckString(1)), s.mt.bytes))
			return 1
		},
		"int": func(L *lua.LState) int {
			t, ok := L.CheckAny(1).(lua.LString)
			if ok {
				s.meter.charge(L, len(t)*len(t)>>12)
			}
			L.Push(userdata(checkInteger(L, 1), s.mt.integer))
			return 1
		},
		"float": func(L *lua.LState) int {
			if _, ok := valueOf(L.CheckAny(1)).(floatValue); ok {
				L.SetTop(1)
				return 1
			}
			L.Push(userdata(floatValue(L.CheckNumber(1)), s.mt.float))
			return 1
		},
		"complex": func(L *lua.LState) int {
			L.Push(userdata(complex(float64(L.CheckNumber(1)), float64(L.OptNumber(2, 0))), s.mt.complex))
			return 1
		},
		"datetime": s.newDateTime,
		"date":     s.newDate,
	})
	t.RawSetString("null", s.null)
	log := s.l.CreateTable(0, 4)
	for _, level := range []string{"debug", "info", "warn", "error"} {
		log.RawSetString(level, s.l.NewFunction(s.logger(level)))
	}
	t.RawSetString("log", s.frozenTable(log))
	s.base.RawSetString("hearth", s.frozenTable(t))
}

// marker makes a function that marks the table it is given, which it returns. A table
// that is marked already is copied: it may be somebody else's argument.
func (s *State) marker(mark *lua.LTable) lua.LGFunction {
	return func(L *lua.LState) int {
		if L.GetTop() == 0 {
			L.Push(L.CreateTable(0, 0))
		}
		L.Push(s.marked(L, writable(L), mark))
		return 1
	}
}

// markerOfAny is like marker for a table without a mark or metatable, and takes any
// other arguments as the elements.
func (s *State) markerOfAny(mark *lua.LTable) lua.LGFunction {
	return func(L *lua.LState) int {
		if t, ok := L.Get(1).(*lua.LTable); ok && L.GetTop() == 1 && t.Metatable == lua.LNil {
			L.Push(s.marked(L, t, mark))
			return 1
		}
		t := L.CreateTable(L.GetTop(), 0)
		for i := 1; i <= L.GetTop(); i++ {
			v := L.Get(i)
			if v == lua.LNil {
				v = s.null
			}
			t.Append(v)
		}
		t.Metatable = mark
		L.Push(t)
		return 1
	}
}

func (s *State) marked(L *lua.LState, t, mark *lua.LTable) *lua.LTable {
	if t.Metatable == lua.LNil || t.Metatable == mark {
		t.Metatable = mark
		return t
	}
	if s.mark(t) == "" {
		L.ArgError(1, "the table has a metatable of its own")
	}
	s.meter.charge(L, t.Len())
	out := L.CreateTable(t.Len(), 0)
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		s.meter.charge(L, 1)
		out.RawSet(k, v)
	}
	out.Metatable = mark
	return out
}

// logger makes a function that logs its arguments, separated by spaces.
func (s *State) logger(level string) lua.LGFunction {
	return func(L *lua.LState) int {
		var b strings.Builder
		for i := 1; i <= L.GetTop(); i++ {
			if i > 1 {
				b.WriteByte(' ')
			}
			text := s.text(L, L.Get(i))
			s.meter.charge(L, len(text)>>6)
			b.WriteString(clip(s.p.env.Redact(text), maxLogBytes)) // before anything cuts a secret in two
			if b.Len() > maxLogBytes {
				break
			}
		}
		s.meter.charge(L, 100+b.Len())
		// Again, for a secret that came in pieces.
		s.p.env.Log(s.p.id, level, clip(strings.ToValidUTF8(s.p.env.Redact(b.String()), "\uFFFD"), maxLogBytes))
		return 0
	}
}

// secret is hearth.secret(name): a value that the policy grants to this object. It is
// asked for anew each time, so that a rotated one is there at the next call. One that
// exists and is another object's is answered like one that does not.
func (s *State) secret(L *lua.LState) int {
	name := L.CheckString(1)
	value, ok := s.p.env.Secret(s.p.id, name)
	if !ok {
		shown := "name"
		if object.ValidName(name) {
			shown = clip(s.p.env.Redact(name), 40)
		}
		L.RaiseError(`hearth.secret: %s has no secret of this name: the policy grants it by file = "secrets/%s" and objects = ["%s"] in a block secret "%s" of tenant "%s"`,
			s.p.id, shown, s.p.id, shown, s.p.id.Tenant())
	}
	L.Push(lua.LString(value))
	return 1
}

// callerTable is hearth.caller(): who calls, as the host has verified it.
func (s *State) callerTable(L *lua.LState) int {
	if s.req == nil {
		L.RaiseError("hearth.caller: no call is running")
	}
	c := &s.req.Caller
	t := L.CreateTable(0, 6)
	t.RawSetString("principal", lua.LString(c.Principal))
	t.RawSetString("tenant", lua.LString(c.Tenant))
	t.RawSetString("correlation", lua.LString(uuidText(s.req.Corr)))
	t.RawSetString("address", lua.LString(c.Peer.Addr))
	t.RawSetString("channel", lua.LString(c.Peer.Channel))
	if c.Peer.Way == object.WayPeer {
		t.RawSetString("uid", number(int64(c.Peer.UID)))
	}
	L.Push(t)
	return 1
}

// uuidText writes a correlation id as UUIDs are written.
func uuidText(id [16]byte) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// loading is the value of a module that runs right now.
var loading = &lua.LUserData{}

// require is require: it runs a module once in each run of the script and returns what
// the module returned.
func (s *State) require(L *lua.LState) int {
	name := L.CheckString(1)
	if !validModule(name) {
		L.RaiseError("require: %q is not a module's name: want parts of letters, digits, '_' and '-' joined by dots", clip(s.p.env.Redact(name), 40))
	}
	switch v := s.loaded[name]; v {
	case nil:
	case loading:
		L.RaiseError("require: module %q requires itself, directly or through others", name)
	default:
		L.Push(v)
		return 1
	}
	if s.loaded == nil {
		s.loaded = map[string]lua.LValue{}
	}
	m, err := s.p.lib(name)
	if err != nil {
		L.RaiseError("require: %s", err)
	}
	s.loaded[name] = loading
	done := false
	defer func() {
		if !done { // it raised: the next attempt runs it again
			delete(s.loaded, name)
		}
	}()
	s.function(L, m.proto)
	L.Push(lua.LString(name))
	L.Call(1, 1)
	v := L.Get(-1)
	if v == lua.LNil {
		v = lua.LTrue
	}
	s.loaded[name] = v
	done = true
	L.Push(v)
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
