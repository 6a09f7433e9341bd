package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/confine"
	"github.com/hearthhost/hearth/sandbox/supervise"
)

// workerBackend runs a tenant's scripts in one process, or in one process per object.
type workerBackend interface {
	object.Backend
	// Stage, Activate, Discard and Remove change the versions in service; see package supervise.
	Stage(ctx context.Context, v *supervise.Version) (*object.Description, error)
	Test(ctx context.Context, v *supervise.Version, tests supervise.Script) ([]supervise.TestResult, error)
	Activate(all ...*supervise.Version)
	Discard(v *supervise.Version)
	Remove(ids ...object.ID)
	SetSecrets(s *supervise.Secrets)
	// Withdraw cancels the queued calls for which refuse returns an error.
	Withdraw(refuse func(c *object.Call) error)
	// Retire waits until all calls and streams have ended, or ctx is done.
	Retire(ctx context.Context)
	Close(ctx context.Context) error
}

// newWorker returns a tenant's worker. The first call starts its process.
func (h *Host) newWorker(
	name object.Tenant, settings *policy.TenantSettings, objects map[object.ID]*supervise.Version,
) workerBackend {
	cfg := supervise.Config{
		Tenant:   name,
		Argv:     h.cfg.Worker,
		Confine:  Confinement(settings),
		Idle:     settings.Idle,
		Services: []supervise.Service{supervise.ObjectCalls(h.dispatch.ObjectCall)},
		Log:      h.log,
		Pool:     h.pool,
		Account:  &h.usage.Tenant(name).Processes,
		Budget:   h.shares.Tenant(name),
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

// sameConfinement reports whether one worker can serve under both settings.
func sameConfinement(a, b *policy.TenantSettings) bool {
	return a.PerObject == b.PerObject && a.Idle == b.Idle && reflect.DeepEqual(Confinement(a), Confinement(b))
}

// Confinement returns the operating system's confinement of a tenant's workers.
func Confinement(t *policy.TenantSettings) confine.Spec {
	return confine.Spec{
		UID:          t.UID,
		GID:          t.UID,
		MemoryBytes:  t.MemoryBytes,
		Pids:         t.Processes,
		CPUs:         t.CPUs,
		AllowMissing: t.AllowMissing,
	}
}

// checkTenants rejects settings that no confinement can apply, before any process starts.
func checkTenants(p *policy.Policy) error {
	var errs []error
	for _, name := range p.Tenants {
		t := p.Tenant(name)
		spec := Confinement(&t)
		if err := spec.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("tenant %q: %w", name, err))
		}
	}
	return errors.Join(append(errs, checkPlugins(p)...)...)
}

// checkUsers rejects tenants with a uid that this process cannot switch to.
func checkUsers(p *policy.Policy) error {
	if os.Geteuid() == 0 || runtime.GOOS != "linux" {
		return nil
	}
	var errs []error
	for _, name := range p.Tenants {
		if t := p.Tenant(name); t.UID != 0 && !slices.Contains(t.AllowMissing, confine.UID) {
			errs = append(errs, fmt.Errorf(`tenant %q has uid %d: only a host that runs as root can switch to it; `+
				`run the host as root, or write allow_missing = ["uid"]`, name, t.UID))
		}
	}
	return errors.Join(errs...)
}

// perObjectWorkers runs each object of a tenant in a separate worker. Stream numbers are
// unique over all processes, so a worker ignores the streams of the others.
type perObjectWorkers struct {
	cfg      supervise.Config
	byID     atomic.Pointer[map[object.ID]*supervise.Tenant] // never modified, only replaced
	mu       sync.Mutex                                      // held to replace the map; guards the fields below
	secrets  *supervise.Secrets
	retiring sync.WaitGroup // workers of removed objects
	closed   bool
}

// get returns the worker of an object, and creates it on first use.
func (a *perObjectWorkers) get(id object.ID) *supervise.Tenant {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := (*a.byID.Load())[id]; t != nil {
		return t
	}
	cfg := a.cfg
	if cfg.Log != nil {
		cfg.Log = cfg.Log.With("worker", string(id))
	}
	t := supervise.New(cfg)
	if a.secrets != nil {
		t.SetSecrets(a.secrets)
	}
	all := maps.Clone(*a.byID.Load())
	all[id] = t
	a.byID.Store(&all)
	return t
}

