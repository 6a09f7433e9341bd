package usage

import (
	"maps"
	"slices"
	"time"

	"github.com/hearthhost/hearth/object"
)

// Usage is what tenants have spent since the host started; nothing but the end of the host
// resets it.
type Usage struct {
	Since   time.Time     `json:"since"`
	Tenants []TenantUsage `json:"tenants"` // sorted by name
	// Elsewhere counts denials about what belongs to no tenant.
	Elsewhere uint64 `json:"denied_elsewhere"`
}

// TenantUsage is what one tenant has spent. Its worker says how many steps a call took;
// time and memory are the kernel's word.
type TenantUsage struct {
	Tenant object.Tenant `json:"tenant"`
	Calls
	Denied  uint64 `json:"denied"`  // by the policy, questions what an object is included
	Limited uint64 `json:"limited"` // refused by a limit of the policy

	Processes   int     `json:"processes"`         // workers and plugins that run
	CPUSeconds  float64 `json:"cpu_seconds"`       // of those that run and those that have ended
	MemoryBytes int64   `json:"memory_bytes"`      // now
	PeakBytes   int64   `json:"memory_peak_bytes"` // the most that one process has held
	Starts      uint64  `json:"starts"`            // of processes
	Crashes     uint64  `json:"crashes"`           // and failed starts
	StatesLost  uint64  `json:"states_lost"`       // instances that ended before their time
	LogDropped  uint64  `json:"log_lines_dropped"` // lines of scripts and plugins beyond what they may log

	Objects []ObjectUsage `json:"objects"` // sorted by id; those without a call are left out
}

// ObjectUsage is what the calls of one object came to.
type ObjectUsage struct {
	// ID is empty for all beyond the first few thousand objects of a tenant together.
	ID object.ID `json:"id"`
	Calls
}

// Calls is what calls came to. A batch is one call, and so is an item of a stream. What
// the policy refused is none.
type Calls struct {
	Calls    uint64            `json:"calls"`            // that have ended
	InFlight uint64            `json:"in_flight"`        // that have not, those that wait in a queue included
	Errors   map[string]uint64 `json:"errors,omitempty"` // of those that ended, by code
	BytesIn  uint64            `json:"bytes_in"`         // of arguments, inflated
	BytesOut uint64            `json:"bytes_out"`        // of results
	Steps    uint64            `json:"steps"`            // of scripts; plugins count none
	Seconds  float64           `json:"seconds"`          // from when the host passed calls on to their answers
}

// tally is a sum of accounts at one moment.
type Totals struct {
	Begun, Ended      uint64
	Nanos             uint64
	BytesIn, BytesOut uint64
	Steps             uint64
	Times             [len(TimeBounds) + 1]uint64
	Failed            [codes]uint64
}

// add adds an account. What has ended is read first: nothing ends before it begins.
func (t *Totals) add(a *ObjectCounters) {
	for i := range a.times {
		n := a.times[i].Load()
		t.Times[i] += n
		t.Ended += n
	}
	for i := range a.Failed {
		t.Failed[i] += a.Failed[i].Load()
	}
	t.Nanos += a.nanos.Load()
	t.BytesOut += a.BytesOut.Load()
	t.Steps += a.Steps.Load()
	t.BytesIn += a.BytesIn.Load()
	t.Begun += a.Begun.Load()
}

func (t *Totals) calls() Calls {
	c := Calls{Calls: t.Ended, InFlight: t.Begun - t.Ended, BytesIn: t.BytesIn, BytesOut: t.BytesOut, Steps: t.Steps,
		Seconds: time.Duration(t.Nanos).Seconds()}
	for code, n := range t.Failed {
		if n > 0 {
			if c.Errors == nil {
				c.Errors = map[string]uint64{}
			}
			c.Errors[object.Code(code).String()] = n
		}
	}
	return c
}

// tenantIDs returns the ids that have accounts, by tenant.
func (b *Counters) TenantIDs() map[object.Tenant][]object.ID {
	out := map[object.Tenant][]object.ID{}
	for id := range b.Objects {
		out[id.Tenant()] = append(out[id.Tenant()], id)
	}
	return out
}

// sum returns what a tenant's objects have come to together.
func (b *Counters) Sum(t *TenantCounters, ids []object.ID) *Totals {
	all := new(Totals)
	for _, id := range ids {
		all.add(b.Objects[id])
	}
	all.add(&t.Rest)
	return all
}

// Usage returns what every tenant has spent, or one of them; CodeNotFound if the host
// never served that one.
func (l *Registry) Usage(of object.Tenant) (*Usage, error) {
	b := l.Current.Load()
	u := &Usage{Since: l.Since, Elsewhere: l.Unowned.Load(), Tenants: []TenantUsage{}}
	ids := b.TenantIDs()
	names := slices.Sorted(maps.Keys(b.Tenants))
	if of != "" {
		if b.Tenants[of] == nil {
			return nil, object.Errorf(object.CodeNotFound, "the host serves no tenant %q; it serves %v", of, names)
		}
		names = []object.Tenant{of}
	}
	for _, name := range names {
		u.Tenants = append(u.Tenants, b.usage(name, ids[name]))
	}
	return u, nil
}

// usage returns what one tenant has spent.
func (b *Counters) usage(name object.Tenant, ids []object.ID) TenantUsage {
	t := b.Tenants[name]
	spent := t.Processes.Spent()
	u := TenantUsage{
		Tenant: name, Calls: b.Sum(t, ids).calls(), Denied: t.Denied.Load(), Limited: t.Limited.Load(),
		Processes: spent.Running, CPUSeconds: spent.CPU.Seconds(), MemoryBytes: spent.MemoryBytes, PeakBytes: spent.PeakBytes,
		Starts: spent.Starts, Crashes: spent.Crashes, StatesLost: spent.StatesLost, LogDropped: spent.LogDropped, Objects: []ObjectUsage{},
	}
	slices.Sort(ids)
	enter := func(id object.ID, a *ObjectCounters) {
		var one Totals
		if one.add(a); one.Begun > 0 {
			u.Objects = append(u.Objects, ObjectUsage{id, one.calls()})
		}
	}
	for _, id := range ids {
		enter(id, b.Objects[id])
	}
	enter("", &t.Rest)
	return u
}
