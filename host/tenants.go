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

// workerBackend is what a tenant's scripts run in: one process, or one an object.
type workerBackend interface {
	object.Backend
	// Stage, Activate, Discard and Remove change what it runs; see package supervise.
	Stage(ctx context.Context, v *supervise.Version) (*object.Description, error)
	Test(ctx context.Context, v *supervise.Version, tests supervise.Script) ([]supervise.TestResult, error)
	Activate(all ...*supervise.Version)
	Discard(v *supervise.Version)
	Remove(ids ...object.ID)
	SetSecrets(s *supervise.Secrets)
	// Withdraw takes back the calls that have not begun and that refuse refuses.
	Withdraw(refuse func(c *object.Call) error)
	// Retire waits until nothing is under way, or ctx is done.
	Retire(ctx context.Context)
	Close(ctx context.Context) error
}

// newWorker prepares a tenant's worker; it starts nothing.
func (h *Host) newWorker(name object.Tenant, settings *policy.TenantSettings, objects map[object.ID]*supervise.Version) workerBackend {
	cfg := supervise.Config{
		Tenant: name, Argv: h.cfg.Worker, Confine: Confinement(settings), Idle: settings.Idle,
		Services: []supervise.Service{supervise.ObjectCalls(h.dispatch.ObjectCall)}, Log: h.log,
		Pool: h.spares, Account: &h.ledger.Tenant(name).Processes, Budget: h.shares.Tenant(name),
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

// sameConfinement reports whether a worker of one settings is one of the other.
func sameConfinement(a, b *policy.TenantSettings) bool {
	return a.PerObject == b.PerObject && a.Idle == b.Idle && reflect.DeepEqual(Confinement(a), Confinement(b))
}

// Confinement is how the operating system confines a tenant's workers under a policy.
func Confinement(t *policy.TenantSettings) confine.Spec {
	return confine.Spec{UID: t.UID, GID: t.UID, MemoryBytes: t.MemoryBytes, Pids: t.Processes, CPUs: t.CPUs, AllowMissing: t.AllowMissing}
}

// checkTenants refuses what can be told beforehand not to be possible.
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

// checkUsers refuses tenants whose user this process cannot give them.
func checkUsers(p *policy.Policy) error {
	if os.Geteuid() == 0 || runtime.GOOS != "linux" {
		return nil
	}
	var errs []error
	for _, name := range p.Tenants {
		if t := p.Tenant(name); t.UID != 0 && !slices.Contains(t.AllowMissing, confine.UID) {
			errs = append(errs, fmt.Errorf(`tenant %q wants uid %d: only a host that is root can give it; run the host as root, or write allow_missing = ["uid"]`, name, t.UID))
		}
	}
	return errors.Join(errs...)
}

// perObjectWorkers is the workers of a tenant each of whose objects has one of its own. Streams have
// numbers that no two processes share, so each finds its own.
type perObjectWorkers struct {
	cfg      supervise.Config
	byID     atomic.Pointer[map[object.ID]*supervise.Tenant] // a map is not modified
	mu       sync.Mutex                                      // held to put another map there; guards what follows
	secrets  *supervise.Secrets
	retiring sync.WaitGroup // workers of objects that are no more
	closed   bool
}

// get returns the worker of an object, making one if there is none.
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

// drop ends the worker of an object that is no more, once it has answered.
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

// Stage, Activate, Discard and Remove are those of the object's own worker.
func (a *perObjectWorkers) Stage(ctx context.Context, v *supervise.Version) (*object.Description, error) {
	d, err := a.get(v.ID).Stage(ctx, v)
	if err != nil {
		a.Discard(v)
	}
	return d, err
}

// Test runs tests in the object's own worker.
func (a *perObjectWorkers) Test(ctx context.Context, v *supervise.Version, tests supervise.Script) ([]supervise.TestResult, error) {
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

// SetSecrets hands all of them the tenant's secrets: each tells its process those of its
// object.
func (a *perObjectWorkers) SetSecrets(s *supervise.Secrets) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.secrets = s
	for _, t := range *a.byID.Load() {
		t.SetSecrets(s)
	}
}

// Withdraw implements worker.
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
