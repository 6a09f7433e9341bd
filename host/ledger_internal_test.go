package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

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
	h.ledger.init()
	h.ledger.tenant("empty")
	h.ledger.open([]object.ID{"acme.echo", "acme.shop.cart"})
	return h
}

// TestEnteringACallAllocatesNothing is the budget of accounting on the call path.
func TestEnteringACallAllocatesNothing(t *testing.T) {
	h, b := newLedgerHost(), &instant{reply: object.Reply{Steps: 7, Payload: []byte("xy")}}
	call := &object.Call{ID: "acme.echo", Payload: []byte("abc")}
	if n := testing.AllocsPerRun(100, func() { _, _, _ = h.invoke(context.Background(), b, call) }); n != 0 {
		t.Errorf("entering a call allocates %v times", n)
	}
	a := h.ledger.of("acme.echo")
	if n := a.begun.Load(); n != 101 || a.steps.Load() != 7*n || a.bytesIn.Load() != 3*n || a.bytesOut.Load() != 2*n {
		t.Errorf("after %d calls: %d steps, %d bytes in, %d out", n, a.steps.Load(), a.bytesIn.Load(), a.bytesOut.Load())
	}
}

// TestAccountsShareNoCacheLine: callers of one object are not slowed by those of another.
func TestAccountsShareNoCacheLine(t *testing.T) {
	if n := unsafe.Sizeof(objectAccount{}); n%64 != 0 {
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
	a := h.ledger.of("acme.echo")
	if a.steps.Load() != 50 {
		t.Errorf("steps of a failed call: %d, want 50", a.steps.Load())
	}
	for code, want := range map[object.Code]uint64{object.CodeExhausted: 1, object.CodeInternal: 2, object.CodeRaised: 1, object.CodeOK: 0} {
		if n := a.failed[code].Load(); n != want {
			t.Errorf("%v: %d, want %d", code, n, want)
		}
	}
	// A time on a bound belongs below it, as histograms have it.
	a = new(objectAccount)
	a.end(time.Now().Add(-time.Hour), &object.Reply{}, nil)
	if a.took[len(callTimes)].Load() != 1 {
		t.Error("an hour is not in the last class")
	}
}

// TestNamesFillNoBooks: neither made-up names nor years of changing ones cost memory.
func TestNamesFillNoBooks(t *testing.T) {
	h := newLedgerHost()
	for i := range 100 {
		h.ledger.deny("call", object.ID(fmt.Sprintf("made.up%d", i)), false)
		h.ledger.deny("call", object.ID(fmt.Sprintf("acme.up%d", i)), i%2 == 0)
	}
	h.ledger.deny("connect", "", false)
	b := h.ledger.books.Load()
	if len(b.tenants) != 2 || len(b.objects) != 2 {
		t.Errorf("%d tenants and %d objects have accounts, want 2 and 2", len(b.tenants), len(b.objects))
	}
	acme := h.ledger.tenant("acme")
	if d, l, n, s := acme.denied.Load(), acme.limited.Load(), h.ledger.nobodys.Load(), h.ledger.strangers.Load(); d != 50 || l != 50 || n != 100 || s != 1 {
		t.Errorf("denied %d, limited %d, of nobody %d, strangers %d; want 50, 50, 100, 1", d, l, n, s)
	}
	var ids []object.ID
	for i := range maxAccounts + 10 {
		ids = append(ids, object.ID(fmt.Sprintf("acme.x%d", i)))
	}
	h.ledger.open(ids)
	for _, id := range ids {
		if h.ledger.of(id) == nil {
			t.Fatalf("%s has no account", id)
		}
	}
	if n := len(h.ledger.books.Load().objects); n != maxAccounts {
		t.Errorf("%d accounts, want %d", n, maxAccounts)
	}
	if h.ledger.of(ids[maxAccounts+5]) != &h.ledger.tenant("acme").rest {
		t.Error("an object beyond the bound has no account in common with others")
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

func TestSpanName(t *testing.T) {
	for want, call := range map[string]object.Call{
		"acme.echo.echo":     {ID: "acme.echo", Method: "echo", Kind: object.Invoke},
		"get acme.echo.n":    {ID: "acme.echo", Method: "n", Kind: object.Get},
		"set acme.echo.n":    {ID: "acme.echo", Method: "n", Kind: object.Set},
		"batch acme.echo":    {ID: "acme.echo", Batch: []object.Method{"a", "b"}, Kind: object.Batch},
		"acme.echo.a\ufffdb": {ID: "acme.echo", Method: "a\xffb", Kind: object.Invoke},
		"acme.echo." + strings.Repeat("x", maxSpanName-len("acme.echo.")) + "…": {ID: "acme.echo", Method: object.Method(strings.Repeat("x", 1000)), Kind: object.Invoke},
	} {
		if got := spanName(&call); got != want {
			t.Errorf("spanName = %q, want %q", got, want)
		}
	}
}