// drop ends the worker of a removed object after its running calls.
func (a *perObjectWorkers) drop(id object.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := (*a.byID.Load())[id]
	if t == nil || a.closed {
		return
	}
	all := maps.Clone(*a.byID.Load())
	delete(all, id)
	a.byID.Store(&all)
	a.retiring.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
		defer cancel()
		_ = t.Close(ctx)
	})
}

// Stage stages a version in the worker of its object. A failed version is discarded at once.
func (a *perObjectWorkers) Stage(ctx context.Context, v *supervise.Version) (*object.Description, error) {
	d, err := a.get(v.ID).Stage(ctx, v)
	if err != nil {
		a.Discard(v)
	}
	return d, err
}

// Test runs tests in the worker of the object.
func (a *perObjectWorkers) Test(
	ctx context.Context, v *supervise.Version, tests supervise.Script,
) ([]supervise.TestResult, error) {
	return a.get(v.ID).Test(ctx, v, tests)
}

func (a *perObjectWorkers) Activate(all ...*supervise.Version) {
	for _, v := range all {
		a.get(v.ID).Activate(v)
	}
}

func (a *perObjectWorkers) Discard(v *supervise.Version) {
	t := a.get(v.ID)
	t.Discard(v)
	if !t.Has(v.ID) {
		a.drop(v.ID)
	}
}

func (a *perObjectWorkers) Remove(ids ...object.ID) {
	for _, id := range ids {
		a.get(id).Remove(id)
		a.drop(id)
	}
}

func (a *perObjectWorkers) Describe(ctx context.Context, id object.ID) (*object.Description, error) {
	if t := (*a.byID.Load())[id]; t != nil {
		return t.Describe(ctx, id)
	}
	return nil, dispatch.ErrUnknown
}

func (a *perObjectWorkers) Invoke(ctx context.Context, c *object.Call) (object.Reply, error) {
	if t := (*a.byID.Load())[c.ID]; t != nil {
		return t.Invoke(ctx, c)
	}
	return object.Reply{}, dispatch.ErrUnknown
}

func (a *perObjectWorkers) Next(ctx context.Context, c *object.Call, stream uint64) (object.Reply, bool, error) {
	if t := (*a.byID.Load())[c.ID]; t != nil {
		return t.Next(ctx, c, stream)
	}
	return object.Reply{}, false, object.ErrStreamGone
}

func (a *perObjectWorkers) CloseStream(stream uint64) {
	for _, t := range *a.byID.Load() {
		t.CloseStream(stream)
	}
}

func (a *perObjectWorkers) EndConn(conn uint64) {
	for _, t := range *a.byID.Load() {
		t.EndConn(conn)
	}
}

// SetSecrets gives the tenant's secrets to all workers. A worker sends its process only those of its object.
func (a *perObjectWorkers) SetSecrets(s *supervise.Secrets) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.secrets = s
	for _, t := range *a.byID.Load() {
		t.SetSecrets(s)
	}
}

// Withdraw implements workerBackend.
func (a *perObjectWorkers) Withdraw(refuse func(c *object.Call) error) {
	for _, t := range *a.byID.Load() {
		t.Withdraw(refuse)
	}
}

func (a *perObjectWorkers) Retire(ctx context.Context) {
	var wg sync.WaitGroup
	for _, t := range *a.byID.Load() {
		wg.Go(func() { t.Retire(ctx) })
	}
	wg.Wait()
}

func (a *perObjectWorkers) Close(ctx context.Context) error {
	a.mu.Lock()
	a.closed = true
	all := *a.byID.Load()
	a.mu.Unlock()
	var wg sync.WaitGroup
	errs := make(chan error, len(all))
	for _, t := range all {
		wg.Go(func() { errs <- t.Close(ctx) })
	}
	wg.Wait()
	a.retiring.Wait()
	close(errs)
	var joined []error
	for err := range errs {
		joined = append(joined, err)
	}
	return errors.Join(joined...)
}
