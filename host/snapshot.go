package host

import (
	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/host/route"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/object"
)

// generation is the state of one reload: the snapshot on which calls depend, and the backends of its routes.
type generation struct {
	snapshot.Snapshot
	secrets  *credential.Secrets
	Backends backend.Set
	starting bool // the first one, which is empty: versions are not staged
}

// index sets the routes. Listings of the generation before are kept if they still hold.
func (g *generation) index(before *generation, builtin map[object.ID]route.Route) {
	g.SetRoutes(g.Backends.Routes(), builtin, before.Listed)
}

// snapshot returns the snapshot in force.
func (h *Host) snapshot() *snapshot.Snapshot { return &h.snap.Load().Snapshot }
