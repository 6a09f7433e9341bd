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
