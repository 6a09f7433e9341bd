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

// worker is what a tenant's scripts run in: one process, or one an object.
type worker interface {
	object.Backend
	// Try, Use, Forget and Remove change what it runs; see package supervise.
	Try(ctx context.Context, v *supervise.Version) (*object.Description, error)
	Test(ctx context.Context, v *supervise.Version, tests supervise.Script) ([]supervise.TestResult, error)
	Use(all ...*supervise.Version)
	Forget(v *supervise.Version)
	Remove(ids ...object.ID)
	SetSecrets(s *supervise.Secrets)
	// Withdraw takes back the calls that have not begun and that refuse refuses.
	Withdraw(refuse func(c *object.Call) error)
	// Retire waits until nothing is under way, or ctx is done.
	Retire(ctx context.Context)
	Close(ctx context.Context) error
}

// newWorker prepares a tenant's worker; it starts nothing.
func (h *Host) newWorker(name object.Tenant, settings *policy.TenantSettings, objects map[object.ID]*supervise.Version) worker {
	cfg := supervise.Config{
		Tenant: name, Argv: h.cfg.Worker, Confine: Confinement(settings), Idle: settings.Idle,
		Services: []supervise.Service{supervise.ObjectCalls(h.dispatch.ObjectCall)}, Log: h.log,
		Pool: h.spares, Account: &h.ledger.Tenant(name).Processes, Budget: h.shares.Tenant(name),
	}
	if !settings.PerObject {
		return supervise.New(cfg, slices.Collect(maps.Values(objects))...)
	}
	a := &apart{cfg: cfg}
	a.of.Store(&map[object.ID]*supervise.Tenant{})
	for _, v := range objects {
		a.Use(v)
	}
	return a
}

// sameWalls reports whether a worker of one settings is one of the other.
func sameWalls(a, b *policy.TenantSettings) bool {
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

// apart is the workers of a tenant each of whose objects has one of its own. Streams have
// numbers that no two processes share, so each finds its own.
type apart struct {
	cfg     supervise.Config
	of      atomic.Pointer[map[object.ID]*supervise.Tenant] // a map is not modified
	mu      sync.Mutex                                      // held to put another map there; guards what follows
	secrets *supervise.Secrets
	leaving sync.WaitGroup // workers of objects that are no more
	closed  bool
}

// get returns the worker of an object, making one if there is none.
func (a *apart) get(id object.ID) *supervise.Tenant {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := (*a.of.Load())[id]; t != nil {
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
	all := maps.Clone(*a.of.Load())
	all[id] = t
	a.of.Store(&all)
	return t
}

// drop ends the worker of an object that is no more, once it has answered.
func (a *apart) drop(id object.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := (*a.of.Load())[id]
	if t == nil || a.closed {
		return
	}
	all := maps.Clone(*a.of.Load())
	delete(all, id)
	a.of.Store(&all)
	a.leaving.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
		defer cancel()
		_ = t.Close(ctx)
	})
}

// Try, Use, Forget and Remove are those of the object's own worker.
func (a *apart) Try(ctx context.Context, v *supervise.Version) (*object.Description, error) {
	d, err := a.get(v.ID).Try(ctx, v)
	if err != nil {
		a.Forget(v)
	}
	return d, err
}

// Test runs tests in the object's own worker.
func (a *apart) Test(ctx context.Context, v *supervise.Version, tests supervise.Script) ([]supervise.TestResult, error) {
	return a.get(v.ID).Test(ctx, v, tests)
}

func (a *apart) Use(all ...*supervise.Version) {
	for _, v := range all {
		a.get(v.ID).Use(v)
	}
}

func (a *apart) Forget(v *supervise.Version) {
	t := a.get(v.ID)
	t.Forget(v)
	if !t.Has(v.ID) {
		a.drop(v.ID)
	}
}

func (a *apart) Remove(ids ...object.ID) {
	for _, id := range ids {
		a.get(id).Remove(id)
		a.drop(id)
	}
}

func (a *apart) Describe(ctx context.Context, id object.ID) (*object.Description, error) {
	if t := (*a.of.Load())[id]; t != nil {
		return t.Describe(ctx, id)
	}
	return nil, dispatch.ErrUnknown
}

func (a *apart) Invoke(ctx context.Context, c *object.Call) (object.Reply, error) {
	if t := (*a.of.Load())[c.ID]; t != nil {
		return t.Invoke(ctx, c)
	}
	return object.Reply{}, dispatch.ErrUnknown
}

func (a *apart) Next(ctx context.Context, c *object.Call, stream uint64) (object.Reply, bool, error) {
	if t := (*a.of.Load())[c.ID]; t != nil {
		return t.Next(ctx, c, stream)
	}
	return object.Reply{}, false, object.ErrStreamGone
}

func (a *apart) CloseStream(stream uint64) {
	for _, t := range *a.of.Load() {
		t.CloseStream(stream)
	}
}

func (a *apart) EndConn(conn uint64) {
	for _, t := range *a.of.Load() {
		t.EndConn(conn)
	}
}

// SetSecrets hands all of them the tenant's secrets: each tells its process those of its
// object.
func (a *apart) SetSecrets(s *supervise.Secrets) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.secrets = s
	for _, t := range *a.of.Load() {
		t.SetSecrets(s)
	}
}

// Withdraw implements worker.
func (a *apart) Withdraw(refuse func(c *object.Call) error) {
	for _, t := range *a.of.Load() {
		t.Withdraw(refuse)
	}
}

func (a *apart) Retire(ctx context.Context) {
	var wg sync.WaitGroup
	for _, t := range *a.of.Load() {
		wg.Go(func() { t.Retire(ctx) })
	}
	wg.Wait()
}

func (a *apart) Close(ctx context.Context) error {
	a.mu.Lock()
	a.closed = true
	all := *a.of.Load()
	a.mu.Unlock()
	var wg sync.WaitGroup
	errs := make(chan error, len(all))
	for _, t := range all {
		wg.Go(func() { errs <- t.Close(ctx) })
	}
	wg.Wait()
	a.leaving.Wait()
	close(errs)
	var joined []error
	for err := range errs {
		joined = append(joined, err)
	}
	return errors.Join(joined...)
}
