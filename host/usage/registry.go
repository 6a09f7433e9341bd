package usage

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
type Registry struct {
	Since   time.Time
	Current atomic.Pointer[Counters] // replaced by open, never changed

	Unauthenticated atomic.Uint64 // refused at the door
	Unowned         atomic.Uint64 // denials about what belongs to no tenant
	Unaudited       atomic.Uint64 // calls refused because the audit log could not be written
	Rejected        atomic.Uint64 // connections for which there was no room
	OverConnections atomic.Uint64 // connections of principals that had too many
	ClosedIdle      atomic.Uint64 // connections closed to make room

	mu sync.Mutex // for open
}

// books are the accounts there are. Those of objects that are gone stay.
type Counters struct {
	Tenants map[object.Tenant]*TenantCounters
	Objects map[object.ID]*ObjectCounters
}

// tenantAccount is what belongs to a tenant and to none of its objects.
type TenantCounters struct {
	Processes procstat.Processes
	Denied    atomic.Uint64  // calls, and questions what an object is, that the policy refused
	Limited   atomic.Uint64  // calls that a limit block refused
	objects   atomic.Int64   // that have an account of their own; for open
	Rest      ObjectCounters // of objects beyond maxAccounts
}

// maxAccounts bounds the objects of one tenant that are counted one by one: names may
// come and go for years.
const maxCounters = 4096

// objectAccount counts the calls of one object. What every call touches comes first: one
// cache line, and one of those of took.
type ObjectCounters struct {
	Begun    atomic.Uint64
	nanos    atomic.Uint64 // time of those that have ended
	BytesIn  atomic.Uint64 // arguments, as they go to the object
	BytesOut atomic.Uint64 // results
	Steps    atomic.Uint64
	_        [24]byte
	times    [len(TimeBounds) + 1]atomic.Uint64 // calls that have ended, by their time
	Failed   [codes]atomic.Uint64               // of them those that failed, by code
	_        [32]byte
}

// codes is how many codes there are.
const codes = int(object.CodeInternal) + 1

// callTimes are the bounds of the classes of calls by their time; those that took longer
// than the last are a class, too.
var TimeBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
}

func (l *Registry) Init() {
	l.Since = time.Now()
	l.Current.Store(&Counters{map[object.Tenant]*TenantCounters{}, map[object.ID]*ObjectCounters{}})
}

// open makes accounts for those objects that have none.
func (l *Registry) Add(ids []object.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.Current.Load()
	if !slices.ContainsFunc(ids, func(id object.ID) bool { return old.Objects[id] == nil }) {
		return
	}
	next := &Counters{maps.Clone(old.Tenants), maps.Clone(old.Objects)}
	for _, id := range ids {
		t := next.Tenants[id.Tenant()]
		if t == nil {
			t = new(TenantCounters)
			next.Tenants[id.Tenant()] = t
		}
		if next.Objects[id] == nil && t.objects.Load() < maxCounters {
			next.Objects[id] = new(ObjectCounters)
			t.objects.Add(1)
		}
	}
	l.Current.Store(next)
}

// tenant returns a tenant's account, made if need be.
func (l *Registry) Tenant(name object.Tenant) *TenantCounters {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.Current.Load()
	if t := old.Tenants[name]; t != nil {
		return t
	}
	t := new(TenantCounters)
	next := &Counters{maps.Clone(old.Tenants), old.Objects}
	next.Tenants[name] = t
	l.Current.Store(next)
	return t
}

// of returns the account of an object, made if need be: one that exists, for names that
// callers make up are not to fill the books.
func (l *Registry) Object(id object.ID) *ObjectCounters {
	b := l.Current.Load()
	if a := b.Objects[id]; a != nil {
		return a
	}
	if t := b.Tenants[id.Tenant()]; t != nil && t.objects.Load() >= maxCounters { // it only grows
		return &t.Rest
	}
	l.Add([]object.ID{id})
	b = l.Current.Load()
	if a := b.Objects[id]; a != nil {
		return a
	}
	return &b.Tenants[id.Tenant()].Rest
}

// deny counts a refusal by the policy or, if limited is set, by one of its limits.
func (l *Registry) Deny(event string, id object.ID, limited bool) {
	t := l.Current.Load().Tenants[id.Tenant()]
	switch {
	case event == "connect":
		l.Unauthenticated.Add(1)
	case t == nil:
		l.Unowned.Add(1)
	case limited:
		t.Limited.Add(1)
	default:
		t.Denied.Add(1)
	}
}

// peakEvery is how often processes are looked at for their peaks when nobody asks.
const peakEvery = 10 * time.Second

// watch looks at the processes of all tenants until ctx is done.
func (l *Registry) Watch(ctx context.Context) {
	tick := time.NewTicker(peakEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, t := range l.Current.Load().Tenants {
				t.Processes.Spent()
			}
		}
	}
}

// begin enters a call.
func (a *ObjectCounters) Begin(call *object.Call) time.Time {
	a.Begun.Add(1)
	a.BytesIn.Add(uint64(len(call.Payload)))
	return time.Now()
}

// end enters what became of it.
func (a *ObjectCounters) End(from time.Time, r *object.Reply, err error) {
	took := time.Since(from)
	a.nanos.Add(uint64(took))
	a.BytesOut.Add(uint64(len(r.Payload)))
	a.Steps.Add(r.Steps)
	if code, failed := Failure(r, err); failed {
		a.Failed[code].Add(1)
	}
	class := 0
	for class < len(TimeBounds) && took > TimeBounds[class] {
		class++
	}
	a.times[class].Add(1)
}

// failure returns how a call failed, if it did.
func Failure(r *object.Reply, err error) (code object.Code, failed bool) {
	switch {
	case err != nil:
		return min(object.CodeOf(err), object.CodeInternal), true
	case r.Exception:
		return object.CodeRaised, true
	}
	return object.CodeOK, false
}
