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
	var l Registry
	l.Init()
	l.Tenant("empty")
	l.Add([]object.ID{"acme.echo", "acme.other"})
	for i := range 100 {
		l.Deny("call", object.ID(fmt.Sprintf("made.up%d", i)), false)
		l.Deny("call", object.ID(fmt.Sprintf("acme.up%d", i)), i%2 == 0)
	}
	l.Deny("connect", "", false)
	b := l.Current.Load()
	if len(b.Tenants) != 2 || len(b.Objects) != 2 {
		t.Errorf("%d tenants and %d objects have accounts, want 2 and 2", len(b.Tenants), len(b.Objects))
	}
	acme := l.Tenant("acme")
	if d, l, n, s := acme.Denied.Load(), acme.Limited.Load(), l.Unowned.Load(), l.Unauthenticated.Load(); d != 50 || l != 50 || n != 100 || s != 1 {
		t.Errorf("denied %d, limited %d, unowned %d, unauthenticated %d; want 50, 50, 100, 1", d, l, n, s)
	}
	var ids []object.ID
	for i := range maxCounters + 10 {
		ids = append(ids, object.ID(fmt.Sprintf("acme.x%d", i)))
	}
	l.Add(ids)
	for _, id := range ids {
		if l.Object(id) == nil {
			t.Fatalf("%s has no account", id)
		}
	}
	if n := len(l.Current.Load().Objects); n != maxCounters {
		t.Errorf("%d accounts, want %d", n, maxCounters)
	}
	if l.Object(ids[maxCounters+5]) != &l.Tenant("acme").Rest {
		t.Error("an object beyond the bound has no account in common with others")
	}
}
