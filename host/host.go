// Package host composes the daemon: listeners and connections, dispatcher, backends, reload, audit log.
//
// Goroutines and their owners:
//
//	accept loop  one per listener; ends when the listener is closed; Serve waits
//	conn         one per connection; ends by the peer, a protocol error, or the drain. Its
//	             WaitGroup counts the goroutines of oneway calls
//	sweeper      one, which closes expired streams; ends with Serve's context
//	usage        one, which polls the memory of processes; ends with Serve's context
//	files        one, which rereads changed keys, certificates and secrets; ends with Serve's context
//	reloader     one, which makes the next generation, and one per tenant or plugin whose versions
//	             are staged; end with Serve's context
//	retiring     one per worker or plugin that is no longer served
//	admin        one per listener of the admin socket and of metrics; closed after the backends, so
//	             that an operator can watch a drain
//	prewarmed    one while worker processes are prewarmed; ends before the drain
//	backend      one per tenant, with its worker process, and one per plugin, with its process
//	tracer       one, if the policy has a trace block; ends after the calls
//	audit log    goroutines that sync the log, watch its disk and keep old records; closed last
//
// A call keeps the snapshot (policy, routes, credentials) with which it began. Package dispatch defines the order of
// a call's steps.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/gateway/pyro"
	"github.com/hearthhost/hearth/gateway/web"
	"github.com/hearthhost/hearth/host/admin"
	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/advice"
	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/builtin"
	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/host/reload"
	"github.com/hearthhost/hearth/host/route"
	"github.com/hearthhost/hearth/host/trace"
	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/internal/logqueue"
	"github.com/hearthhost/hearth/internal/loop"
	"github.com/hearthhost/hearth/internal/upgrade"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/launch"
	"github.com/hearthhost/hearth/service/store/sqlite"
	"github.com/hearthhost/hearth/service/storecall"
	"github.com/hearthhost/hearth/transport"
	"github.com/hearthhost/hearth/transport/signed"
)

// Config configures a host. Policy and Worker are required.
type Config struct {
	Policy  *policy.Policy
	Worker  []string     // the command that starts a worker
	Shim    []string     // the command that becomes a plugin; required if the policy has any
	Log     *slog.Logger // nil discards
	Version string       // for Pyro.Daemon.info
	// PolicyFile is the file of Policy, and Load rereads it after a change; "" and nil: the policy does not change.
	PolicyFile string
	Load       func() (*policy.Policy, error)
	Prewarm    int          // number of prewarmed worker processes, which wait for a tenant
	HTTP       web.Timeouts // of HTTP clients
	// Inherited holds open files of a service manager or of the host that this one replaces. The host owns them.
	Inherited upgrade.Handoff
}

// drainTimeout bounds the time for running calls when the host ends.
const drainTimeout = 10 * time.Second

// Host is the daemon. Make one with New, then Listen, then Serve.
type Host struct {
	cfg      Config
	log      *slog.Logger
	current  *reload.Current
	reload   *reload.Reloader
	life     context.Context // of connections and retired backends; ends when the host drains
	endLife  context.CancelFunc
	backends *backend.Manager
	dispatch *dispatch.Dispatcher
	builtin  map[object.ID]route.Route
	queue    admit.FairQueue
	shares   admit.Shares
	pool     *launch.Pool // nil: none
	usage    usage.Registry
	admin    *admin.Server
	tracer   *trace.Tracer      // nil: no tracing
	audit    *audit.Log         // nil: no audit log
	lock     *upgrade.StateLock // nil until Listen
	retired  chan retirement    // holds one
	store    *sqlite.Engine     // durable state of objects
	sharing  atomic.Bool        // another host process may own stores
	passage  *upgrade.Passage   // to the new host; nil outside an upgrade
	yielding context.CancelFunc // ends the handing over of stores; nil before Retire

	listeners []*transport.Listener
	inherited []string // names of listeners that use an inherited socket
	pyro      *pyro.Server
	web       *web.Server
	loops     []*loop.Loop
	parkers   []*pyro.Loop    // on the loops
	lines     *logqueue.Queue // log lines of workers; nil without loops
}

