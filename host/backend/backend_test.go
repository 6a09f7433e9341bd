package backend

import (
	"testing"

	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/script"
)

// newManager returns a manager whose workers cannot start.
func newManager(t *testing.T) *Manager {
	t.Helper()
	var counters usage.Registry
	counters.Init()
	var shares admit.Shares
	shares.Init(1<<30, 1024)
	return New(Config{Worker: []string{"never started"}, StateDir: t.TempDir(), Usage: &counters, Shares: &shares})
}

// TestClosedWorkers stages and tests versions in closed workers, as a reload does that lasts longer than the worker:
// the error is CodeRetired, and no new process and no new worker of an object is left.
func TestClosedWorkers(t *testing.T) {
	libs := script.NewLibs(nil)
	for _, perObject := range []bool{false, true} {
		w := newManager(t).NewWorker("acme", &policy.TenantSettings{PerObject: perObject}, nil)
		if err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		v := script.NewVersion("acme.echo", script.Script{Source: []byte("return {}")}, libs, object.Limits{})
		if _, err := w.Stage(t.Context(), v); !object.Retired(err) {
			t.Errorf("per object %v: Stage() = %v, want CodeRetired", perObject, err)
		}
		if _, err := w.Test(t.Context(), v, script.Script{}); !object.Retired(err) {
			t.Errorf("per object %v: Test() = %v, want CodeRetired", perObject, err)
		}
		w.Activate(v)
		w.Discard(v)
		w.Remove("acme.echo")
		if a, ok := w.(*perObjectWorkers); ok && len(*a.byID.Load()) != 0 {
			t.Errorf("%d workers of objects after Close, want none", len(*a.byID.Load()))
		}
	}
}

// TestFits compares the settings of a tenant: a worker serves under new limits of calls, not under other isolation.
func TestFits(t *testing.T) {
	one := policy.TenantSettings{UID: 1000, MemoryBytes: 1 << 20}
	tenant := &Tenant{Settings: one}
	weight, memory, perObject := one, one, one
	weight.Gate = true
	memory.MemoryBytes = 2 << 20
	perObject.PerObject = true
	for name, tc := range map[string]struct {
		settings policy.TenantSettings
		want     bool
	}{"equal": {one, true}, "gate": {weight, true}, "memory": {memory, false}, "per object": {perObject, false}} {
		if got := tenant.Fits(&tc.settings); got != tc.want {
			t.Errorf("%s: Fits() = %v, want %v", name, got, tc.want)
		}
	}
}

// TestSetRoutes: each object of a worker and of a plugin has a route; only calls of plugins are uncertain.
func TestSetRoutes(t *testing.T) {
	m := newManager(t)
	settings := policy.TenantSettings{}
	set := Set{
		Tenants: map[object.Tenant]*Tenant{"acme": {
			Worker:  m.NewWorker("acme", &settings, nil),
			Objects: map[object.ID]*script.Version{"acme.echo": nil, "acme.counter": {}},
		}},
		Plugins: map[object.ID]*Plugin{"acme.plug": {Pin: policy.Plugin{ID: "acme.plug"}}},
	}
	routes := set.Routes()
	if len(routes) != 3 || routes["acme.echo"].Uncertain || !routes["acme.plug"].Uncertain {
		t.Errorf("Routes() = %v", routes)
	}
	wantHas := map[object.ID]bool{"acme.counter": true, "acme.plug": true, "acme.no": false, "b.echo": false}
	for id, want := range wantHas {
		if set.Has(id) != want {
			t.Errorf("Has(%s) = %v, want %v", id, !want, want)
		}
	}
	copied := set.Clone()
	delete(copied.Tenants, "acme")
	if !set.Has("acme.counter") {
		t.Error("a change of a clone changes the set")
	}
}
