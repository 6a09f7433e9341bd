package sandbox

import (
	"encoding/hex"

	"github.com/hearthhost/hearth/sandbox/lua"

	"github.com/hearthhost/hearth/object"
)

// openHearth makes the global "hearth".
func (s *State) openHearth() {
	s.lib.Add("hearth", map[string]lua.Native{
		"object":    s.newObject,
		"stream":    s.newStream,
		"exception": s.newException,
		"caller":    s.callerTable,
		"proxy":     s.newProxy,
		"secret":    s.secret,
		"typeof": func(L *lua.Thread) int {
			return L.PushString(s.typeName(L.CheckAny(1)))
		},
		"list":  s.markerOfAny(s.mt.list),
		"dict":  s.marker(s.mt.dict),
		"kw":    s.marker(s.mt.kw),
		"tuple": s.markerOfAny(s.mt.tuple),
		"set":   s.markerOfAny(s.mt.set),
		"bytes": func(L *lua.Thread) int {
			if _, ok := valueOf(L.CheckAny(1)).(bytesValue); ok {
				L.SetTop(1)
				return 1
			}
			return s.pushBytes(L, L.CheckString(1))
		},
		"int": func(L *lua.Thread) int {
			L.CheckAny(1)
			return s.pushInteger(L, checkInteger(L, 1))
		},
		"float": func(L *lua.Thread) int {
			if _, ok := valueOf(L.CheckAny(1)).(floatValue); ok {
				L.SetTop(1)
				return 1
			}
			L.Push(L.NewUserData(floatValue(L.CheckNumber(1)), s.mt.float, 8))
			return 1
		},
		"complex": func(L *lua.Thread) int {
			L.Push(L.NewUserData(complex(L.CheckNumber(1), L.OptNumber(2, 0)), s.mt.complex, 16))
			return 1
		},
		"datetime": s.newDateTime,
		"date":     s.newDate,
	})
	s.loggers = map[string]lua.Value{}
	for _, level := range []string{"debug", "info", "warn", "error"} {
		s.loggers[level] = lua.NewNative(s.logger(level)).Value()
	}
}

// marker makes a function that returns a table with a mark: the elements of the one that it is given, which
// stays as it is.
func (s *State) marker(mark *lua.Table) lua.Native {
	return func(L *lua.Thread) int {
		t := L.NewTable(0, 0)
		if L.Top() > 0 {
			from := L.CheckTable(1)
			if from.Meta != nil && s.mark(from) == "" {
				L.ArgError(1, "the table has a metatable of its own")
			}
			L.Allocate(from.Size())
			t = from.Clone()
		}
		t.SetMeta(mark)
		L.Push(t.Value())
		return 1
	}
}

// markerOfAny is like marker for a table that is a sequence, or has neither mark nor metatable. It takes any
// other arguments as the elements.
func (s *State) markerOfAny(mark *lua.Table) lua.Native {
	marked := s.marker(mark)
	return func(L *lua.Thread) int {
		if t := L.Get(1).AsTable(); t != nil && L.Top() == 1 && (t.Meta == nil || s.sequence(t)) {
			return marked(L)
		}
		t := L.NewTable(L.Top(), 0)
		for i := 1; i <= L.Top(); i++ {
			v := L.Get(i)
			if v.IsNil() {
				v = s.null
			}
			t.SetInt(i, v)
		}
		t.SetMeta(mark)
		L.Push(t.Value())
		return 1
	}
}

// secret is hearth.secret(name): a value that the policy grants to this object. It is
// asked for anew each time, so that a rotated one is there at the next call. One that
// exists and is another object's is answered like one that does not.
func (s *State) secret(L *lua.Thread) int {
	name := L.CheckString(1)
	L.Charge(secretSteps + len(name)>>4)
	value, ok := s.p.services.Secrets.Secret(s.p.id, name)
	if !ok {
		shown := "name"
		if object.ValidName(name) {
			shown = s.p.shown(name, 40)
		}
		L.RaiseError(`hearth.secret: %s has no secret of this name: the policy grants it by file = "secrets/%s" and objects = ["%s"] in a block secret "%s" of tenant "%s"`,
			s.p.id, shown, s.p.id, shown, s.p.id.Tenant())
	}
	return L.PushString(value)
}

// Steps for what is worth more than its allocation.
const (
	secretSteps = 50
	callerSteps = 200
)

// callerTable is hearth.caller(): who calls, as the host has verified it.
func (s *State) callerTable(L *lua.Thread) int {
	if s.req == nil {
		L.RaiseError("hearth.caller: no call is running")
	}
	c := &s.req.Caller
	L.Charge(callerSteps)
	t := L.NewTable(0, 6)
	t.SetString("principal", lua.String(string(c.Principal)))
	t.SetString("tenant", lua.String(string(c.Tenant)))
	t.SetString("correlation", lua.String(uuidText(s.req.Corr)))
	t.SetString("address", lua.String(c.Peer.Addr))
	t.SetString("channel", lua.String(c.Peer.Channel))
	if c.Peer.Auth == object.AuthPeer {
		t.SetString("uid", lua.Int(int(c.Peer.UID)))
	}
	L.Push(t.Value())
	return 1
}

// uuidText writes a correlation id as UUIDs are written.
func uuidText(id [16]byte) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
