package backend

import (
	"context"
	"maps"
	"reflect"
	"sync"

	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/host/route"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/script"
)

// Tenant is the worker of a tenant, with its settings and the versions in service. Do not modify it: it belongs to a
// generation.
type Tenant struct {
	Worker   Worker
	Settings policy.TenantSettings
	Objects  map[object.ID]*script.Version
	Libs     *script.Libs // the last reading; a version may have an older one
}

// Clone returns a copy whose fields and objects can be modified.
func (t *Tenant) Clone() *Tenant {
	out := *t
	out.Objects = maps.Clone(t.Objects)
	return &out
}

// Fits reports whether the tenant's worker can serve under other settings. If not, the tenant needs a new worker.
func (t *Tenant) Fits(settings *policy.TenantSettings) bool {
	was := &t.Settings
	return was.PerObject == settings.PerObject && was.Idle == settings.Idle &&
		reflect.DeepEqual(Confinement(was), Confinement(settings))
}

// Set has the workers and plugins of one generation.
type Set struct {
	Tenants map[object.Tenant]*Tenant
	Plugins map[object.ID]*Plugin // by the objects that they serve
}

// Clone returns a copy whose maps can be modified.
func (s Set) Clone() Set { return Set{Tenants: maps.Clone(s.Tenants), Plugins: maps.Clone(s.Plugins)} }

// Has reports whether a worker or a plugin serves an object.
func (s Set) Has(id object.ID) bool {
	t := s.Tenants[id.Tenant()]
	return s.Plugins[id] != nil || t != nil && t.Objects[id] != nil
}

// Routes returns the routes of all objects.
func (s Set) Routes() map[object.ID]route.Route {
	n := len(s.Plugins)
	for _, t := range s.Tenants {
		n += len(t.Objects)
	}
	routes := make(map[object.ID]route.Route, n)
	for _, t := range s.Tenants {
		for id, v := range t.Objects {
			routes[id] = route.Route{
				Backend:   t.Worker,
				Mode:      v.Mode(),
				Keyed:     v.Keyed(),
				Script:    true,
				Described: v.Description,
			}
		}
	}
	for id, p := range s.Plugins {
		routes[id] = route.Route{Backend: p.Backend, Uncertain: true}
	}
	return routes
}

// SetSecrets gives each tenant's worker the secrets of its tenant. Plugins read secrets through [Config].Secrets.
func (s Set) SetSecrets(secrets *credential.Secrets) {
	for tenant, t := range s.Tenants {
		t.Worker.SetSecrets(secrets.ForTenant(tenant))
	}
}

// Close closes all workers and plugins, and waits until their processes have exited or ctx is done.
func (s Set) Close(ctx context.Context) {
	var wg sync.WaitGroup
	for _, t := range s.Tenants {
		wg.Go(func() { _ = t.Worker.Close(ctx) })
	}
	for _, p := range s.Plugins {
		wg.Go(func() { _ = p.Backend.Close(ctx) })
	}
	wg.Wait()
}
