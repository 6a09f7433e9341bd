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

// Status is what a host is at.
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
	Unauthenticated int `json:"unauthenticated"` // connections whose handshake has not finished; included in Connections
	Streams         int `json:"streams"`

	// AuditStalled is for how many seconds a write of the audit log has not finished, since its disk hangs.
	AuditStalled float64 `json:"audit_stalled_seconds,omitempty"`

	Reloads  ReloadStatus   `json:"reloads"`
	Workers  []WorkerStatus `json:"workers"` // sorted by name
	Refusals []Refusal      `json:"refusals"`
}

// WorkerStatus is the state of a tenant's worker, of an object's that has one of its own,
// or of a plugin.
type WorkerStatus struct {
	Name   string        `json:"name"` // the tenant, or the object's or plugin's id
	Tenant object.Tenant `json:"tenant"`
	Kind   string        `json:"kind"` // KindWorker, KindPlugin
	State  string        `json:"state"`
	PID    int           `json:"pid,omitempty"`
	// Crashes are those in a row, Retry is when it may be started again after one, and Cause
	// is why it crashed last, or is refused.
	Crashes int       `json:"crashes,omitempty"`
	Retry   time.Time `json:"retry,omitzero"`
	Cause   string    `json:"cause,omitempty"`
}

// The kinds of process, and their states.
const (
	KindWorker = "worker"
	KindPlugin = "plugin"

	StateRunning     = "running"
	StateIdle        = "idle"        // no process: the next call starts one
	StateBackOff     = "backoff"     // it crashed, and is not started again yet
	StateQuarantined = "quarantined" // it crashed too often, and is not started before something changes
	StateRefused     = "refused"     // its file is not as the policy wants it, and is not started
)

var workerStateNames = []string{StateRunning, StateIdle, StateBackOff, StateQuarantined, StateRefused}

// ReloadStatus counts the changes of objects, plugins and policy since the host started.
type ReloadStatus struct {
	Applied uint64 `json:"applied"`
	Refused uint64 `json:"refused"` // that changed nothing, for they had errors
	// Last is when one was taken, and zero if none was.
	Last time.Time `json:"last,omitzero"`
	// PolicyRefused says that the policy file holds another policy than is in force, and
	// one that does not load.
	PolicyRefused bool `json:"policy_refused"`
}

// Status returns what the host is at.
func (h *Host) Status() *Status {
	s := &Status{Version: h.cfg.Version, PID: os.Getpid(), Since: h.ledger.Since, Addresses: h.Addrs(), Metrics: h.admin.metrics,
		Streams: h.dispatch.Streams(), Workers: h.workerStates(), Refusals: h.Refusals()}
	s.Objects, s.Tenants = h.Objects()
	if h.audit != nil {
		s.AuditStalled = h.audit.Stalled().Seconds()
	}
	s.Reloads = ReloadStatus{Applied: h.reloads.accepted.Load(), Refused: h.reloads.refused.Load()}
	if last := h.reloads.last.Load(); last != 0 {
		s.Reloads.Last = time.Unix(0, last)
	}
	s.Reloads.PolicyRefused = slices.ContainsFunc(s.Refusals, func(r Refusal) bool { return r.Path == h.cfg.PolicyFile })
	h.mu.Lock()
	defer h.mu.Unlock()
	s.Connections, s.Unauthenticated, s.Draining = len(h.conns), h.strangers.Len(), h.draining
	return s
}

// process is a backend that knows its process.
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
		if id == slices.Min(p.pin.Objects) { // one that serves several is one process
			add(string(p.pin.ID), p.pin.ID.Tenant(), KindPlugin, p.backend)
		}
	}
	slices.SortFunc(out, func(a, b WorkerStatus) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	return out
}

// Usage returns what every tenant has spent, or one of them; CodeNotFound if the host
// never served that one.
func (h *Host) Usage(of object.Tenant) (*usage.Usage, error) { return h.ledger.Usage(of) }
