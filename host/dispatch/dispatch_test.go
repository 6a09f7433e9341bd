package dispatch

import (
	"context"
	"errors"
	"testing"
	"time"
	"unsafe"

	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/route"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/object"
)

// instant is a backend that replies at once.
type instant struct {
	object.Backend
	reply object.Reply
	err   error
	ended int // calls of EndConn
}

func (b *instant) Invoke(context.Context, *object.Call) (object.Reply, error) { return b.reply, b.err }

func (b *instant) EndConn(uint64) { b.ended++ }

// newDispatcher returns a dispatcher whose routes lead to b.
func newDispatcher(b object.Backend) (*Dispatcher, *Session) {
	var counters usage.Registry
	counters.Init()
	counters.Add([]object.ID{"acme.echo", "acme.shop.cart"})
	routes := map[object.ID]route.Route{"acme.echo": {Backend: b}}
	snap := &snapshot.Snapshot{Routes: route.New(routes)}
	d := New(Config{
		Snapshot: func() *snapshot.Snapshot { return snap },
		Queue:    new(admit.FairQueue),
		Usage:    &counters,
	})
	return d, d.NewSession()
}

// TestCountingDoesNotAllocate checks that the accounting of a call does not allocate.
func TestCountingDoesNotAllocate(t *testing.T) {
	b := &instant{reply: object.Reply{Steps: 7, Payload: []byte("xy")}}
	d, session := newDispatcher(b)
	call := &object.Call{ID: "acme.echo", Payload: []byte("abc")}
	run := func() { _, _, _ = d.run(context.Background(), route.Route{Backend: b}, call, session) }
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("counting a call allocates %v times", n)
	}
	c := d.cfg.Usage.Object("acme.echo")
	n, steps := c.Begun.Load(), c.Steps.Load()
	in, out := c.BytesIn.Load(), c.BytesOut.Load()
	if n != 101 || steps != 7*n || in != 3*n || out != 2*n {
		t.Errorf("after %d calls: %d steps, %d bytes in, %d out", n, steps, in, out)
	}
}

// TestCountersShareNoCacheLine: calls of one object do not slow down calls of another.
func TestCountersShareNoCacheLine(t *testing.T) {
	if n := unsafe.Sizeof(usage.ObjectCounters{}); n%64 != 0 {
		t.Errorf("the counters of an object have %d bytes, want whole cache lines of 64", n)
	}
}

func TestFailuresByCode(t *testing.T) {
	d, session := newDispatcher(nil)
	call := &object.Call{ID: "acme.echo"}
	for _, b := range []*instant{
		{err: object.Errorf(object.CodeExhausted, "no"), reply: object.Reply{Steps: 50}},
		{err: errors.New("a bug")},
		{err: &object.Error{Code: 200}},
		{reply: object.Reply{Exception: true}},
		{},
	} {
		_, _, _ = d.run(t.Context(), route.Route{Backend: b}, call, session)
	}
	c := d.cfg.Usage.Object("acme.echo")
	if c.Steps.Load() != 50 {
		t.Errorf("steps of a failed call: %d, want 50", c.Steps.Load())
	}
	for code, want := range map[object.Code]uint64{
		object.CodeExhausted: 1,
		object.CodeInternal:  2,
		object.CodeRaised:    1,
		object.CodeOK:        0,
	} {
		if n := c.Failed[code].Load(); n != want {
			t.Errorf("%v: %d, want %d", code, n, want)
		}
	}
}

// BenchmarkCounting measures the cost of accounting for a call.
func BenchmarkCounting(b *testing.B) {
	none := &instant{}
	d, session := newDispatcher(none)
	call := &object.Call{ID: "acme.echo", Payload: []byte("abc")}
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = d.run(context.Background(), route.Route{Backend: none}, call, session)
	}
}

// TestForgetBackends: a session forgets the backends that no route leads to, and ends at the others.
func TestForgetBackends(t *testing.T) {
	stays, leaves := &instant{}, &instant{}
	d, session := newDispatcher(stays)
	session.touch(stays, "acme.echo", object.Single)
	session.touch(leaves, "acme.echo", object.Single)
	d.ForgetBackends(d.cfg.Snapshot().Routes)
	session.End()
	if stays.ended != 1 || leaves.ended != 0 {
		t.Errorf("the session ended %d times at the backend that stays and %d times at the other; want 1 and 0",
			stays.ended, leaves.ended)
	}
	if len(d.sessions.open) != 0 {
		t.Errorf("%d sessions are open after their end", len(d.sessions.open))
	}
}

// TestRequestWithoutSlot runs calls without a slot of the caller: the dispatcher acquires one and releases it.
func TestRequestWithoutSlot(t *testing.T) {
	snap := flowSnapshot(t)
	var queue admit.FairQueue
	queue.Init(1)
	var counters usage.Registry
	counters.Init()
	d := New(Config{Snapshot: func() *snapshot.Snapshot { return snap }, Queue: &queue, Usage: &counters})
	queue.Acquire(new(admit.Slot), "a", 1, time.Now())
	other := new(admit.Slot)
	queue.Acquire(other, "b", 1, time.Now()) // contended from now on
	queue.Release(other, true)
	session := d.NewSession()
	session.SetPrincipal("alice")
	call := object.Call{
		ID:     "acme.counter",
		Method: "total",
		Kind:   object.Get,
		Caller: object.Caller{Principal: "alice"},
	}
	for range 3 {
		r := &Request{Call: call, Session: session}
		if _, err := d.Do(t.Context(), r); err != nil {
			t.Fatalf("Do() = %v", err)
		}
		done := make(chan error, 1)
		d.Start(t.Context(), r, func(_ object.Reply, err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatalf("Start() calls back with %v", err)
		}
	}
	denied := &Request{Call: call, Session: session}
	denied.Method = "add"
	d.Start(t.Context(), denied, func(_ object.Reply, err error) {
		if !errors.Is(err, ErrUnknown) {
			t.Errorf("a denied call: %v, want %v", err, ErrUnknown)
		}
	})
}
