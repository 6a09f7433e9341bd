package host

import (
	"github.com/hearthhost/hearth/host/admin"
	"github.com/hearthhost/hearth/host/observe"
	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// AdminSocket returns the path of the admin socket of a host under a policy.
func AdminSocket(p *policy.Policy) string { return admin.Socket(p) }

// Status returns the host's current state. It is safe for concurrent use.
func (h *Host) Status() *observe.Status { return h.source().Status() }

// Metrics returns the host's metrics in Prometheus' exposition format. It is safe for concurrent use.
func (h *Host) Metrics() []byte { return h.source().Metrics() }

// Usage returns the usage of every tenant, or of one. The error is CodeNotFound if the host never served that tenant.
func (h *Host) Usage(tenant object.Tenant) (*usage.Usage, error) { return h.usage.Usage(tenant) }

// source returns the parts of the host that are observed.
func (h *Host) source() *observe.Source {
	snap := h.current.Load()
	applied, refused, last := h.reload.Counts()
	return &observe.Source{
		Version:        h.cfg.Version,
		PolicyFile:     h.cfg.PolicyFile,
		Addresses:      h.Addrs(),
		MetricsAddress: h.admin.MetricsAddress(),
		Snapshot:       &snap.Snapshot,
		Backends:       snap.Backends,
		Refusals:       h.Refusals(),
		Reloads:        observe.ReloadStatus{Applied: applied, Refused: refused, Last: last},
		Dispatcher:     h.dispatch,
		Gateway:        h.pyro,
		Usage:          &h.usage,
		Shares:         &h.shares,
		Audit:          h.audit,
		Tracer:         h.tracer,
	}
}
