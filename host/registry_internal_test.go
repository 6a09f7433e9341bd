package host

import (
	"context"
	"errors"
	"testing"
	"unsafe"

	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/object"
)

// instant is a backend that answers at once.
type instant struct {
	object.Backend
	reply object.Reply
	err   error
}

func (b *instant) Invoke(context.Context, *object.Call) (object.Reply, error) { return b.reply, b.err }

func newLedgerHost() *Host {
	h := &Host{}
	h.ledger.Init()
	h.ledger.Tenant("empty")
	h.ledger.Add([]object.ID{"acme.echo", "acme.shop.cart"})
	return h
}

// TestEnteringACallAllocatesNothing is the budget of accounting on the call path.
func TestEnteringACallAllocatesNothing(t *testing.T) {
	h, b := newLedgerHost(), &instant{reply: object.Reply{Steps: 7, Payload: []byte("xy")}}
	call := &object.Call{ID: "acme.echo", Payload: []byte("abc")}
	if n := testing.AllocsPerRun(100, func() { _, _, _ = h.invoke(context.Background(), b, call) }); n != 0 {
		t.Errorf("entering a call allocates %v times", n)
	}
	a := h.ledger.Object("acme.echo")
	if n := a.Begun.Load(); n != 101 || a.Steps.Load() != 7*n || a.BytesIn.Load() != 3*n || a.BytesOut.Load() != 2*n {
		t.Errorf("after %d calls: %d steps, %d bytes in, %d out", n, a.Steps.Load(), a.BytesIn.Load(), a.BytesOut.Load())
	}
}

// TestAccountsShareNoCacheLine: callers of one object are not slowed by those of another.
func TestAccountsShareNoCacheLine(t *testing.T) {
	if n := unsafe.Sizeof(usage.ObjectCounters{}); n%64 != 0 {
		t.Errorf("an account has %d bytes, want whole cache lines of 64", n)
	}
}

func TestLedgerClasses(t *testing.T) {
	h := newLedgerHost()
	call := &object.Call{ID: "acme.echo"}
	for _, b := range []*instant{
		{err: object.Errorf(object.CodeExhausted, "no"), reply: object.Reply{Steps: 50}},
		{err: errors.New("a bug")},
		{err: &object.Error{Code: 200}},
		{reply: object.Reply{Exception: true}},
		{},
	} {
		_, _, _ = h.invoke(t.Context(), b, call)
	}
	a := h.ledger.Object("acme.echo")
	if a.Steps.Load() != 50 {
		t.Errorf("steps of a failed call: %d, want 50", a.Steps.Load())
	}
	for code, want := range map[object.Code]uint64{object.CodeExhausted: 1, object.CodeInternal: 2, object.CodeRaised: 1, object.CodeOK: 0} {
		if n := a.Failed[code].Load(); n != want {
			t.Errorf("%v: %d, want %d", code, n, want)
		}
	}
}

// BenchmarkEnter is what accounting adds to a call.
func BenchmarkEnter(b *testing.B) {
	h, none := newLedgerHost(), &instant{}
	call := &object.Call{ID: "acme.echo", Payload: []byte("abc")}
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = h.invoke(context.Background(), none, call)
	}
}
