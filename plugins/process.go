package plugins

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	plugrunner "github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/binary"
	"github.com/hearthhost/hearth/plugins/launch"
	"github.com/hearthhost/hearth/plugins/rpc"
)

// process is a running plugin process.
type process struct {
	p           *Plugin
	client      *goplugin.Client
	run         *launch.Runner
	host        *hostServer // service for the plugin's requests
	conn        *grpc.ClientConn
	rpc         rpc.PluginClient
	answers     receiveSlots
	health      grpc_health_v1.HealthClient
	objects     map[object.ID]*object.Description
	supports    supports
	serial      uint64 // number of the process, unique within the host
	started     time.Time
	retired     chan struct{} // closed when the process takes no more calls
	gone        chan struct{} // closed when all its resources are released
	objectCalls chan struct{} // slots of its calls to other objects
	storeOps    chan struct{} // slots of its operations on objects' state

	mu       sync.Mutex // guards the fields below
	calls    map[uint64]*running
	settled  map[object.ID]bool // objects whose state no earlier process writes any more
	last     uint64
	streams  map[uint64]bool
	used     time.Time
	answered time.Time // time of the last answer to a call
	overdue  int       // consecutive calls without an answer, while no other call was answered
}

var serials atomic.Uint64

// Bounds on a plugin.
const (
	maxObjectCalls = 256              // running calls to other objects
	maxObjects     = 1000             // objects in its description
	maxMembers     = 1000             // members of an object
	maxOverdue     = 3                // consecutive calls without an answer, after which it is ended
	healthEvery    = 10 * time.Second // interval of health and idle checks
	healthTimeout  = 5 * time.Second
)

// start starts a process and reads its description.
func start(ctx context.Context, p *Plugin) (*process, error) {
	if err := p.cfg.checkSocketPath(); err != nil {
		return nil, err
	}
	if p.cfg.SHA256 == "" && !p.cfg.Unpinned {
		return nil, binary.Errorf(binary.CausePin, "no SHA-256 is pinned for %s", p.cfg.Path)
	}
	img, err := binary.Load(p.cfg.Path, p.cfg.SHA256)
	if err != nil {
		return nil, err
	}
	defer img.File.Close()
	if p.cfg.SHA256 == "" {
		p.cfg.Log.Warn("plugin is unpinned: any user who can write its file controls the plugin",
			"object", string(p.cfg.ID), "sha256", img.Sum)
	}
	if p.cfg.Unconfined {
		p.cfg.Log.Warn("plugin is unconfined: it has all rights of the host's user", "object", string(p.cfg.ID))
	}
	pr := newProcess(p)
	out := launch.NewOutput(p.cfg.Log, p.cfg.ID, p.cfg.Account, p.cfg.Redact)
	pr.host = &hostServer{service: &callbacks{pr: pr, out: out}, budget: p.cfg.Budget}
	a := &adapter{host: pr.host}
	a.client = clientConfig(&p.cfg, a, out)
	a.client.RunnerFunc = func(_ hclog.Logger, cmd *exec.Cmd, dir string) (plugrunner.Runner, error) {
		pr.run = launch.New(launch.Config{
			ID:         p.cfg.ID,
			Path:       p.cfg.Path,
			Shim:       p.cfg.Shim,
			Confine:    p.cfg.Confine,
			Unconfined: p.cfg.Unconfined,
			Account:    p.cfg.Account,
		}, img, out, cmd.Env, dir)
		context.AfterFunc(ctx, func() { pr.run.Fail(errClosed) })
		return pr.run, nil
	}
	pr.client = goplugin.NewClient(a.client)
	if err := pr.connect(ctx, a); err != nil {
		pr.end() // explain reads how the process ended
		return nil, pr.explain(err, out)
	}
	go pr.watch() //nolint:gosec // the process outlives the call that started it
	p.cfg.Log.Info("plugin started", "object", string(p.cfg.ID), "pid", pr.run.PID())
	return pr, nil
}

