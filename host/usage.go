package host

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
type tally struct {
	begun, ended      uint64
	nanos             uint64
	bytesIn, bytesOut uint64
	steps             uint64
	took              [len(callTimes) + 1]uint64
	failed            [codes]uint64
}

// add adds an account. What has ended is read first: nothing ends before it begins.
func (t *tally) add(a *objectAccount) {
	for i := range a.took {
		n := a.took[i].Load()
		t.took[i] += n
		t.ended += n
	}
	for i := range a.failed {
		t.failed[i] += a.failed[i].Load()
	}
	t.nanos += a.nanos.Load()
	t.bytesOut += a.bytesOut.Load()
	t.steps += a.steps.Load()
	t.bytesIn += a.bytesIn.Load()
	t.begun += a.begun.Load()
}

func (t *tally) calls() Calls {
	c := Calls{Calls: t.ended, InFlight: t.begun - t.ended, BytesIn: t.bytesIn, BytesOut: t.bytesOut, Steps: t.steps,
		Seconds: time.Duration(t.nanos).Seconds()}
	for code, n := range t.failed {
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
func (b *books) tenantIDs() map[object.Tenant][]object.ID {
	out := map[object.Tenant][]object.ID{}
	for id := range b.objects {
		out[id.Tenant()] = append(out[id.Tenant()], id)
	}
	return out
}

// sum returns what a tenant's objects have come to together.
func (b *books) sum(t *tenantAccount, ids []object.ID) *tally {
	all := new(tally)
	for _, id := range ids {
		all.add(b.objects[id])
	}
	all.add(&t.rest)
	return all
}

// Usage returns what every tenant has spent, or one of them; CodeNotFound if the host
// never served that one.
func (h *Host) Usage(of object.Tenant) (*Usage, error) {
	b := h.ledger.books.Load()
	u := &Usage{Since: h.ledger.since, Elsewhere: h.ledger.nobodys.Load(), Tenants: []TenantUsage{}}
	ids := b.tenantIDs()
	names := slices.Sorted(maps.Keys(b.tenants))
	if of != "" {
		if b.tenants[of] == nil {
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
func (b *books) usage(name object.Tenant, ids []object.ID) TenantUsage {
	t := b.tenants[name]
	spent := t.processes.Spent()
	u := TenantUsage{
		Tenant: name, Calls: b.sum(t, ids).calls(), Denied: t.denied.Load(), Limited: t.limited.Load(),
		Processes: spent.Running, CPUSeconds: spent.CPU.Seconds(), MemoryBytes: spent.MemoryBytes, PeakBytes: spent.PeakBytes,
		Starts: spent.Starts, Crashes: spent.Crashes, StatesLost: spent.StatesLost, LogDropped: spent.LogDropped, Objects: []ObjectUsage{},
	}
	slices.Sort(ids)
	enter := func(id object.ID, a *objectAccount) {
		var one tally
		if one.add(a); one.begun > 0 {
			u.Objects = append(u.Objects, ObjectUsage{id, one.calls()})
		}
	}
	for _, id := range ids {
		enter(id, b.objects[id])
	}
	enter("", &t.rest)
	return u
}
