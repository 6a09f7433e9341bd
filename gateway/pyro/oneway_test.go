package pyro

import (
	"testing"

	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/object"
)

// TestRevokedOneway sends a oneway call whose peer loses its identity while the call waits for a slot. The connection
// ends, and the call's slot and memory are released.
func TestRevokedOneway(t *testing.T) {
	snap := &snapshot.Snapshot{}
	current := func() *snapshot.Snapshot { return snap }
	var queue admit.FairQueue
	queue.Init(1)
	var shares admit.Shares
	shares.Init(1<<30, 1024)
	var counters usage.Registry
	counters.Init()
	d := dispatch.New(dispatch.Config{Snapshot: current, Queue: &queue, Usage: &counters})
	s := NewServer(Config{Dispatcher: d, Snapshot: current, Queue: &queue, Shares: &shares, Usage: &counters})
	c := newConn(s, nil, nil, "tcp")
	c.session = d.NewSession()
	c.req.Session, c.req.Slot = c.session, &c.slot
	c.req.Recheck = func(bool) bool { return false }
	c.req.Call = object.Call{ID: "acme.x", Method: "m", Kind: object.Invoke, Payload: []byte("x"), Oneway: true}
	if c.background(&c.req) {
		t.Error("the connection continues after its peer's identity was revoked")
	}
	c.oneways.Wait()
	if n := shares.Bytes.Used(); n != 0 || len(c.slots) != 0 {
		t.Errorf("%d bytes and %d slots are in use after the call, want none", n, len(c.slots))
	}
}