// New reads the catalogue and prepares a backend for each tenant; it starts nothing. The
// error joins everything that is wrong with the configuration.
func New(cfg Config) (*Host, error) {
	if cfg.Policy == nil || len(cfg.Worker) == 0 {
		return nil, errors.New("host: Policy and Worker are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	h := &Host{cfg: cfg, log: cfg.Log, retired: make(chan retirement, 1)}
	if cfg.Prewarm > 0 {
		h.pool = launch.NewPool(cfg.Worker, cfg.Prewarm, cfg.Log)
	}
	h.life, h.endLife = context.WithCancel(context.Background())
	h.queue.Init(admit.DefaultSlots())
	h.shares.Init(memoryBytes(), maxDescriptors())
	h.usage.Init()
	err := errors.Join(CheckPolicy(cfg.Policy), backend.CheckUsers(cfg.Policy))
	if err != nil {
		return nil, err
	}
	advice.Log(cfg.Policy, cfg.Log)
	if h.current, err = reload.NewCurrent(cfg.Policy, cfg.Log); err != nil {
		return nil, err
	}
	if len(cfg.Policy.Pins) > 0 && len(cfg.Shim) == 0 {
		return nil, errors.New("host: Shim is required where there are plugins")
	}
	if err := h.compose(); err != nil {
		return nil, err
	}
	return h, nil
}

// compose makes the parts of the host. Each part gets those that were made before it. The reloader is last: it puts the
// first generation in force.
func (h *Host) compose() (err error) {
	cfg := &h.cfg
	if err := h.startLoops(); err != nil {
		return err
	}
	if err := h.newStore(); err != nil {
		return err
	}
	h.dispatch = dispatch.New(dispatch.Config{
		Snapshot: h.current.Snapshot,
		Queue:    &h.queue,
		Usage:    &h.usage,
		Answers:  storecall.Answers(h.store),
		Log:      cfg.Log,
	})
	h.backends = backend.New(backend.Config{
		Worker:     cfg.Worker,
		Shim:       cfg.Shim,
		StateDir:   cfg.Policy.State,
		ObjectCall: h.dispatch.ObjectCall,
		Store:      storecall.New(h.store, h.storeLimits),
		Direct:     storecall.Direct(h.store, h.storeLimits),
		Secrets:    h.current.Secrets,
		Usage:      &h.usage,
		Shares:     &h.shares,
		Loop:       h.loop(),
		Pool:       h.pool,
		Life:       h.life,
		Log:        cfg.Log,
		WorkerLog:  h.workerLog(),
	})
	h.pyro = pyro.NewServer(h.pyroConfig())
	h.web = web.NewServer(web.Config{
		Dispatcher: h.dispatch,
		Snapshot:   h.current.Snapshot,
		Shares:     &h.shares,
		Usage:      &h.usage,
		Authenticator: &credential.Authenticator{
			Store: func() *credential.Store { return h.current.Load().Credentials },
			Log:   cfg.Log,
		},
		Secret: func(t object.Tenant, name string) (string, bool) {
			return h.current.Secrets().ForHost(t, name)
		},
		Version: cfg.Version,
		Log:     cfg.Log,
		Life:    h.life,

		Timeouts: cfg.HTTP,
	})
	h.builtin = builtin.Routes(builtin.Config{
		Dispatcher: h.dispatch,
		Snapshot:   h.current.Snapshot,
		Refusals:   h.current.Refusals,
		Listener:   h.listener,
		Version:    cfg.Version,
		Log:        cfg.Log,
	})
	h.admin = admin.New(admin.Config{Host: h, Policy: cfg.Policy, Log: cfg.Log})
	h.reload, err = reload.New(reload.Config{
		Current:    h.current,
		PolicyFile: cfg.PolicyFile,
		Load:       cfg.Load,
		Backends:   h.backends,
		Builtin:    h.builtin,
		Dispatcher: h.dispatch,
		Usage:      &h.usage,
		Shares:     &h.shares,
		CutRevoked: func(now time.Time) { h.pyro.CutRevoked(now); h.web.CutRevoked(now) },
		HandedOver: func() bool { return h.lock.HandedOver() },
		Record:     h.record,
		Log:        cfg.Log,
	})
	return err
}

// Listen opens every listener of the policy and the audit log. If one fails, the others
// are closed again.
func (h *Host) Listen(ctx context.Context) error {
	in := &h.cfg.Inherited
	err := h.listen(ctx)
	if err == nil {
		h.lock, err = upgrade.LockState(ctx, h.cfg.Policy.State, in.Lock)
	}
	if err == nil {
		err = upgrade.CheckRestore(h.cfg.Policy.State)
	}
	if err == nil {
		err = h.backends.MakeSockets(in.ParentPID)
	}
	if err == nil && in.ParentPID == 0 { // which has them still
		h.cleanStore()
		err = h.admin.Open(ctx)
	}
	if a := h.cfg.Policy.Audit; err == nil && a.Off {
		h.log.Warn("no audit log: the policy switches it off")
	} else if err == nil {
		h.audit, err = audit.Open(audit.Config{
			Path:    a.Path,
			Rotate:  a.Rotate,
			Keep:    a.Keep,
			Drop:    a.Drop,
			Permits: a.Permits,
			From:    in.Audit,
			Log:     h.log,
		})
		h.dispatch.SetAudit(h.audit)
	}
	if err != nil {
		h.closeListeners()
		h.admin.Close()
		h.lock.Release(false)
	}
	return err
}

func (h *Host) closeAudit() {
	if h.audit == nil {
		return
	}
	if err := h.audit.Close(); err != nil {
		h.log.Error("closing the audit log", "err", err)
	}
}

func (h *Host) listen(ctx context.Context) error {
	var listeners []upgrade.Listener
	for _, l := range h.cfg.Policy.Listeners {
		listeners = append(listeners, upgrade.Listener{Name: l.Name, Address: l.Address})
	}
	inherited, err := h.cfg.Inherited.Assign(listeners)
	if err != nil {
		return err
	}
	handshakes := transport.NewHandshakes()
	for _, l := range h.cfg.Policy.Listeners {
		cfg := transport.Config{Address: l.Address, Identify: l.ConnectionMethods(), Plain: l.Plain,
			Socket:     inherited[l.Name],
			Handshakes: handshakes, HTTP: l.HTTP != nil,
			Keys: func(id string) (signed.Key, bool) { return h.current.Load().Credentials.Key(id) }}
		if l.TLS != nil {
			cfg.TLS = func() *transport.ServerTLS { return h.current.Load().Credentials.TLS(l.Name) }
		}
		ln, err := transport.Listen(ctx, cfg)
		if err != nil {
			return &ListenError{Listener: l.Name, Address: l.Address, Err: err}
		}
		h.listeners = append(h.listeners, ln)
		if inherited[l.Name] != nil {
			h.inherited = append(h.inherited, l.Name)
		}
	}
	return nil
}

// ListenError is the error of a listener of the policy that cannot be opened.
type ListenError struct {
	Listener string // name
	Address  string // as the policy has it; paths are absolute
	Err      error
}

func (e *ListenError) Error() string { return fmt.Sprintf("listener %q: %v", e.Listener, e.Err) }

// Unwrap returns the cause.
func (e *ListenError) Unwrap() error { return e.Err }

// listener returns a listener by its name in the policy, as the built-in objects need it.
func (h *Host) listener(name string) builtin.Listener {
	if l := h.transportListener(name); l != nil {
		return l
	}
	return nil
}

// transportListener returns a listener by its name in the policy, nil for an unknown one.
func (h *Host) transportListener(name string) *transport.Listener {
	for i, l := range h.cfg.Policy.Listeners {
		if l.Name == name {
			return h.listeners[i]
		}
	}
	return nil
}

// Addrs returns the addresses that the host listens on, as "host:port" and "unix:path",
// in the order of the policy.
func (h *Host) Addrs() []string {
	var out []string
	for _, l := range h.listeners {
		out = append(out, l.Addr())
	}
	return out
}

// Objects returns the number of objects and tenants in the catalogue.
func (h *Host) Objects() (objects, tenants int) {
	s := h.current.Load()
	return len(s.IDs), len(s.Backends.Tenants)
}

func (h *Host) closeListeners() {
	for _, l := range h.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			h.log.Warn("closing a listener", "err", err)
		}
	}
}

