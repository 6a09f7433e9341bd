package dispatch

import (
	"context"
	"crypto/sha256"
	"testing"

	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/route"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/policyfile"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/memory"
	"github.com/hearthhost/hearth/service/storecall"
)

// crashing is a backend that commits its reply and crashes before it sends it, like a worker or a host that is killed
// at that moment.
type crashing struct {
	object.Backend
	engine *memory.Engine
	calls  int
}

func (b *crashing) Invoke(ctx context.Context, c *object.Call) (object.Reply, error) {
	b.calls++
	_, err := b.engine.Commit(ctx, &store.Batch{
		Object: c.ID,
		Writes: []store.Write{{Op: store.Increment, Key: "n", Delta: 1, If: store.AnyVersion}},
		Answer: &store.Answer{
			Call:    store.CallKey{Principal: c.Caller.Principal, Key: c.Once.Key},
			Sum:     c.Once.Sum,
			State:   store.Done,
			Payload: []byte("reply"),
			TTL:     store.AnswerTTL,
		},
	})
	if err != nil {
		return object.Reply{}, err
	}
	return object.Reply{}, object.Errorf(object.CodeUnavailable, "the worker ended; whether it was executed is unknown")
}

func (b *crashing) Describe(context.Context, object.ID) (*object.Description, error) {
	return &object.Description{ID: "acme.box", Instance: object.Single, Once: true}, nil
}

// TestOnceCrash crashes between the commit and the reply. A retry gets the stored reply, also from another dispatcher,
// as after a restart. An equal call that cannot be a retry does not get it.
func TestOnceCrash(t *testing.T) {
	b := &crashing{engine: &memory.Engine{}}
	p, err := policyfile.Parse("policy.hcl", []byte(`
listener "l" { address = "127.0.0.1:0" }
principal "p" { uid = 1 }
tenant "acme" {}
permit "all" {
  principals = ["p"]
  objects    = ["acme.*"]
}`), "", 0, func(string) (uint32, error) { return 0, nil })
	if err != nil {
		t.Fatal(err)
	}
	start := func() *Dispatcher {
		var counters usage.Registry
		counters.Init()
		counters.Add([]object.ID{"acme.box"})
		snap := &snapshot.Snapshot{Policy: p, Routes: route.New(map[object.ID]route.Route{"acme.box": {
			Backend: b, Script: true, Described: func() *object.Description { return nil },
		}})}
		return New(Config{
			Snapshot: func() *snapshot.Snapshot { return snap },
			Queue:    new(admit.FairQueue),
			Usage:    &counters,
			Answers:  storecall.Answers(b.engine),
		})
	}
	id := [16]byte{1, 2, 3}
	sum := sha256.Sum256([]byte(string(id[:8]) + "acme.box\x00add"))
	copy(id[8:], sum[:])
	call := func(d *Dispatcher, s *Session) (string, object.Code) {
		r, err := d.Do(t.Context(), &Request{
			Call: object.Call{
				ID:      "acme.box",
				Kind:    object.Invoke,
				Method:  "add",
				Caller:  object.Caller{Principal: "p"},
				Format:  "pyro5/json",
				Corr:    id,
				Payload: []byte("args"),
			},
			Session:    s,
			Correlated: true,
		})
		return string(r.Payload), object.CodeOf(err)
	}
	d := start()
	session := d.NewSession()
	if _, code := call(d, session); code != object.CodeUnavailable {
		t.Errorf("the crash is %v", code)
	}
	if got, code := call(d, session); code != object.CodeInvalid {
		t.Errorf("on the same connection: %q, %v", got, code)
	}
	for _, d := range []*Dispatcher{d, start()} {
		if got, code := call(d, d.NewSession()); got != "reply" {
			t.Errorf("the retry is %q, %v", got, code)
		}
	}
	if b.calls != 1 {
		t.Errorf("%d executions", b.calls)
	}
}
