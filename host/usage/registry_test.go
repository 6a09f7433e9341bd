package usage

import (
	"fmt"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
)

// TestTimeOnABound: a time on a bound belongs below it, as in Prometheus.
func TestTimeOnABound(t *testing.T) {
	a := new(ObjectCounters)
	a.End(time.Now().Add(-time.Hour), &object.Reply{}, nil)
	if a.times[len(TimeBounds)].Load() != 1 {
		t.Error("an hour is not in the last class")
	}
}

// TestNamesTakeNoMemory: neither made-up names nor a long series of names grows the registry without bound.
func TestNamesTakeNoMemory(t *testing.T) {
	var r Registry
	r.Init()
	r.Tenant("empty")
	r.Add([]object.ID{"acme.echo", "acme.other"})
	for i := range 100 {
		r.Deny("call", object.ID(fmt.Sprintf("made.up%d", i)), false)
		r.Deny("call", object.ID(fmt.Sprintf("acme.up%d", i)), i%2 == 0)
	}
	r.Deny("connect", "", false)
	b := r.Current.Load()
	if len(b.Tenants) != 2 || len(b.Objects) != 2 {
		t.Errorf("%d tenants and %d objects have counters, want 2 and 2", len(b.Tenants), len(b.Objects))
	}
	acme := r.Tenant("acme")
	got := [4]uint64{acme.Denied.Load(), acme.Limited.Load(), r.Unowned.Load(), r.Unauthenticated.Load()}
	if want := [4]uint64{50, 50, 100, 1}; got != want {
		t.Errorf("denied, limited, unowned, unauthenticated = %v, want %v", got, want)
	}
	var ids []object.ID
	for i := range maxCounters + 10 {
		ids = append(ids, object.ID(fmt.Sprintf("acme.x%d", i)))
	}
	r.Add(ids)
	for _, id := range ids {
		if r.Object(id) == nil {
			t.Fatalf("%s has no counters", id)
		}
	}
	if n := len(r.Current.Load().Objects); n != maxCounters {
		t.Errorf("%d objects have counters, want %d", n, maxCounters)
	}
	if r.Object(ids[maxCounters+5]) != &r.Tenant("acme").Rest {
		t.Error("an object beyond the bound does not use the common counters")
	}
}
