package host

import (
	"os"
	"slices"
	"time"

	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/usage"
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

	Reloads  ReloadStatus           `json:"reloads"`
	Workers  []backend.WorkerStatus `json:"workers"` // sorted by name
	Refusals []Refusal              `json:"refusals"`
}

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
		Workers:   h.snap.Load().Backends.Statuses(),
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

// Usage returns the usage of every tenant, or of one. The error is CodeNotFound if the host
// never served that tenant.
func (h *Host) Usage(of object.Tenant) (*usage.Usage, error) { return h.usage.Usage(of) }