// checkSocketPath returns an error if the paths of the plugin's sockets would be too long.
func (cfg *Config) checkSocketPath() error {
	const maxPath = 107 // bytes of a Unix socket's path
	n := len(cfg.Dir) + len("/plugin-dir1234567890/plugin1234567890")
	if n <= maxPath {
		return nil
	}
	return binary.Errorf(binary.CauseSocket,
		"sockets in %s would have paths of %d bytes, at most %d are possible: name a shorter folder with "+
			"state = \"…\"", cfg.Dir, n, maxPath)
}

// newProcess returns a process that is not started.
func newProcess(p *Plugin) *process {
	return &process{
		p:           p,
		serial:      serials.Add(1) & (1<<24 - 1),
		started:     time.Now(),
		used:        time.Now(),
		retired:     make(chan struct{}),
		gone:        make(chan struct{}),
		answers:     newReceiveSlots(),
		objectCalls: make(chan struct{}, maxObjectCalls),
		storeOps:    make(chan struct{}, maxStoreOps),
		calls:       map[uint64]*running{},
		settled:     map[object.ID]bool{},
		streams:     map[uint64]bool{},
	}
}

// clientConfig returns the configuration of go-plugin, without its runner.
func clientConfig(cfg *Config, a *adapter, out *launch.Output) *goplugin.ClientConfig {
	sockets := &goplugin.UnixSocketConfig{TempDir: cfg.Dir}
	if gid, other := cfg.Confine.Group(); other && !cfg.Unconfined {
		sockets.Group = strconv.FormatUint(uint64(gid), 10) // gives the plugin access to the host's socket
	}
	return &goplugin.ClientConfig{
		HandshakeConfig: goplugin.HandshakeConfig{
			ProtocolVersion:  rpc.Version,
			MagicCookieKey:   rpc.CookieKey,
			MagicCookieValue: rpc.CookieValue,
		},
		Plugins:          goplugin.PluginSet{rpc.Name: a},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     launch.StartTimeout,
		Logger:           hclog.NewNullLogger(),
		SyncStdout:       out.Writer("stdout"),
		SyncStderr:       out.Writer("stderr"),
		UnixSocketConfig: sockets,
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithMaxHeaderListSize(maxHeaderBytes),
			grpc.WithInitialWindowSize(answerWindow),
			grpc.WithInitialConnWindowSize(answerWindow),
			grpc.WithDefaultCallOptions(
				grpc.MaxCallRecvMsgSize(rpc.MaxMessageBytes),
				grpc.MaxCallSendMsgSize(rpc.MaxMessageBytes),
			),
		},
	}
}

// connect makes the handshake and reads the plugin's description.
func (pr *process) connect(ctx context.Context, a *adapter) error {
	if _, err := pr.client.Start(); err != nil {
		return err
	}
	proto, err := pr.client.Client()
	if err != nil {
		return err
	}
	raw, err := proto.Dispense(rpc.Name)
	if err != nil {
		return err
	}
	conn, _ := raw.(*grpc.ClientConn)
	pr.conn, pr.rpc, pr.health = conn, rpc.NewPluginClient(conn), grpc_health_v1.NewHealthClient(conn)
	ctx, cancel := context.WithTimeout(ctx, launch.StartTimeout)
	defer cancel()
	r, err := pr.rpc.Describe(ctx, &rpc.DescribeRequest{Id: string(pr.p.cfg.ID), Host: a.number})
	if err != nil {
		return binary.Errorf(binary.CauseDescribe, "%v", err)
	}
	return pr.describe(r)
}

// explain returns the cause of a failed start. The end of the process is more specific than the connection error.
func (pr *process) explain(err error, out *launch.Output) error {
	var named *binary.StartError
	if pr.run == nil || pr.run.PID() == 0 { // no process was started, and err is the reason
		return err
	}
	if cause := pr.run.Cause(); errors.As(cause, &named) {
		return named
	}
	if errors.As(err, &named) {
		return named
	}
	if strings.Contains(err.Error(), "timeout") {
		return binary.Errorf(binary.CauseTimeout, "nothing within %s; %s", launch.StartTimeout, out.Tail())
	}
	return binary.Errorf(binary.CauseCrash, "%v; %s", pr.run.Exit(), out.Tail())
}

