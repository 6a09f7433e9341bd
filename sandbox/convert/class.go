package convert

import (
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/lua"
)

// ClassKey is the key of a dict that represents an object of a Python class.
const ClassKey = "__class__"

// Classes has the names under which the peer that receives a value has its classes.
type Classes interface {
	// Exception returns the peer's name of an exception class. The name may be bare, for example "ValueError". ok is
	// false if the peer lacks the class.
	Exception(name string) (qualified string, ok bool)
	// Class returns the peer's name of the class of a dict, other names unchanged. known reports whether dicts of the
	// class are accepted as arguments.
	Class(name string) (translated string, known bool)
	// State returns how the field "state" of a dict of class, a list of n elements, is converted for the peer. Each
	// element of the result is a position in the list from 1, 0 for null, or -1 for the integer 0. The result is nil if
	// the state remains unchanged.
	State(class string, n int) []int
	// ErrorClass returns the bare name of the exception class for an error, "" for none.
	ErrorClass(e *object.Error) string
	// BatchWrapper returns the class of the dict that ends a batch with an exception.
	BatchWrapper() string
}

// checkClass rejects dicts that represent objects of unsupported classes. Accepted dicts remain data: no object is made
// from them, and no address in them is contacted.
func (b *Builder) checkClass(t *lua.Table) error {
	name, ok := t.GetString(ClassKey).AsString()
	if !ok {
		return Invalid(object.ReasonUnsupported, "unsupported serialized class")
	}
	shown := name
	if len(shown) > 100 {
		shown = strings.ToValidUTF8(shown[:100], "") + "…"
	}
	if strings.Contains(name, "__") {
		return Invalid(object.ReasonUnsafe,
			"refused to deserialize types with double underscores in their name: %s", shown)
	}
	if b.config.KnownClass(name) {
		return nil
	}
	return Invalid(object.ReasonUnsupported, "unsupported serialized class: %s", shown)
}

// convertState converts the state of a dict of class for the peer. It returns nil if the state remains unchanged.
func (e *Encoder) convertState(class string, state *lua.Table) *lua.Table {
	positions := e.classes.State(class, state.Len())
	uri := e.proxyURI(class, state)
	if positions == nil && uri.IsNil() {
		return nil
	}
	if positions == nil {
		e.config.Thread.Allocate(state.Size())
		out := state.Clone()
		out.SetInt(1, uri)
		return out
	}
	out := e.config.Thread.NewTable(len(positions), 0)
	out.SetMeta(state.Meta)
	for _, pos := range positions {
		v := e.types.Null
		switch {
		case pos > 0:
			v = state.GetInt(pos)
		case pos < 0:
			v = lua.Int(0)
		}
		out.Append(v)
	}
	if !uri.IsNil() {
		out.SetInt(1, uri)
	}
	return out
}

// proxyURI returns the URI for the state of a proxy of this host that came from inside, nil for any other state.
func (e *Encoder) proxyURI(class string, state *lua.Table) lua.Value {
	to, ok := e.classes.(proxies)
	text, isText := state.GetInt(1).AsString()
	if !ok || !isText {
		return lua.Nil
	}
	if uri := to.ProxyURI(class, text, e.outside()); uri != text {
		return lua.String(uri)
	}
	return lua.Nil
}
