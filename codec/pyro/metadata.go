package pyro

import (
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
)

// Metadata returns the metadata of an object for Pyro clients: methods, oneway methods and attributes. asLists uses
// lists instead of sets.
func Metadata(d *object.Description, asLists bool) any {
	var methods, oneway, attrs []any
	for _, m := range d.Members {
		if m.Method {
			methods = append(methods, string(m.Name))
		}
		if m.Oneway {
			oneway = append(oneway, string(m.Name))
		}
		if m.Get || m.Set {
			attrs = append(attrs, string(m.Name))
		}
	}
	collection := func(v []any) any {
		switch {
		case !asLists:
			return codec.Set(v)
		case v == nil:
			return []any{}
		}
		return v
	}
	return map[string]any{"methods": collection(methods), "oneway": collection(oneway), "attrs": collection(attrs)}
}
