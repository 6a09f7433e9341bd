package host

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/internal/procstat"
	"github.com/hearthhost/hearth/object"
)

// ledger is what every tenant has been given since the host started: a column of counters
// for each object. It outlives snapshots, so that a reload resets nothing. Entering a call
// takes no lock and allocates nothing. Safe for concurrent use.
type ledger struct {
	since time.Time
	books atomic.Pointer[books] // replaced by open, never changed

	strangers  atomic.Uint64 // refused at the door
	nobodys    atomic.Uint64 // denials about what belongs to no tenant
	unaudited  atomic.Uint64 // calls refused because the audit log could not be written
	turned     atomic.Uint64 // connections for which there was no room
	crowded    atomic.Uint64 // connections of principals that had too many
	closedIdle atomic.Uint64 // connections closed to make room

	mu sync.Mutex // for open
}

// books are the accounts there are. Those of objects that are gone stay.
type books struct {
	tenants map[object.Tenant]*tenantAccount
	objects map[object.ID]*objectAccount
}

// tenantAccount is what belongs to a tenant and to none of its objects.
type tenantAccount struct {
	processes procstat.Processes
	denied    atomic.Uint64 // calls, and questions what an object is, that the policy refused
	limited   atomic.Uint64 // calls that a limit block refused
	objects   atomic.Int64  // that have an account of their own; for open
	rest      objectAccount // of objects beyond maxAccounts
}

// maxAccounts bounds the objects of one tenant that are counted one by one: names may
// come and go for years.
const maxAccounts = 4096

// objectAccount counts the calls of one object. What every call touches comes first: one
// cache line, and one of those of took.
type objectAccount struct {
	begun    atomic.Uint64
	nanos    atomic.Uint64 // time of those that have ended
	bytesIn  atomic.Uint64 // arguments, as they go to the object
	bytesOut atomic.Uint64 // results
	steps    atomic.Uint64
	_        [24]byte
	took     [len(callTimes) + 1]atomic.Uint64 // calls that have ended, by their time
	failed   [codes]atomic.Uint64              // of them those that failed, by code
	_        [32]byte
}

// codes is how many codes there are.
const codes = int(object.CodeInternal) + 1

// callTimes are the bounds of the classes of calls by their time; those that took longer
// than the last are a class, too.
var callTimes = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
}

func (l *ledger) init() {
	l.since = time.Now()
	l.books.Store(&books{map[object.Tenant]*tenantAccount{}, map[object.ID]*objectAccount{}})
}

// open makes accounts for those objects that have none.
func (l *ledger) open(ids []object.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.books.Load()
	if !slices.ContainsFunc(ids, func(id object.ID) bool { return old.objects[id] == nil }) {
		return
	}
	next := &books{maps.Clone(old.tenants), maps.Clone(old.objects)}
	for _, id := range ids {
		t := next.tenants[id.Tenant()]
		if t == nil {
			t = new(tenantAccount)
			next.tenants[id.Tenant()] = t
		}
		if next.objects[id] == nil && t.objects.Load() < maxAccounts {
			next.objects[id] = new(objectAccount)
			t.objects.Add(1)
		}
	}
	l.books.Store(next)
}

// tenant returns a tenant's account, made if need be.
func (l *ledger) tenant(name object.Tenant) *tenantAccount {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.books.Load()
	if t := old.tenants[name]; t != nil {
		return t
	}
	t := new(tenantAccount)
	next := &books{maps.Clone(old.tenants), old.objects}
	next.tenants[name] = t
	l.books.Store(next)
	return t
}

// of returns the account of an object, made if need be: one that exists, for names that
// callers make up are not to fill the books.
func (l *ledger) of(id object.ID) *objectAccount {
	b := l.books.Load()
	if a := b.objects[id]; a != nil {
		return a
	}
	if t := b.tenants[id.Tenant()]; t != nil && t.objects.Load() >= maxAccounts { // it only grows
		return &t.rest
	}
	l.open([]object.ID{id})
	b = l.books.Load()
	if a := b.objects[id]; a != nil {
		return a
	}
	return &b.tenants[id.Tenant()].rest
}

// deny counts a refusal by the policy or, if limited is set, by one of its limits.
func (l *ledger) deny(event string, id object.ID, limited bool) {
	t := l.books.Load().tenants[id.Tenant()]
	switch {
	case event == "connect":
		l.strangers.Add(1)
	case t == nil:
		l.nobodys.Add(1)
	case limited:
		t.limited.Add(1)
	default:
		t.denied.Add(1)
	}
}

// peakEvery is how often processes are looked at for their peaks when nobody asks.
const peakEvery = 10 * time.Second

// watch looks at the processes of all tenants until ctx is done.
func (l *ledger) watch(ctx context.Context) {
	tick := time.NewTicker(peakEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, t := range l.books.Load().tenants {
				t.processes.Spent()
			}
		}
	}
}

// begin enters a call.
func (a *objectAccount) begin(call *object.Call) time.Time {
	a.begun.Add(1)
	a.bytesIn.Add(uint64(len(call.Payload)))
	return time.Now()
}

// end enters what became of it.
func (a *objectAccount) end(from time.Time, r *object.Reply, err error) {
	took := time.Since(from)
	a.nanos.Add(uint64(took))
	a.bytesOut.Add(uint64(len(r.Payload)))
	a.steps.Add(r.Steps)
	if code, failed := failure(r, err); failed {
		a.failed[code].Add(1)
	}
	class := 0
	for class < len(callTimes) && took > callTimes[class] {
		class++
	}
	a.took[class].Add(1)
}

// failure returns how a call failed, if it did.
func failure(r *object.Reply, err error) (code object.Code, failed bool) {
	switch {
	case err != nil:
		return min(object.CodeOf(err), object.CodeInternal), true
	case r.Exception:
		return object.CodeRaised, true
	}
	return object.CodeOK, false
}

// invoke runs a call that was authorised, and enters it. It returns who ran it.
func (h *Host) invoke(ctx context.Context, b object.Backend, call *object.Call) (object.Reply, object.Backend, error) {
	a := h.ledger.of(call.ID)
	from := a.begin(call)
	span := h.tracer.begin(call, from)
	r, b, err := h.passOn(ctx, b, call)
	a.end(from, &r, err)
	h.tracer.end(span, call, &r, err)
	return r, b, err
}

// next fetches an item of a stream, and enters it as the call that it is. The end of a
// stream is no failure.
func (h *Host) next(ctx context.Context, b object.Backend, call *object.Call, stream uint64) (object.Reply, bool, error) {
	a := h.ledger.of(call.ID)
	from := a.begin(call)
	span := h.tracer.begin(call, from)
	r, more, err := b.Next(ctx, call, stream)
	a.end(from, &r, err)
	h.tracer.end(span, call, &r, err)
	return r, more, err
}