// Serve answers until ctx is done or [Host.Retire] makes room for another host, then
// drains: it accepts no more, finishes the calls in flight, closes connections and workers,
// and returns nil.
func (h *Host) Serve(ctx context.Context) error {
	sweep, stopSweep := context.WithCancel(ctx)
	defer stopSweep()
	h.tracer = trace.New(h.cfg.Policy.Trace, h.cfg.Version, h.log)
	h.dispatch.SetTracer(h.tracer)
	if _, tenants := h.Objects(); tenants > 0 {
		h.pool.Fill()
	}
	go h.dispatch.SweepStreams(sweep)
	go h.usage.Watch(sweep)
	go h.reload.WatchCredentials(sweep)
	reloading := make(chan struct{})
	go func() { defer close(reloading); h.reload.Run(sweep) }()
	administered := make(chan struct{})
	go func() {
		defer close(administered)
		if h.cfg.Inherited.ParentPID == 0 || h.admin.OpenAfter(sweep) {
			h.admin.Serve()
		}
	}()
	for i, l := range h.listeners {
		if settings := &h.cfg.Policy.Listeners[i]; settings.HTTP != nil {
			h.web.Serve(l, settings)
		} else {
			h.pyro.Serve(l, settings.Name)
		}
	}
	if p := h.inheritPassage(); p != nil {
		defer p.Close()
		go h.takeConnections(p) // ends with the old host, or with Serve
	}
	select {
	case <-ctx.Done():
		h.pool.Close()
	case r := <-h.retired:
		defer r.passage.Close()
		h.pool.Close()
		<-administered
		h.admin.Close()
		h.retire(ctx, r)
	}
	h.log.Info("draining")
	stopSweep()
	<-reloading
	<-administered
	h.drain()
	return nil
}

