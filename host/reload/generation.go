package reload

import (
	"log/slog"
	"sync/atomic"

	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// Generation is the state of one reload: the snapshot on which calls depend, and the backends of its routes. It is
// immutable once it is in force.
type Generation struct {
	snapshot.Snapshot
	Secrets  *credential.Secrets
	Backends backend.Set
}

// Current holds the generation in force. It is safe for concurrent use.
type Current struct {
	generation atomic.Pointer[Generation]
	refusals   atomic.Pointer[fault.Refusals]
}

// NewCurrent returns a first generation of a policy, with its keys and secrets and without objects.
func NewCurrent(p *policy.Policy, log *slog.Logger) (*Current, error) {
	credentials, err := credential.NewStore(p, nil, log)
	if err != nil {
		return nil, err
	}
	secrets, err := credential.NewSecrets(p, nil, log)
	if err != nil {
		return nil, err
	}
	c := new(Current)
	c.generation.Store(&Generation{
		Snapshot: snapshot.Snapshot{Policy: p, Credentials: credentials},
		Secrets:  secrets,
		Backends: backend.Set{
			Tenants: map[object.Tenant]*backend.Tenant{},
			Plugins: map[object.ID]*backend.Plugin{},
		},
	})
	c.refusals.Store(new(fault.Refusals))
	return c, nil
}

// Load returns the generation in force.
func (c *Current) Load() *Generation { return c.generation.Load() }

// Snapshot returns the snapshot in force.
func (c *Current) Snapshot() *snapshot.Snapshot { return &c.generation.Load().Snapshot }

// Secrets returns the secrets in force.
func (c *Current) Secrets() *credential.Secrets { return c.generation.Load().Secrets }

// Refusals returns the files that are not in force.
func (c *Current) Refusals() *fault.Refusals { return c.refusals.Load() }
