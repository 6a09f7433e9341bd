package host

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hearthhost/hearth/host/admin"
	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/host/history"
	"github.com/hearthhost/hearth/host/observe"
	"github.com/hearthhost/hearth/host/stores"
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
		Web:            h.web,
		Usage:          &h.usage,
		Shares:         &h.shares,
		Audit:          h.audit,
		Tracer:         h.tracer,
		Store:          h.storeCounters(),
	}
}

// Reload scans all files and returns once every change is served or refused. It does not wait for files that keep
// changing. The host also applies changes automatically, within seconds. Reload returns the cause of ctx if ctx is done
// first; a host that does not serve never completes it.
func (h *Host) Reload(ctx context.Context) error { return h.reload.Reload(ctx) }

// Refusals returns the files whose current content is not served.
func (h *Host) Refusals() []fault.Refusal { return h.current.Refusals().All }

// maxWarnings bounds the result of Warnings.
const maxWarnings = 1000

// Warnings returns the wrong annotations of the served scripts as notes, sorted by object.
func (h *Host) Warnings() []fault.Refusal {
	var all []fault.Refusal
	for id, about := range h.current.Snapshot().Routes.Scripts() {
		for _, text := range about.Warnings {
			all = append(all, fault.Refusal{ID: id, Err: text, Note: true})
		}
	}
	slices.SortStableFunc(all, func(a, b fault.Refusal) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return all[:min(len(all), maxWarnings)]
}

// History returns the known versions of a script's object, oldest first.
func (h *Host) History(ctx context.Context, id object.ID) ([]history.VersionInfo, error) {
	return h.reload.History(ctx, id)
}

// Rollback puts a version of an object back into service and returns the version's full name. version is a prefix of a
// name in History; "" is the version before the serving one. The rollback lasts until the object's file or one of its
// modules changes. A restart keeps it.
func (h *Host) Rollback(ctx context.Context, id object.ID, version string) (name string, err error) {
	return h.reload.Rollback(ctx, id, version)
}

// Stores returns the requests about the durable state.
func (h *Host) Stores() *stores.Stores {
	return stores.New(stores.Config{
		Engine: h.store,
		Dir:    h.storeDir(),
		Limits: h.storeLimits,
		Tenants: func() []object.Tenant {
			g := h.current.Load()
			return slices.Concat(g.Policy.Tenants, slices.Collect(maps.Keys(g.Backends.Tenants)))
		},
		Serves: func(id object.ID) bool { return h.current.Snapshot().Has(id) },
		Record: h.recordStore,
	})
}

// recordStore writes the audit record of an operator's request about durable state, and returns when it is written.
func (h *Host) recordStore(r stores.Record) error {
	if h.audit == nil {
		return nil
	}
	about := ""
	if r.Tenant != "" {
		about = "tenant " + string(r.Tenant) + ", "
	}
	if r.Detail != "" {
		about += r.Detail + ", "
	}
	detail := about + "by uid " + strconv.FormatUint(uint64(r.Operator.UID), 10)
	return h.audit.Note("store", "object", string(r.Object), "method", r.Op, "detail", detail)
}

// record writes an event of an object into the audit log. It does not wait for the disk: the
// log keeps the order, so later decisions come after the event.
func (h *Host) record(event string, id object.ID, detail string) {
	if h.audit != nil {
		h.audit.PostNote(event, "object", string(id), "detail", detail)
	}
}
