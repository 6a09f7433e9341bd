package host

import (
	"cmp"
	"os"
	"slices"
	"time"

	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/internal/backoff"
	"github.com/hearthhost/hearth/object"
)

// Status is the current state of a host.
type Status struct {
	Version   string    `json:"version"`
	PID       int       `json:"pid"`
	Since     time.Time `json:"since"`
	Addresses []string  `json:"addresses"`         // as Host.Addrs returns them
	Metrics   string    `json:"metrics,omitempty"` // host:port of the loopback listener, if there is one
	Draining  bool      `json:"draining"`

	Tenants         int `json:"tenants"`
	Objects         int `json:"objects"`
	Connections     int `json:"connections"`
	Unauthenticated int `json:"unauthenticated"` // connections before the end of their handshake; part of Connections
	Streams         int `json:"streams"`

	// AuditStalled is the age in seconds of an unfinished write of the audit log; 0 unless the disk hangs.
	AuditStalled float64 `json:"audit_stalled_seconds,omitempty"`

	Reloads  ReloadStatus   `json:"reloads"`
	Workers  []WorkerStatus `json:"workers"` // sorted by name
	Refusals []Refusal      `json:"refusals"`
}

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

var workerStateNames = []string{StateRunning, StateIdle, StateBackOff, StateQuarantined, StateRefused}

// ReloadStatus counts the changes of objects, plugins and policy since the host started.
type ReloadStatus struct {
	Applied uint64 `json:"applied"`
	Refused uint64 `json:"refused"` // changes with errors, which were not applied
	// Last is the time of the last applied change, zero without one.
	Last time.Time `json:"last,omitzero"`
	// PolicyRefused is true if the policy file does not load and an older policy is in force.
	PolicyRefused bool `json:"policy_refused"`
}

// Status returns the host's current state. It is safe for concurrent use.
func (h *Host) Status() *Status {
	s := &Status{
		Version:   h.cfg.Version,
		PID:       os.Getpid(),
		Since:     h.usage.Since,
		Addresses: h.Addrs(),
		Metrics:   h.admin.metrics,
		Streams:   h.dispatch.Streams(),
		Workers:   h.workerStates(),
		Refusals:  h.Refusals(),
	}
	s.Objects, s.Tenants = h.Objects()
	if h.audit != nil {
		s.AuditStalled = h.audit.Stalled().Seconds()
	}
	s.Reloads = ReloadStatus{Applied: h.reloads.accepted.Load(), Refused: h.reloads.refused.Load()}
	if last := h.reloads.last.Load(); last != 0 {
		s.Reloads.Last = time.Unix(0, last)
	}
	s.Reloads.PolicyRefused = slices.ContainsFunc(s.Refusals, func(r Refusal) bool {
		return r.Path == h.cfg.PolicyFile
	})
	s.Connections, s.Unauthenticated, _ = h.pyro.Connections()
	s.Draining = h.pyro.IsDraining()
	return s
}

// process is a backend with the state of an operating system process.
type process interface{ Status() backoff.Status }

// workerStates returns the states of the workers and plugins of the current snapshot.
func (h *Host) workerStates() []WorkerStatus {
	snap := h.snap.Load()
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
	for tenant, t := range snap.tenants {
		all, ok := t.worker.(*perObjectWorkers)
		if !ok {
			add(string(tenant), tenant, KindWorker, t.worker)
			continue
		}
		for id, one := range *all.byID.Load() {
			add(string(id), tenant, KindWorker, one)
		}
	}
	for id, p := range snap.plugins {
		if id == slices.Min(p.pin.Objects) { // a plugin with several objects is one process
			add(string(p.pin.ID), p.pin.ID.Tenant(), KindPlugin, p.backend)
		}
	}
	slices.SortFunc(out, func(a, b WorkerStatus) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	return out
}

// Usage returns the usage of every tenant, or of one. The error is CodeNotFound if the host
// never served that tenant.
func (h *Host) Usage(of object.Tenant) (*usage.Usage, error) { return h.usage.Usage(of) }
