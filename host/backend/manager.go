// Package backend makes, holds and ends the backends of tenants: workers, which run scripts, and plugins.
//
// A [Manager] makes them and ends those that no route leads to. It starts no process: the first call of a backend
// does. A [Set] has the backends of one generation, with the settings and versions from which they were made, so that
// a reload can compare them with the policy and the files. [Worker] is the interface of a tenant's worker: one process
// for all objects (package supervise), or one process per object. [Confinement] and [PluginConfinement] translate the
// policy into isolation of the operating system.
//
// The package decides neither which objects exist nor when a backend is replaced: package reload does. It does not
// authorize calls: package dispatch does.
package backend

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/internal/loop"
	"github.com/hearthhost/hearth/plugins"
	"github.com/hearthhost/hearth/sandbox/hostcall"
	"github.com/hearthhost/hearth/sandbox/launch"
	"github.com/hearthhost/hearth/service/objectcall"
)

// Config configures a [Manager]. Only Shim, Pool and Log may be missing.
type Config struct {
	Worker     []string // command that starts a worker
	Shim       []string // command that becomes a plugin; required if there are plugins
	StateDir   string   // folder of the host's state; the sockets of plugins are below it
	ObjectCall objectcall.Caller
	Store      hostcall.Service           // durable state of scripts' objects
	Direct     plugins.Store              // durable state of plugins' objects
	Secrets    func() *credential.Secrets // returns the secrets in force
	Usage      *usage.Registry
	Shares     *admit.Shares
	Loop       *loop.Loop      // reads the links of workers; nil: goroutines do
	Pool       *launch.Pool    // prewarmed worker processes; nil: none
	Life       context.Context // ends when the host drains; retired backends close then
	WorkerLog  *slog.Logger    // of workers, must not wait for its output if Loop is set
	Log        *slog.Logger
}

// Manager makes the workers and plugins of a host, and ends those that no route leads to. It is safe for concurrent
// use.
type Manager struct {
	cfg      Config
	retiring sync.WaitGroup
}

// New returns a Manager. It starts no process.
func New(cfg Config) *Manager { return &Manager{cfg: cfg} }

// Retirer is a backend that can end after its last call.
type Retirer interface {
	Retire(ctx context.Context)
	Close(ctx context.Context) error
}

// Delays of a backend that ends.
const (
	drainDelay    = time.Second      // time in which a call may still reach a backend of the last generation
	lingerTimeout = time.Minute      // time for its open streams
	closeTimeout  = 10 * time.Second // time for its process to exit
)

// Retire ends a backend without a route in a new goroutine. The backend closes when it is idle, after lingerTimeout at
// most, or when [Config].Life is done.
func (m *Manager) Retire(backend Retirer) {
	m.retiring.Go(func() {
		ctx, cancel := context.WithTimeout(m.cfg.Life, lingerTimeout)
		defer cancel()
		select {
		case <-time.After(drainDelay):
			backend.Retire(ctx)
		case <-ctx.Done():
		}
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		_ = backend.Close(ending)
	})
}

// Wait waits until all retired backends are closed.
func (m *Manager) Wait() { m.retiring.Wait() }
