package observe

import (
	"os"
	"slices"
	"time"

	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/fault"
)

// Status is the current state of a host.
type Status struct {
	Version   string    `json:"version"`
	PID       int       `json:"pid"`
	Since     time.Time `json:"since"`
	Addresses []string  `json:"addresses"`         // as Host.Addrs returns them
	Metrics   string    `json:"metrics,omitempty"` // host:port of the loopback listener, if there is one
	Draining  bool      `json:"draining"`

	Tenants     int `json:"tenants"`
	Objects     int `json:"objects"`
	Connections int `json:"connections"`
	HTTP        int `json:"http_connections"` // of HTTP clients; part of Connections
	// Unauthenticated counts connections before the end of their handshake, or before the first accepted request of an
	// HTTP client. It is part of Connections.
	Unauthenticated int `json:"unauthenticated"`
	Streams         int `json:"streams"`

	// AuditStalled is the age in seconds of an unfinished write of the audit log; 0 unless the disk hangs.
	AuditStalled float64 `json:"audit_stalled_seconds,omitempty"`

	Reloads  ReloadStatus           `json:"reloads"`
	Workers  []backend.WorkerStatus `json:"workers"` // sorted by name
	Refusals []fault.Refusal        `json:"refusals"`
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

// Status returns the state of the host.
func (o *Source) Status() *Status {
	s := &Status{
		Version:   o.Version,
		PID:       os.Getpid(),
		Since:     o.Usage.Since,
		Addresses: o.Addresses,
		Metrics:   o.MetricsAddress,
		Draining:  o.Gateway.IsDraining(),
		Tenants:   len(o.Backends.Tenants),
		Objects:   len(o.Snapshot.IDs),
		Streams:   o.Dispatcher.Streams(),
		Reloads:   o.Reloads,
		Workers:   o.Backends.Statuses(),
		Refusals:  o.Refusals,
	}
	if o.Audit != nil {
		s.AuditStalled = o.Audit.Stalled().Seconds()
	}
	s.Reloads.PolicyRefused = slices.ContainsFunc(s.Refusals, func(r fault.Refusal) bool {
		return r.Path == o.PolicyFile
	})
	s.Connections, s.Unauthenticated, _ = o.Gateway.Connections()
	http, unauthenticated := o.Web.Connections()
	s.HTTP = http
	s.Connections += http
	s.Unauthenticated += unauthenticated
	return s
}
