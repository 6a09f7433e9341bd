package dispatch

import (
	"testing"
	"time"

	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/route"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/policyfile"
)

// flowSnapshot returns a snapshot with an object acme.counter, whose attribute total alice may read, and a built-in
// object.
func flowSnapshot(t *testing.T) *snapshot.Snapshot {
	t.Helper()
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
	s := &snapshot.Snapshot{Policy: p}
	s.SetRoutes(
		map[object.ID]route.Route{"acme.counter": {Backend: &instant{}}},
		map[object.ID]route.Route{object.NameServer: {Backend: &instant{}, Builtin: &route.Builtin{}}},
		nil)
	return s
}

// TestFlow: a call that the caller may not make belongs to the caller's own flow, whether the object exists or not.
func TestFlow(t *testing.T) {
	snap := flowSnapshot(t)
	var queue admit.FairQueue
	queue.Init(admit.SlotsPerProcessor)
	d := New(Config{Snapshot: func() *snapshot.Snapshot { return snap }, Queue: &queue})
	queue.Acquire(new(admit.Slot), "a", 1, time.Now())
	queue.Acquire(new(admit.Slot), "b", 1, time.Now()) // contended from now on
	for _, tc := range []struct {
		principal object.Principal
		call      object.Call
		want      admit.Flow
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
		session := d.NewSession()
		session.SetPrincipal(tc.principal)
		tc.call.Caller.Principal = tc.principal
		r := &Request{Call: tc.call, Session: session, Slot: new(admit.Slot)}
		if _, _, err := d.admit(r); err != nil {
			t.Fatal(err)
		}
		queue.Release(r.Slot, true)
		if r.Flow != tc.want || (tc.want == "acme") != (r.Weight == 3) {
			t.Errorf("%s: %s.%s %v %v belongs to the flow %q of weight %v, want %q",
				tc.principal, tc.call.ID, tc.call.Method, tc.call.Kind, tc.call.Batch, r.Flow, r.Weight, tc.want)
		}
	}
}

// TestFlowOfUnknownNames: without contention, too, unknown names and the host's own objects belong to the caller's
// flow.
func TestFlowOfUnknownNames(t *testing.T) {
	snap := flowSnapshot(t)
	var queue admit.FairQueue
	queue.Init(admit.SlotsPerProcessor)
	d := New(Config{Snapshot: func() *snapshot.Snapshot { return snap }, Queue: &queue})
	session := d.NewSession()
	session.SetPrincipal("alice")
	callers := admit.PrincipalFlow("alice")
	for id, want := range map[object.ID]admit.Flow{
		"acme.counter":    "acme",
		"acme.none":       callers,
		"other.counter":   callers,
		"":                callers,
		object.Daemon:     callers,
		object.NameServer: callers,
	} {
		r := &Request{Call: object.Call{ID: id}, Session: session}
		if flow, weight := d.flow(snap, r, time.Now()); flow != want || (weight == 3) != (want == "acme") {
			t.Errorf("a call of %q belongs to the flow %s of weight %v, want %s", id, flow, weight, want)
		}
	}
}
