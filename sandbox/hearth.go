package sandbox

import (
	"encoding/hex"
	"maps"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/values"
)

// hearthFunctions returns the functions of the global "hearth", for all states.
func hearthFunctions(types *values.Types) map[string]lua.Native {
	fns := types.Functions()
	maps.Copy(fns, map[string]lua.Native{
		"object":   func(L *lua.Thread) int { return stateOf(L).definitions.NewObject(L) },
		"stream":   func(L *lua.Thread) int { return stateOf(L).newStream(L) },
		"caller":   func(L *lua.Thread) int { return stateOf(L).callerTable(L) },
		"call":     func(L *lua.Thread) int { return stateOf(L).callTable(L) },
		"annotate": func(L *lua.Thread) int { return stateOf(L).annotate(L) },
		"proxy":    func(L *lua.Thread) int { return stateOf(L).proxies.New(L) },
		"secret":   func(L *lua.Thread) int { return stateOf(L).secret(L) },
	})
	return fns
}

// secret implements hearth.secret(name), a secret that the policy grants to this object. It is read at each call, so
// that rotated secrets take effect at the next call. A secret of another object causes the same error as a missing one.
func (s *State) secret(L *lua.Thread) int {
	name := L.CheckString(1)
	L.Charge(secretSteps + len(name)>>4)
	value, ok := s.p.services.Secrets.Secret(s.p.id, name)
	if !ok {
		shown := "name"
		if object.ValidName(name) {
			shown = s.p.services.Shown(name, 40)
		}
		L.RaiseError(`hearth.secret: %s has no secret of this name: the policy grants it by file = "secrets/%s" and `+
			`objects = ["%s"] in a block secret "%s" of tenant "%s"`,
			s.p.id, shown, s.p.id, shown, s.p.id.Tenant())
	}
	return L.PushString(value)
}

// Steps of functions that cost more than their allocations.
const (
	secretSteps = 50
	callerSteps = 200
	// annotationSteps are the steps of setting one of at most object.MaxAnnotations.
	annotationSteps = 300
)

// callerTable implements hearth.caller(). It returns the caller as verified by the host.
func (s *State) callerTable(L *lua.Thread) int {
	if s.req == nil {
		L.RaiseError("hearth.caller: no call is running")
	}
	c := &s.req.Caller
	L.Charge(callerSteps)
	t := L.NewTable(0, 9)
	t.SetString("principal", lua.String(string(c.Principal)))
	t.SetString("tenant", lua.String(string(c.Tenant)))
	t.SetString("correlation", lua.String(uuidText(s.req.Corr)))
	t.SetString("address", lua.String(c.Peer.Addr))
	t.SetString("channel", lua.String(c.Peer.Channel))
	t.SetString("auth", lua.String(c.Peer.Auth))
	t.SetString("gateway", lua.String(c.Peer.Gateway))
	if c.Peer.Key != "" {
		t.SetString("key", lua.String(c.Peer.Key))
	}
	if c.Peer.Auth == object.AuthPeer {
		t.SetString("uid", lua.Int(int(c.Peer.UID)))
	}
	L.Push(t.Value())
	return 1
}

// uuidText formats a correlation id as a UUID.
func uuidText(id [16]byte) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
