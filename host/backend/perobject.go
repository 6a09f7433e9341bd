package backend

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/script"
	"github.com/hearthhost/hearth/sandbox/supervise"
)

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

// get returns the worker of an object, and creates it on first use. After Close it returns ErrRetired: a worker that is
// created then would never be closed.
func (a *perObjectWorkers) get(id object.ID) (*supervise.Tenant, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, object.ErrRetired
	}
	if t := (*a.byID.Load())[id]; t != nil {
		return t, nil
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
	return t, nil
}

// Start implements [object.Starter] for an object whose worker exists.
func (a *perObjectWorkers) Start(
	c *object.Call, later func(func()), done func(on any, r object.Reply, err error),
) bool {
	t := a.serving(c.ID)
	return t != nil && t.Start(c, later, done)
}

// Cancel implements [object.Starter].
func (a *perObjectWorkers) Cancel(c *object.Call, cause error) {
	if t := a.serving(c.ID); t != nil {
		t.Cancel(c, cause)
	}
}

// serving returns the worker of an object, nil if it has none. id may have a key.
func (a *perObjectWorkers) serving(id object.ID) *supervise.Tenant {
	all := *a.byID.Load()
	if t := all[id]; t != nil {
		return t
	}
	return all[id.Family()]
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
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		_ = t.Close(ctx)
	})
}

// Stage stages a version in the worker of its object. A failed version is discarded at once.
func (a *perObjectWorkers) Stage(ctx context.Context, v *script.Version) (*object.Description, error) {
	t, err := a.get(v.ID)
	if err != nil {
		return nil, err
	}
	d, err := t.Stage(ctx, v)
	if err != nil {
		a.Discard(v)
	}
	return d, err
}

// Test runs tests in the worker of the object.
func (a *perObjectWorkers) Test(
	ctx context.Context, v *script.Version, tests script.Script,
) ([]script.TestResult, error) {
	t, err := a.get(v.ID)
	if err != nil {
		return nil, err
	}
	return t.Test(ctx, v, tests)
}

func (a *perObjectWorkers) Activate(all ...*script.Version) {
	for _, v := range all {
		if t, err := a.get(v.ID); err == nil {
			t.Activate(v)
		}
	}
}

func (a *perObjectWorkers) Discard(v *script.Version) {
	t := (*a.byID.Load())[v.ID]
	if t == nil {
		return
	}
	t.Discard(v)
	if !t.Has(v.ID) {
		a.drop(v.ID)
	}
}

func (a *perObjectWorkers) Remove(ids ...object.ID) {
	for _, id := range ids {
		if t := (*a.byID.Load())[id]; t != nil {
			t.Remove(id)
			a.drop(id)
		}
	}
}

func (a *perObjectWorkers) Describe(ctx context.Context, id object.ID) (*object.Description, error) {
	if t := a.serving(id); t != nil {
		return t.Describe(ctx, id)
	}
	return nil, dispatch.ErrUnknown
}

func (a *perObjectWorkers) Invoke(ctx context.Context, c *object.Call) (object.Reply, error) {
	if t := a.serving(c.ID); t != nil {
		return t.Invoke(ctx, c)
	}
	return object.Reply{}, dispatch.ErrUnknown
}

func (a *perObjectWorkers) Next(ctx context.Context, c *object.Call, stream uint64) (object.Reply, bool, error) {
	if t := a.serving(c.ID); t != nil {
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

// Withdraw implements [Worker].
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
