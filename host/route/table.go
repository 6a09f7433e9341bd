// Package route maps object ids to the backends that run their calls. Workers of tenants, plugins, the host's built-in
// objects and, later, other nodes are backends in the same table.
package route

import (
	"iter"
	"maps"

	"github.com/hearthhost/hearth/object"
)

// Route is an object's backend and how the host treats its calls.
type Route struct {
	Backend object.Backend
	Builtin *Builtin // nil for an object of a tenant, whose calls the policy decides on
	// Uncertain means that a call which is withdrawn from the backend's queue may have been executed.
	Uncertain bool
	// Mode is the mode of a script's object, "" while it is not known since the script has not been loaded.
	Mode   object.InstanceMode
	Script bool // a worker runs the object, which may be keyed
	Keyed  bool // the object is probably keyed, and listed as such; certainly if Mode is known
	// Described returns the description of a script's object, nil while it is not known. It is nil for other objects.
	Described func() *object.Description
}

// MayRunOnce reports whether the object may execute calls with a correlation id at most once. It certainly does or does
// not when the script has been loaded.
func (r Route) MayRunOnce() bool {
	if r.Described == nil {
		return false
	}
	d := r.Described()
	return d == nil || d.Once
}

// reaches reports whether an id with or without a key can lead to the route's object. Of an object that was not loaded
// yet, the backend decides that.
func (r Route) reaches(keyed bool) bool {
	if r.Mode == "" {
		return !keyed || r.Script
	}
	return keyed == (r.Mode == object.Keyed)
}

// Builtin describes an object of the host. Every authenticated caller may call it, and its results contain only objects
// that the caller may see. Limits of the policy count its calls as those of any object.
type Builtin struct {
	Visible   func(*object.Caller) bool // reports whether a caller may see it; nil: visible to all callers
	Uncounted func(object.Method) bool  // reports whether no limit counts a method; nil: all methods are counted
	MaxBytes  int                       // bound on the arguments of a call, or of a batch together
}

// Table is an immutable routing table. It is safe for concurrent use. The zero value has no routes.
type Table struct {
	routes   map[object.ID]Route
	backends map[object.Backend]Route // one route of each backend
}

// New returns a table of routes. The caller must not modify routes afterwards.
func New(routes map[object.ID]Route) *Table {
	t := &Table{routes: routes, backends: map[object.Backend]Route{}}
	for _, r := range routes {
		t.backends[r.Backend] = r
	}
	return t
}

// Lookup returns the route of an object. An id with a key leads to the keyed object.
func (t *Table) Lookup(id object.ID) (Route, bool) {
	if t == nil {
		return Route{}, false
	}
	r, ok := t.routes[id]
	if ok {
		ok = r.reaches(false)
	} else if family, key, keyed := id.Split(); keyed && object.ValidKey(key) {
		r, ok = t.routes[family]
		ok = ok && r.reaches(true)
	}
	if !ok {
		return Route{}, false
	}
	return r, true
}

// Listed returns the route of an object by the id that listings show: of a keyed object the one with
// [object.AnyKey].
func (t *Table) Listed(id object.ID) (Route, bool) {
	family, key, keyed := id.Split()
	if !keyed || key != object.AnyKey || t == nil {
		return t.Lookup(id)
	}
	r, ok := t.routes[family]
	if !ok || !r.Keyed {
		return Route{}, false
	}
	return r, true
}

// Serves reports whether a route leads to a backend.
func (t *Table) Serves(b object.Backend) bool {
	if t == nil {
		return false
	}
	_, ok := t.backends[b]
	return ok
}

// Backends returns each backend once, with one of its routes.
func (t *Table) Backends() iter.Seq2[object.Backend, Route] {
	if t == nil {
		return func(func(object.Backend, Route) bool) {}
	}
	return maps.All(t.backends)
}

// Scripts returns the descriptions of scripts' objects that are known, by id, in no order.
func (t *Table) Scripts() iter.Seq2[object.ID, *object.Description] {
	return func(yield func(object.ID, *object.Description) bool) {
		if t == nil {
			return
		}
		for id, r := range t.routes {
			if r.Described == nil {
				continue
			}
			if d := r.Described(); d != nil && !yield(id, d) {
				return
			}
		}
	}
}