// watch ends an unhealthy or idle process. It returns when the process has ended.
func (pr *process) watch() {
	tick := time.NewTicker(min(healthEvery, pr.p.cfg.Idle))
	defer tick.Stop()
	for {
		select {
		case <-pr.run.Done():
			cause := pr.run.Cause()
			if cause == nil {
				cause = fmt.Errorf("it ended unexpectedly: %w", pr.run.Exit())
			}
			pr.p.exited(pr, cause)
			close(pr.retired)
			pr.end()
			close(pr.gone)
			return
		case <-tick.C:
			if pr.idle() {
				if pr.p.retire(pr) {
					go pr.stop(errIdle)
				}
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
			_, err := pr.health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: goplugin.GRPCServiceName})
			cancel()
			if err != nil {
				pr.run.Fail(fmt.Errorf("it did not answer a health check: %w", err))
			}
		}
	}
}

// errClosed is the cause of ending a plugin that the host no longer needs.
var errClosed = errors.New("the host stops")

// errIdle is the cause of ending an idle plugin.
var errIdle = errors.New("idle")

// idle reports whether the plugin may be stopped: it has no calls, no streams and no state for clients.
func (pr *process) idle() bool {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if len(pr.calls) > 0 || len(pr.streams) > 0 || time.Since(pr.used) < pr.p.cfg.Idle {
		return false
	}
	for _, d := range pr.objects {
		if d.Instance != object.PerCall {
			return false
		}
	}
	return true
}

// stop ends the process, by force after launch.StopTimeout.
func (pr *process) stop(cause error) {
	pr.run.SetCause(cause)
	pr.end()
}

// end releases connection, process and sockets. It may be called in any state.
func (pr *process) end() {
	late := time.AfterFunc(launch.StopTimeout, func() {
		if pr.run != nil {
			_ = pr.run.Kill(context.Background())
		}
	})
	defer late.Stop()
	pr.client.Kill()
	pr.host.stop()
	if pr.run == nil {
		return
	}
	if pr.run.PID() != 0 {
		_ = pr.run.Kill(context.Background())
	}
	pr.run.Release()
}

// begin registers a call, unless too many calls are running.
func (pr *process) begin(c *object.Call) (uint64, *running, error) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if len(pr.calls) >= maxCalls {
		return 0, nil, object.Errorf(object.CodeExhausted,
			"limit exceeded: %d calls of the plugin under way; not executed, try again", maxCalls)
	}
	pr.last++
	under := &running{call: c}
	pr.calls[pr.last] = under
	return pr.last, under, nil
}

// lost handles a broken connection. It waits until the process takes no more calls, so that the next call gets a new
// process. A process that survives its connection is ended.
func (pr *process) lost(cause error) {
	late := time.AfterFunc(lostTimeout, func() { pr.run.Fail(fmt.Errorf("it lost its connection: %w", cause)) })
	defer late.Stop()
	<-pr.retired
}

// lostTimeout is the time a process may outlive its connection. Usually its end broke the connection.
const lostTimeout = time.Second

// finish removes a call that began at a given time. A plugin that leaves consecutive calls without an answer is ended,
// unless it answers other calls in that time: then calls wait for a busy object, whose state would be lost.
func (pr *process) finish(n uint64, began time.Time, err error) {
	pr.mu.Lock()
	delete(pr.calls, n)
	pr.used = time.Now()
	if object.CodeOf(err) != object.CodeDeadline {
		pr.answered, pr.overdue = pr.used, 0
	} else if began.After(pr.answered) {
		pr.overdue++
	}
	hung := pr.overdue >= maxOverdue
	pr.mu.Unlock()
	if hung {
		pr.run.Fail(fmt.Errorf("it left %d calls in a row without an answer", maxOverdue))
	}
}
