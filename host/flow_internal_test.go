package host

import (
	"testing"
	"time"

	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/policyfile"
	"github.com/hearthhost/hearth/sandbox/supervise"
)

// TestShare: what a caller may not do is of his own share, whether the object is there or not.
func TestShare(t *testing.T) {
	p, err := policyfile.Parse("policy.hcl", []byte(`
		tenant "acme" { weight = 3 }
		listener "l" { address = "127.0.0.1:0" }
		principal "alice" { uid = 1 }
		principal "mallory" { uid = 2 }
		permit "alice reads" {
			principals = ["alice"]
			objects    = ["acme.*"]
			methods    = ["total"]
		}`), "", 0, func(string) (uint32, error) { return 0, nil })
	if err != nil {
		t.Fatal(err)
	}
	snap := &snapshot{policy: p, tenants: map[object.Tenant]*served{"acme": {objects: map[object.ID]*supervise.Version{"acme.counter": {}}}}}
	h := new(Host)
	h.turns.Init(admit.SlotsPerProcessor)
	h.turns.Acquire(new(admit.Slot), "a", 1, time.Now())
	h.turns.Acquire(new(admit.Slot), "b", 1, time.Now()) // shares from now on
	for _, tc := range []struct {
		who  object.Principal
		call object.Call
		want object.Tenant
	}{
		{"alice", object.Call{ID: "acme.counter", Method: "total"}, "acme"},
		{"alice", object.Call{ID: "acme.counter", Method: "total", Kind: object.Get}, "acme"},
		{"alice", object.Call{ID: "acme.counter", Kind: object.Batch, Batch: []object.Method{"total"}}, "acme"},
		{"alice", object.Call{ID: "acme.counter", Method: "total", Kind: object.Set}, "Pyro.alice"},
		{"alice", object.Call{ID: "acme.counter", Method: "add"}, "Pyro.alice"},
		{"alice", object.Call{ID: "acme.counter", Kind: object.Batch}, "Pyro.alice"},
		{"alice", object.Call{ID: "acme.none", Method: "total"}, "Pyro.alice"},
		{"alice", object.Call{ID: object.NameServer, Method: "list"}, "Pyro.alice"},
		{"mallory", object.Call{ID: "acme.counter", Method: "total"}, "Pyro.mallory"},
		{"mallory", object.Call{ID: "acme.none", Method: "total"}, "Pyro.mallory"},
	} {
		c := &conn{h: h, own: admit.PrincipalFlow(tc.who)}
		tc.call.Caller.Principal = tc.who
		c.share(snap, &tc.call)
		h.turns.Release(&c.turn, true)
		if c.sharer != tc.want || (tc.want == "acme") != (c.weight == 3) {
			t.Errorf("%s: %s.%s %v %v is of the share %q of weight %v, want %q", tc.who, tc.call.ID, tc.call.Method, tc.call.Kind, tc.call.Batch, c.sharer, c.weight, tc.want)
		}
	}
}

// TestSharer: names that callers make up, and the host's own objects, are of the caller's own share.
func TestSharer(t *testing.T) {
	p, err := policyfile.Parse("policy.hcl", []byte("tenant \"acme\" { weight = 3 }\nlistener \"l\" { address = \"127.0.0.1:0\" }\n"), "", 0, func(string) (uint32, error) { return 0, nil })
	if err != nil {
		t.Fatal(err)
	}
	snap := &snapshot{policy: p, tenants: map[object.Tenant]*served{"acme": {objects: map[object.ID]*supervise.Version{"acme.counter": {}}}}}
	for id, want := range map[object.ID]struct {
		tenant object.Tenant
		weight float64
	}{
		"acme.counter":    {"acme", 3},
		"acme.none":       {admit.PrincipalFlow("alice"), 1},
		"other.counter":   {admit.PrincipalFlow("alice"), 1},
		"":                {admit.PrincipalFlow("alice"), 1},
		object.Daemon:     {admit.PrincipalFlow("alice"), 1},
		object.NameServer: {admit.PrincipalFlow("alice"), 1},
	} {
		c := &conn{h: &Host{}, own: admit.PrincipalFlow("alice")}
		c.h.turns.Init(admit.SlotsPerProcessor)
		if c.share(snap, &object.Call{ID: id}); c.sharer != want.tenant || c.weight != want.weight {
			t.Errorf("a call of %q is of the share of %s, %v, want %s, %v", id, c.sharer, c.weight, want.tenant, want.weight)
		}
	}
}
