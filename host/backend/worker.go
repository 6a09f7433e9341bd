package backend

import (
	"context"
	"maps"
	"slices"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/hostcall"
	"github.com/hearthhost/hearth/sandbox/script"
	"github.com/hearthhost/hearth/sandbox/supervise"
	"github.com/hearthhost/hearth/service/objectcall"
)

// Worker is a backend that runs a tenant's scripts in one process, or in one process per object.
type Worker interface {
	object.Backend
	// Stage, Activate, Discard and Remove change the versions in service; see package supervise.
	Stage(ctx context.Context, v *script.Version) (*object.Description, error)
	Test(ctx context.Context, v *script.Version, tests script.Script) ([]script.TestResult, error)
	Activate(all ...*script.Version)
	Discard(v *script.Version)
	Remove(ids ...object.ID)
	SetSecrets(s *supervise.Secrets)
	// Withdraw cancels the queued calls for which refuse returns an error.
	Withdraw(refuse func(c *object.Call) error)
	// Retire waits until all calls and streams have ended, or ctx is done.
	Retire(ctx context.Context)
	Close(ctx context.Context) error
}

// NewWorker returns a tenant's worker. The first call starts its process.
func (m *Manager) NewWorker(
	name object.Tenant, settings *policy.TenantSettings, objects map[object.ID]*script.Version,
) Worker {
	cfg := supervise.Config{
		Tenant:   name,
		Argv:     m.cfg.Worker,
		Confine:  Confinement(settings),
		Idle:     settings.Idle,
		Services: []hostcall.Service{objectcall.New(m.cfg.ObjectCall), m.cfg.Store},
		Log:      m.cfg.WorkerLog,
		Loop:     m.cfg.Loop,
		Pool:     m.cfg.Pool,
		Account:  &m.cfg.Usage.Tenant(name).Processes,
		Budget:   m.cfg.Shares.Tenant(name),
	}
	if !settings.PerObject {
		return supervise.New(cfg, slices.Collect(maps.Values(objects))...)
	}
	a := &perObjectWorkers{cfg: cfg}
	a.byID.Store(&map[object.ID]*supervise.Tenant{})
	for _, v := range objects {
		a.Activate(v)
	}
	return a
}
