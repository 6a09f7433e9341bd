package route_test

import (
	"testing"

	"github.com/hearthhost/hearth/host/route"
	"github.com/hearthhost/hearth/object"
)

type backend struct {
	object.Backend
	name string
}

func TestTable(t *testing.T) {
	a, b := &backend{name: "a"}, &backend{name: "b"}
	table := route.New(map[object.ID]route.Route{
		"acme.x": {Backend: a}, "acme.y": {Backend: a}, "acme.z": {Backend: b, Uncertain: true},
	})
	if r, ok := table.Lookup("acme.y"); !ok || r.Backend != object.Backend(a) {
		t.Errorf("Lookup(acme.y) = %v, %v", r, ok)
	}
	if r, ok := table.Lookup("acme.none"); ok {
		t.Errorf("Lookup(acme.none) = %v", r)
	}
	if !table.Serves(b) || table.Serves(&backend{}) {
		t.Error("Serves does not report whether a route leads to a backend")
	}
	visited := map[object.Backend]bool{}
	for one, r := range table.Backends() {
		if visited[one] || r.Uncertain != (one == object.Backend(b)) {
			t.Errorf("backend %v twice, or with the route %v of another", one, r)
		}
		visited[one] = true
	}
	if len(visited) != 2 {
		t.Errorf("%d backends, want 2", len(visited))
	}
	var none *route.Table
	if _, ok := none.Lookup("acme.x"); ok || none.Serves(a) {
		t.Error("a table without routes has some")
	}
}

// TestKeys looks up ids with and without a key. A route whose mode is not known leads to both if a script may be keyed.
func TestKeys(t *testing.T) {
	b := &backend{}
	table := route.New(map[object.ID]route.Route{
		"acme.cart":    {Backend: b, Script: true, Mode: object.Keyed, Keyed: true},
		"acme.plain":   {Backend: b, Script: true, Mode: object.Single},
		"acme.unknown": {Backend: b, Script: true},
		"acme.plugin":  {Backend: b},
	})
	for id, want := range map[object.ID]bool{
		"acme.cart": false, "acme.cart:alice": true, "acme.cart:*": false, "acme.cart:": false, "acme.cart:a:b": false,
		"acme.plain": true, "acme.plain:alice": false,
		"acme.unknown": true, "acme.unknown:alice": true, "acme.unknown:-": false,
		"acme.plugin": true, "acme.plugin:alice": false,
		"acme.none:alice": false, ":alice": false,
	} {
		if _, ok := table.Lookup(id); ok != want {
			t.Errorf("Lookup(%q): %v, want %v", id, ok, want)
		}
	}
	for id, want := range map[object.ID]bool{
		"acme.cart:*": true, "acme.cart:alice": true, "acme.cart": false, "acme.plain:*": false, "acme.plain": true,
	} {
		if _, ok := table.Listed(id); ok != want {
			t.Errorf("Listed(%q): %v, want %v", id, ok, want)
		}
	}
}
