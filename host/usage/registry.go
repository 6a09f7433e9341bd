// Package usage counts the calls, processes and denials of each tenant since the host started.
package usage

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/internal/procstat"
	"github.com/hearthhost/hearth/internal/tick"
	"github.com/hearthhost/hearth/object"
)

// Registry holds the counters of all tenants and objects since the host started. It outlives snapshots, so that a
// reload resets nothing. Counting a call takes no lock and does not allocate. It is safe for concurrent use after Init.
type Registry struct {
	StoreBytes func(object.Tenant) int64 // returns the size of a tenant's durable state; nil: it is not counted

	Since   time.Time                // start of the host
	Current atomic.Pointer[Counters] // current counters; Add and Tenant replace the maps and do not modify them

	Unauthenticated atomic.Uint64 // connections that failed authentication
	Unowned         atomic.Uint64 // denials about objects of no tenant
	Unaudited       atomic.Uint64 // calls rejected because the audit log could not be written
	Accepted        atomic.Uint64 // accepted connections, rejected ones included
	Rejected        atomic.Uint64 // connections rejected: host full or draining, or too many from one address
	OverConnections atomic.Uint64 // connections of principals above their limit
	ClosedIdle      atomic.Uint64 // idle connections closed to free a place

	mu sync.Mutex // serializes replacements of Current
}

// Counters has the counters of all tenants and objects. Counters of removed objects are kept.
type Counters struct {
	Tenants map[object.Tenant]*TenantCounters
	Objects map[object.ID]*ObjectCounters
}

// TenantCounters has the counters of a tenant that belong to no single object.
type TenantCounters struct {
	Processes procstat.Processes
	Denied    atomic.Uint64  // calls and metadata requests that the policy denied
	Limited   atomic.Uint64  // calls that a limit block rejected
	objects   atomic.Int64   // number of objects with separate counters
	Rest      ObjectCounters // common counters of objects beyond maxCounters
}

// maxCounters bounds the objects of one tenant with separate counters. Objects may be added and removed for years, and
// counters are never removed.
const maxCounters = 4096

// ObjectCounters counts the calls of one object. The fields that every call changes are first: they share one cache
// line. A call changes one more line, in times. The size is a multiple of a cache line.
type ObjectCounters struct {
	Begun    atomic.Uint64
	nanos    atomic.Uint64 // total time of ended calls, in nanoseconds
	BytesIn  atomic.Uint64 // bytes of arguments, as passed to the object
	BytesOut atomic.Uint64 // bytes of results
	Steps    atomic.Uint64
	_        [24]byte
	times    [len(TimeBounds) + 1]atomic.Uint64 // ended calls by time class; see TimeBounds
	Failed   [codes]atomic.Uint64               // failed calls by code
	_        [32]byte
}

// codes is the number of error codes.
const codes = int(object.CodeInternal) + 1

// TimeBounds are the upper bounds of the time classes of calls, inclusive. Longer calls are in one more class.
var TimeBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
}

// Init sets the start time and empties the counters. Call it once, first.
func (r *Registry) Init() {
	r.Since = time.Now()
	r.Current.Store(&Counters{map[object.Tenant]*TenantCounters{}, map[object.ID]*ObjectCounters{}})
}

// Add makes counters for objects without counters, up to maxCounters for each tenant.
func (r *Registry) Add(ids []object.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.Current.Load()
	if !slices.ContainsFunc(ids, func(id object.ID) bool { return old.Objects[id.Family()] == nil }) {
		return
	}
	next := &Counters{maps.Clone(old.Tenants), maps.Clone(old.Objects)}
	for _, id := range ids {
		id = id.Family()
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
	r.Current.Store(next)
}

// Tenant returns a tenant's counters and makes them if needed.
func (r *Registry) Tenant(name object.Tenant) *TenantCounters {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.Current.Load()
	if t := old.Tenants[name]; t != nil {
		return t
	}
	t := new(TenantCounters)
	next := &Counters{maps.Clone(old.Tenants), old.Objects}
	next.Tenants[name] = t
	r.Current.Store(next)
	return t
}

// Object returns an object's counters and makes them if needed. Call it for objects that exist only: otherwise callers
// could fill the registry with names that they make up.
func (r *Registry) Object(id object.ID) *ObjectCounters {
	b := r.Current.Load()
	if c := b.Objects[id]; c != nil {
		return c
	}
	id = id.Family() // all keys have one counter
	if c := b.Objects[id]; c != nil {
		return c
	}
	if t := b.Tenants[id.Tenant()]; t != nil && t.objects.Load() >= maxCounters { // objects never decreases
		return &t.Rest
	}
	r.Add([]object.ID{id})
	b = r.Current.Load()
	if c := b.Objects[id]; c != nil {
		return c
	}
	return &b.Tenants[id.Tenant()].Rest
}

// Deny counts a denial by the policy or, if limited is set, by one of its limits. event is the event of its audit
// record.
func (r *Registry) Deny(event string, id object.ID, limited bool) {
	t := r.Current.Load().Tenants[id.Tenant()]
	switch {
	case event == "connect":
		r.Unauthenticated.Add(1)
	case t == nil:
		r.Unowned.Add(1)
	case limited:
		t.Limited.Add(1)
	default:
		t.Denied.Add(1)
	}
}

// peakEvery is the interval at which Watch samples the memory peaks of processes.
const peakEvery = 10 * time.Second

// Watch samples the processes of all tenants until ctx is done.
func (r *Registry) Watch(ctx context.Context) {
	tick.Every(ctx, peakEvery, func(time.Time) bool {
		for _, t := range r.Current.Load().Tenants {
			t.Processes.Spent()
		}
		return true
	})
}

// Begin counts a call that begins and returns its start time.
func (c *ObjectCounters) Begin(call *object.Call) time.Time {
	c.Begun.Add(1)
	c.BytesIn.Add(uint64(len(call.Payload)))
	return time.Now()
}

// End counts the result of a call that began at from.
func (c *ObjectCounters) End(from time.Time, r *object.Reply, err error) {
	took := time.Since(from)
	c.nanos.Add(uint64(took))
	c.BytesOut.Add(uint64(len(r.Payload)))
	c.Steps.Add(r.Steps)
	if code, failed := Failure(r, err); failed {
		c.Failed[code].Add(1)
	}
	class := 0
	for class < len(TimeBounds) && took > TimeBounds[class] {
		class++
	}
	c.times[class].Add(1)
}

// Failure returns the code of a failed call. failed is false for a call that succeeded.
func Failure(r *object.Reply, err error) (code object.Code, failed bool) {
	switch {
	case err != nil:
		return min(object.CodeOf(err), object.CodeInternal), true
	case r.Exception:
		return object.CodeRaised, true
	}
	return object.CodeOK, false
}
