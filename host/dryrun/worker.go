package dryrun

import (
	"context"
	"log/slog"
	"slices"

	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/confine/layer"
	"github.com/hearthhost/hearth/sandbox/hostcall"
	"github.com/hearthhost/hearth/sandbox/supervise"
	"github.com/hearthhost/hearth/service/objectcall"
)

// scratchWorker returns a worker that loads and tests a tenant's scripts and serves no calls. It runs as this process's
// user, cannot call other objects, and discards its log.
func scratchWorker(cfg Config, name object.Tenant, settings *policy.TenantSettings) *supervise.Tenant {
	confinement := backend.Confinement(settings)
	confinement.UID, confinement.GID = 0, 0
	confinement.AllowMissing = append(slices.Clone(confinement.AllowMissing), layer.UID, layer.Cgroup)
	noObjects := func(context.Context, object.ID, bool, *object.Call) (object.Reply, error) {
		return object.Reply{}, dispatch.ErrUnknown
	}
	return supervise.New(supervise.Config{
		Tenant:   name,
		Argv:     cfg.Worker,
		Confine:  confinement,
		Log:      slog.New(slog.DiscardHandler),
		Services: []hostcall.Service{objectcall.New(noObjects)},
	})
}
