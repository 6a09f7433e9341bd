package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/confine"
	"github.com/hearthhost/hearth/sandbox/supervise"
)

// worker is what a tenant's scripts run in: one process, or one an object.
type worker interface {
	object.Backend
	Close(ctx context.Context) error
}

// newWorker prepares a tenant's worker; it starts nothing.
func (h *Host) newWorker(name object.Tenant, files *tenantFiles) worker {
	settings := h.cfg.Policy.Tenant(name)
	limits := map[object.ID]object.Limits{}
	for id := range files.objects {
		limits[id] = settings.Limits(id)
	}
	cfg := supervise.Config{
		Tenant: name, Argv: h.cfg.Worker, Objects: files.objects, Libs: files.libs, Limits: limits,
		Confine: Confinement(&settings), Idle: settings.Idle, Proxy: h.proxy, Log: h.log,
	}
	if !settings.PerObject {
		return supervise.New(cfg)
	}
	all := &apart{map[object.ID]*supervise.Tenant{}}
	for id, script := range files.objects {
		one := cfg
		one.Objects = map[object.ID]supervise.Script{id: script}
		one.Log = h.log.With("worker", string(id))
		all.of[id] = supervise.New(one)
	}
	return all
}

// Confinement is how the operating system confines a tenant's workers under a policy.
func Confinement(t *policy.TenantSettings) confine.Spec {
	return confine.Spec{UID: t.UID, GID: t.UID, MemoryBytes: t.MemoryBytes, Pids: t.Processes, CPUs: t.CPUs, Weaken: t.Weaken}
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
		if t.UID != 0 && os.Geteuid() != 0 && runtime.GOOS == "linux" && !slices.Contains(t.Weaken, confine.UID) {
			errs = append(errs, fmt.Errorf(`tenant %q wants uid %d: only a host that is root can give it; run the host as root, or write weaken = ["uid"]`, name, t.UID))
		}
	}
	return errors.Join(errs...)
}

// apart is the workers of a tenant each of whose objects has one of its own. Streams have
// numbers that no two processes share, so each finds its own.
type apart struct {
	of map[object.ID]*supervise.Tenant
}

func (a *apart) Describe(ctx context.Context, id object.ID) (*object.Description, error) {
	if t := a.of[id]; t != nil {
		return t.Describe(ctx, id)
	}
	return nil, errUnknown
}

func (a *apart) Invoke(ctx context.Context, c *object.Call) (object.Reply, error) {
	if t := a.of[c.ID]; t != nil {
		return t.Invoke(ctx, c)
	}
	return object.Reply{}, errUnknown
}

func (a *apart) Next(ctx context.Context, c *object.Call, stream uint64) (object.Reply, bool, error) {
	if t := a.of[c.ID]; t != nil {
		return t.Next(ctx, c, stream)
	}
	return object.Reply{}, false, object.ErrStreamGone
}

func (a *apart) CloseStream(stream uint64) {
	for _, t := range a.of {
		t.CloseStream(stream)
	}
}

func (a *apart) EndConn(conn uint64) {
	for _, t := range a.of {
		t.EndConn(conn)
	}
}

// SetSecrets hands all of them the tenant's secrets: each tells its process those of its
// object.
func (a *apart) SetSecrets(s *supervise.Secrets) {
	for _, t := range a.of {
		t.SetSecrets(s)
	}
}

func (a *apart) Close(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make(chan error, len(a.of))
	for _, t := range a.of {
		wg.Go(func() { errs <- t.Close(ctx) })
	}
	wg.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}
