package usage

import (
	"maps"
	"slices"
	"time"

	"github.com/hearthhost/hearth/object"
)

// Usage reports the resources that tenants have used since the host started. Only a restart of the host resets it.
type Usage struct {
	Since   time.Time     `json:"since"`
	Tenants []TenantUsage `json:"tenants"` // sorted by name
	// Elsewhere counts denials about objects of no tenant.
	Elsewhere uint64 `json:"denied_elsewhere"`
}

// TenantUsage reports the resources of one tenant. The tenant's worker reports the steps of a call. The kernel reports
// processor time and memory.
type TenantUsage struct {
	Tenant object.Tenant `json:"tenant"`
	Calls
	Denied  uint64 `json:"denied"`  // calls and metadata requests that the policy denied
	Limited uint64 `json:"limited"` // calls that a limit of the policy rejected

	Processes   int     `json:"processes"`         // running workers and plugins
	CPUSeconds  float64 `json:"cpu_seconds"`       // of running and ended processes
	MemoryBytes int64   `json:"memory_bytes"`      // of running processes
	PeakBytes   int64   `json:"memory_peak_bytes"` // highest memory use of one process
	Starts      uint64  `json:"starts"`            // started processes
	Crashes     uint64  `json:"crashes"`           // unexpected exits, failed starts included
	StatesLost  uint64  `json:"states_lost"`       // instances that ended early
	LogDropped  uint64  `json:"log_lines_dropped"` // log lines of scripts and plugins above their limit
	StoreBytes  int64   `json:"store_bytes"`       // files of the durable state

	Objects []ObjectUsage `json:"objects"` // sorted by id, without objects that had no call
}

// ObjectUsage reports the calls of one object.
type ObjectUsage struct {
	// ID is empty for the common counters of all objects of a tenant beyond maxCounters.
	ID object.ID `json:"id"`
	Calls
}

// Calls reports a number of calls and their totals. A batch counts as one call, and so does an item of a stream. Denied
// calls are not counted.
type Calls struct {
	Calls    uint64            `json:"calls"`            // ended calls
	InFlight uint64            `json:"in_flight"`        // running calls and calls that wait in a queue
	Errors   map[string]uint64 `json:"errors,omitempty"` // failed calls by code
	BytesIn  uint64            `json:"bytes_in"`         // bytes of arguments, decompressed
	BytesOut uint64            `json:"bytes_out"`        // bytes of results
	Steps    uint64            `json:"steps"`            // steps of scripts; 0 for plugins
	Seconds  float64           `json:"seconds"`          // total time from invoking the backend to its reply
}

// Totals is a sum of counters at one moment.
type Totals struct {
	Begun, Ended      uint64
	Nanos             uint64
	BytesIn, BytesOut uint64
	Steps             uint64
	Times             [len(TimeBounds) + 1]uint64
	Failed            [codes]uint64
}

// add adds the counters of an object. It reads Begun last, so that Begun is never less than Ended.
func (t *Totals) add(c *ObjectCounters) {
	for i := range c.times {
		n := c.times[i].Load()
		t.Times[i] += n
		t.Ended += n
	}
	for i := range c.Failed {
		t.Failed[i] += c.Failed[i].Load()
	}
	t.Nanos += c.nanos.Load()
	t.BytesOut += c.BytesOut.Load()
	t.Steps += c.Steps.Load()
	t.BytesIn += c.BytesIn.Load()
	t.Begun += c.Begun.Load()
}

func (t *Totals) calls() Calls {
	c := Calls{
		Calls:    t.Ended,
		InFlight: t.Begun - t.Ended,
		BytesIn:  t.BytesIn,
		BytesOut: t.BytesOut,
		Steps:    t.Steps,
		Seconds:  time.Duration(t.Nanos).Seconds(),
	}
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

// TenantIDs returns the ids with separate counters, by tenant.
func (b *Counters) TenantIDs() map[object.Tenant][]object.ID {
	out := map[object.Tenant][]object.ID{}
	for id := range b.Objects {
		out[id.Tenant()] = append(out[id.Tenant()], id)
	}
	return out
}

// Sum returns the totals of a tenant's objects. ids are the tenant's ids with separate counters.
func (b *Counters) Sum(t *TenantCounters, ids []object.ID) *Totals {
	all := new(Totals)
	for _, id := range ids {
		all.add(b.Objects[id])
	}
	all.add(&t.Rest)
	return all
}

// Usage returns the usage of all tenants or, if only is not empty, of one tenant. The error has CodeNotFound if the
// host has served no tenant of that name.
func (r *Registry) Usage(only object.Tenant) (*Usage, error) {
	b := r.Current.Load()
	u := &Usage{Since: r.Since, Elsewhere: r.Unowned.Load(), Tenants: []TenantUsage{}}
	ids := b.TenantIDs()
	names := slices.Sorted(maps.Keys(b.Tenants))
	if only != "" {
		if b.Tenants[only] == nil {
			return nil, object.Errorf(object.CodeNotFound, "the host serves no tenant %q; it serves %v", only, names)
		}
		names = []object.Tenant{only}
	}
	for _, name := range names {
		t := b.usage(name, ids[name])
		if r.StoreBytes != nil {
			t.StoreBytes = r.StoreBytes(name)
		}
		u.Tenants = append(u.Tenants, t)
	}
	return u, nil
}

// InFlight returns the number of a tenant's calls that run or wait in a queue.
func (r *Registry) InFlight(tenant object.Tenant) uint64 {
	b := r.Current.Load()
	t := b.Tenants[tenant]
	if t == nil {
		return 0
	}
	var all Totals
	for id, c := range b.Objects {
		if id.Tenant() == tenant {
			all.add(c)
		}
	}
	all.add(&t.Rest)
	return all.Begun - all.Ended
}

// usage returns the usage of one tenant. It sorts ids.
func (b *Counters) usage(name object.Tenant, ids []object.ID) TenantUsage {
	t := b.Tenants[name]
	spent := t.Processes.Spent()
	u := TenantUsage{
		Tenant:      name,
		Calls:       b.Sum(t, ids).calls(),
		Denied:      t.Denied.Load(),
		Limited:     t.Limited.Load(),
		Processes:   spent.Running,
		CPUSeconds:  spent.CPU.Seconds(),
		MemoryBytes: spent.MemoryBytes,
		PeakBytes:   spent.PeakBytes,
		Starts:      spent.Starts,
		Crashes:     spent.Crashes,
		StatesLost:  spent.StatesLost,
		LogDropped:  spent.LogDropped,
		Objects:     []ObjectUsage{},
	}
	slices.Sort(ids)
	add := func(id object.ID, c *ObjectCounters) {
		var totals Totals
		totals.add(c)
		if totals.Begun > 0 {
			u.Objects = append(u.Objects, ObjectUsage{id, totals.calls()})
		}
	}
	for _, id := range ids {
		add(id, b.Objects[id])
	}
	add("", &t.Rest)
	return u
}
