package host

import (
	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/host/route"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/supervise"
)

// generation is the state of one reload: the snapshot on which calls depend, and the backends of its routes.
type generation struct {
	snapshot.Snapshot
	secrets *credential.Secrets
	tenants map[object.Tenant]*tenantRuntime
	plugins map[object.ID]*pluginRuntime // by the objects that they serve

	starting bool // the first one, which is empty: versions are not staged
}

// tenantRuntime is the worker of a tenant, with its settings and the versions in service.
type tenantRuntime struct {
	worker   workerBackend
	settings policy.TenantSettings
	objects  map[object.ID]*supervise.Version
	libs     *supervise.Libs // the last reading; a version may have an older one
}

// has reports whether the generation has an object, before its routes are set.
func (g *generation) has(id object.ID) bool {
	t := g.tenants[id.Tenant()]
	return g.plugins[id] != nil || t != nil && t.objects[id] != nil
}

// index sets the routes. Listings of the generation before are kept if they still hold.
func (g *generation) index(before *generation, builtin map[object.ID]route.Route) {
	routes := make(map[object.ID]route.Route, len(before.IDs))
	for _, t := range g.tenants {
		for id := range t.objects {
			routes[id] = route.Route{Backend: t.worker}
		}
	}
	for id, p := range g.plugins {
		routes[id] = route.Route{Backend: p.backend, Uncertain: true}
	}
	g.SetRoutes(routes, builtin, before.Listed)
}

// snapshot returns the snapshot in force.
func (h *Host) snapshot() *snapshot.Snapshot { return &h.snap.Load().Snapshot }
