package convert

import (
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/lua"
)

// ClassKey is the key of a dict that represents an object of a Python class.
const ClassKey = "__class__"

// pyroClasses maps Pyro4 names to Pyro5 names of Pyro's classes that are sent as dicts.
var pyroClasses = map[string]string{
	"Pyro4.core.URI":                  "Pyro5.core.URI",
	"Pyro4.core.Proxy":                "Pyro5.client.Proxy",
	"Pyro4.core.Daemon":               "Pyro5.server.Daemon",
	"Pyro4.futures._ExceptionWrapper": "Pyro5.core._ExceptionWrapper",
	"Pyro4.util.SerpentSerializer":    "Pyro5.util.SerpentSerializer",
	"Pyro4.util.JsonSerializer":       "Pyro5.util.JsonSerializer",
	"Pyro4.util.MarshalSerializer":    "Pyro5.util.MarshalSerializer",
	"Pyro4.util.MsgpackSerializer":    "Pyro5.util.MsgpackSerializer",
}

var pyro4Names = func() map[string]string {
	m := make(map[string]string, len(pyroClasses))
	for four, five := range pyroClasses {
		m[five] = four
	}
	return m
}()

// checkClass rejects dicts that represent objects of unsupported classes. Accepted dicts remain data: no object is made
// from them, and no address in them is contacted.
func (b *Builder) checkClass(t *lua.Table) error {
	name, ok := t.GetString(ClassKey).AsString()
	if !ok {
		return Invalid("SerializeError", "unsupported serialized class")
	}
	shown := name
	if len(shown) > 100 {
		shown = strings.ToValidUTF8(shown[:100], "") + "…"
	}
	if strings.Contains(name, "__") {
		return Invalid("SecurityError", "refused to deserialize types with double underscores in their name: %s", shown)
	}
	if pyroClasses[name] != "" || pyro4Names[name] != "" {
		return nil
	}
	if b.config.KnownClass(name) {
		return nil
	}
	return Invalid("SerializeError", "unsupported serialized class: %s", shown)
}

// className returns the name of a class in the generation of the peer.
func (e *Encoder) className(name string) string {
	if !strings.HasPrefix(name, "Pyro") {
		return name
	}
	if e.protocol == object.Pyro5 {
		if five := pyroClasses[name]; five != "" {
			return five
		}
	} else if four := pyro4Names[name]; four != "" {
		return four
	}
	if module, bare, ok := strings.Cut(name, ".errors."); ok && (module == "Pyro4" || module == "Pyro5") {
		return e.protocol.Module() + ".errors." + bare
	}
	return name
}

// proxyState converts the state of a proxy to the peer's generation. Pyro4's has nine elements (…, timeout, key,
// handshake, retries, serializer), Pyro5's has six (…, handshake, serializer). The key is never sent to the other
// generation.
func (e *Encoder) proxyState(class string, state *lua.Table) (*lua.Table, bool) {
	n := state.Len()
	four := class == "Pyro4.core.Proxy"
	if !four && class != "Pyro5.client.Proxy" || four == (e.protocol == object.Pyro4) {
		return nil, false
	}
	var from []int // positions in state; 0 means None
	switch {
	case four && n == 9:
		from = []int{1, 2, 3, 4, 7, 9}
	case !four && n == 6:
		from = []int{1, 2, 3, 4, 0, 0, 5, 0, 6}
	default:
		return nil, false
	}
	out := e.config.Thread.NewTable(len(from), 0)
	out.SetMeta(state.Meta)
	for i, pos := range from {
		v := e.types.Null
		if pos > 0 {
			v = state.GetInt(pos)
		} else if i == 7 {
			v = lua.Int(0) // retries
		}
		out.Append(v)
	}
	return out, true
}