// pyroConfig returns the configuration of the server of Pyro clients.
func (h *Host) pyroConfig() pyro.Config {
	return pyro.Config{
		Dispatcher: h.dispatch,
		Snapshot:   h.current.Snapshot,
		Queue:      &h.queue,
		Shares:     &h.shares,
		Usage:      &h.usage,
		Log:        h.log,
		Life:       h.life,
		Loops:      h.parkers,
	}
}

// drain ends everything in order: listeners, idle connections, calls, workers.
func (h *Host) drain() {
	h.closeListeners()
	h.endLife()
	h.pyro.Drain()
	h.web.Drain()
	done := h.gatewaysDone()
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	select {
	case <-done:
	case <-ctx.Done():
		h.log.Warn("calls still in flight after the drain deadline are cut off")
		h.pyro.Cut()
		h.web.Cut()
	}
	h.current.Load().Backends.Close(ctx)
	h.backends.Wait()
	h.awaitCut(done)
	h.admin.Close()
	h.tracer.Close()
	h.backends.RemoveSockets()
	h.closeStore()
	h.closeAudit()
	h.closeLoops()
	h.lock.Release(true)
}

// gatewaysDone returns a channel that is closed after the last connection of each gateway has ended.
func (h *Host) gatewaysDone() <-chan struct{} {
	done := make(chan struct{})
	go func() { // ends with the connections, which the host's drain waits for
		<-h.pyro.Done()
		<-h.web.Done()
		close(done)
	}()
	return done
}

// awaitCut waits for calls that were cut off. They end at once, except calls that wait for a hanging disk of the audit
// log.
func (h *Host) awaitCut(done <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			if h.audit != nil && h.audit.Stalled() > drainTimeout {
				h.log.Error("calls that wait for the audit log are left behind: its disk hangs")
				return
			}
		}
	}
}
