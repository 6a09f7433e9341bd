package backend

import (
	"cmp"
	"slices"
	"time"

	"github.com/hearthhost/hearth/internal/backoff"
	"github.com/hearthhost/hearth/object"
)

// WorkerStatus is the state of a plugin or of a worker, of a tenant or of one object.
type WorkerStatus struct {
	Name   string        `json:"name"` // the tenant, or the object's or plugin's id
	Tenant object.Tenant `json:"tenant"`
	Kind   string        `json:"kind"` // KindWorker, KindPlugin
	State  string        `json:"state"`
	PID    int           `json:"pid,omitempty"`
	// Crashes counts consecutive crashes. Retry is the earliest time of the next start. Cause is the reason of the last
	// crash or of the refusal.
	Crashes int       `json:"crashes,omitempty"`
	Retry   time.Time `json:"retry,omitzero"`
	Cause   string    `json:"cause,omitempty"`
}

// The kinds of process, and their states.
const (
	KindWorker = "worker"
	KindPlugin = "plugin"

	StateRunning     = "running"
	StateIdle        = "idle"        // no process; the next call starts one
	StateBackOff     = "backoff"     // crashed; not started before Retry
	StateQuarantined = "quarantined" // crashed too often; not started before a change
	StateRefused     = "refused"     // its file does not match the policy; not started
)

// States are the names of all states.
var States = []string{StateRunning, StateIdle, StateBackOff, StateQuarantined, StateRefused}

// process is a backend with the state of an operating system process.
type process interface{ Status() backoff.Status }

// Statuses returns the states of the workers and plugins, sorted by name.
func (s Set) Statuses() []WorkerStatus {
	out := []WorkerStatus{}
	add := func(name string, tenant object.Tenant, kind string, p any) {
		w := WorkerStatus{Name: name, Tenant: tenant, Kind: kind, State: StateIdle}
		if p, ok := p.(process); ok {
			now := p.Status()
			w.PID, w.Crashes = now.PID, now.Crashes
			switch {
			case now.PID != 0:
				w.State = StateRunning
			case now.Refused != nil:
				w.State, w.Cause = StateRefused, now.Refused.Error()
			case now.Quarantined:
				w.State = StateQuarantined
			case now.Wait > 0:
				w.State = StateBackOff
			}
			if now.Wait > 0 {
				w.Retry = time.Now().Add(now.Wait)
			}
			if now.Crashes > 0 && now.Cause != nil && w.Cause == "" {
				w.Cause = now.Cause.Error()
			}
		}
		out = append(out, w)
	}
	for tenant, t := range s.Tenants {
		all, ok := t.Worker.(*perObjectWorkers)
		if !ok {
			add(string(tenant), tenant, KindWorker, t.Worker)
			continue
		}
		for id, one := range *all.byID.Load() {
			add(string(id), tenant, KindWorker, one)
		}
	}
	for id, p := range s.Plugins {
		if id == slices.Min(p.Pin.Objects) { // a plugin with several objects is one process
			add(string(p.Pin.ID), p.Pin.ID.Tenant(), KindPlugin, p.Backend)
		}
	}
	slices.SortFunc(out, func(a, b WorkerStatus) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	return out
}
