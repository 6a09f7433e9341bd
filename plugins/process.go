package plugins

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
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

// process is one live plugin.
type process struct {
	p       *Plugin
	client  *goplugin.Client
	run     *launch.Runner
	own     *hostServer // what the plugin calls
	conn    *grpc.ClientConn
	rpc     rpc.PluginClient
	answers intake
	health  grpc_health_v1.HealthClient
	objects map[object.ID]*object.Description
	serial  uint64 // tells this process from those before it
	started time.Time
	left    chan struct{} // closed when it takes no more calls
	gone    chan struct{} // closed when all of it is gone
	proxies chan struct{} // holds a slot for each call it makes

	mu       sync.Mutex // guards what follows
	calls    map[uint64]*object.Call
	last     uint64
	streams  map[uint64]bool
	used     time.Time
	answered time.Time // when a call was last answered
	overdue  int       // calls in a row without an answer, during which no other call was answered
}

var serials atomic.Uint64

// Bounds on a plugin.
const (
	maxProxies    = 256              // calls of other objects under way
	maxObjects    = 1000             // that it describes
	maxMembers    = 1000             // of one object
	maxOverdue    = 3                // calls in a row without an answer, before it is ended
	healthEvery   = 10 * time.Second // also how often idleness is looked at
	healthTimeout = 5 * time.Second
)

// start runs the plugin up to its description.
func start(ctx context.Context, p *Plugin) (*process, error) {
	if n := len(p.cfg.Dir) + len("/plugin-dir1234567890/plugin1234567890"); n > 107 {
		return nil, binary.Errorf(binary.CauseSocket,
			"sockets in %s would have names of %d bytes, and the system takes 107: name a shorter folder with state = \"…\"", p.cfg.Dir, n)
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
		p.cfg.Log.Warn("plugin runs unpinned: whoever can write to its file decides what it does", "object",
			string(p.cfg.ID), "sha256", img.Sum)
	}
	sockets := &goplugin.UnixSocketConfig{TempDir: p.cfg.Dir}
	if p.cfg.Unconfined {
		p.cfg.Log.Warn("plugin runs unconfined: it may do whatever the host's user may", "object", string(p.cfg.ID))
	} else if gid, other := p.cfg.Confine.Group(); other {
		sockets.Group = strconv.FormatUint(uint64(gid), 10) // may use the sockets that the host makes for it
	}
	pr := &process{p: p, serial: serials.Add(1) & (1<<24 - 1), started: time.Now(), used: time.Now(),
		left: make(chan struct{}), gone: make(chan struct{}), answers: newIntake(),
		proxies: make(chan struct{}, maxProxies), calls: map[uint64]*object.Call{}, streams: map[uint64]bool{}}
	out := launch.NewOutput(p.cfg.Log, p.cfg.ID, p.cfg.Account, p.cfg.Redact)
	pr.own = &hostServer{service: &callbacks{pr: pr, out: out}, budget: p.cfg.Budget}
	a := &adapter{own: pr.own}
	cfg := &goplugin.ClientConfig{
		HandshakeConfig: goplugin.HandshakeConfig{ProtocolVersion: rpc.Version, MagicCookieKey: rpc.CookieKey,
			MagicCookieValue: rpc.CookieValue},
		Plugins:          goplugin.PluginSet{rpc.Name: a},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     launch.StartTimeout,
		Logger:           hclog.NewNullLogger(),
		SyncStdout:       out.Writer("stdout"),
		SyncStderr:       out.Writer("stderr"),
		UnixSocketConfig: sockets,
		GRPCDialOptions: []grpc.DialOption{grpc.WithMaxHeaderListSize(maxHeaderBytes),
			grpc.WithInitialWindowSize(answerWindow),
			grpc.WithInitialConnWindowSize(answerWindow), grpc.WithDefaultCallOptions(
				grpc.MaxCallRecvMsgSize(rpc.MaxMessageBytes), grpc.MaxCallSendMsgSize(rpc.MaxMessageBytes))},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, dir string) (plugrunner.Runner, error) {
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
		},
	}
	pr.client, a.client = goplugin.NewClient(cfg), cfg
	if err := pr.connect(ctx, a); err != nil {
		pr.end()
		return nil, pr.explain(err, out)
	}
	go pr.watch() //nolint:gosec // the process outlives the call that started it
	p.cfg.Log.Info("plugin started", "object", string(p.cfg.ID), "pid", pr.run.PID())
	return pr, nil
}

// connect does the handshake and asks what there is.
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

// describe takes what the plugin says it has, as far as the policy lists it.
func (pr *process) describe(r *rpc.DescribeReply) error {
	if n := len(r.GetObjects()); n > maxObjects {
		return binary.Errorf(binary.CauseDescribe, "it has %d objects; want at most %d", n, maxObjects)
	}
	pr.objects = map[object.ID]*object.Description{}
	var unlisted []string
	for _, o := range r.GetObjects() {
		id := pr.p.cfg.ID
		if o.GetName() != "" {
			id += object.ID("." + o.GetName())
		}
		if !slices.Contains(pr.p.cfg.Objects, id) {
			unlisted = append(unlisted, launch.Clip(string(id)))
			continue
		}
		if pr.objects[id] != nil {
			return binary.Errorf(binary.CauseDescribe, "it has two objects %s", id)
		}
		d := &object.Description{ID: id, Doc: launch.Clip(o.GetDoc()), Instance: object.InstanceMode(o.GetInstance())}
		switch d.Instance {
		case object.Single, object.Session, object.PerCall:
		default:
			return binary.Errorf(binary.CauseDescribe, "%s has the instance mode %q", id, launch.Clip(o.GetInstance()))
		}
		if len(o.GetMembers()) > maxMembers {
			return binary.Errorf(binary.CauseDescribe, "%s has more than %d members", id, maxMembers)
		}
		for _, m := range o.GetMembers() {
			name := object.Method(m.GetName())
			if !name.Callable() ||
				slices.ContainsFunc(d.Members, func(o object.Member) bool { return o.Name == name }) {
				return binary.Errorf(binary.CauseDescribe,
					"%s has a member %q, which cannot be called or stands there twice", id, launch.Clip(m.GetName()))
			}
			d.Members = append(d.Members, object.Member{Name: name, Doc: launch.Clip(m.GetDoc()), Method: m.GetMethod(),
				Oneway: m.GetOneway(), Get: m.GetGet(), Set: m.GetSet()})
		}
		slices.SortFunc(d.Members,
			func(a, b object.Member) int { return strings.Compare(string(a.Name), string(b.Name)) })
		pr.objects[id] = d
	}
	if n := len(unlisted); n > 0 {
		pr.p.cfg.Log.Warn("plugin has objects that the policy does not list", "objects", n, "first", unlisted[0])
	}
	if len(pr.objects) == 0 {
		return binary.Errorf(binary.CauseDescribe, "it has none of the objects that the policy lists: %v",
			pr.p.cfg.Objects)
	}
	return nil
}

// explain finds the cause of a failed start: what was seen of the process tells more than
// what became of the connection.
func (pr *process) explain(err error, out *launch.Output) error {
	var named *binary.StartError
	if pr.run == nil || pr.run.PID() == 0 { // there was no process, and err says why
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

// watch ends with the process, which it ends if it is unwell or idle.
func (pr *process) watch() {
	tick := time.NewTicker(min(healthEvery, pr.p.cfg.Idle))
	defer tick.Stop()
	for {
		select {
		case <-pr.run.Done():
			cause := pr.run.Cause()
			if cause == nil {
				cause = fmt.Errorf("it ended by itself: %w", pr.run.Exit())
			}
			pr.p.exited(pr, cause)
			close(pr.left)
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

// errClosed ends a plugin that is no longer wanted.
var errClosed = errors.New("the host stops")

// errIdle ends a plugin that nobody calls.
var errIdle = errors.New("idle")

// idle reports whether the plugin may be stopped: nobody calls it, and it holds nothing
// that callers would miss.
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

// stop asks the plugin to end, and makes it after a while.
func (pr *process) stop(cause error) {
	pr.run.SetCause(cause)
	pr.end()
}

// end lets go of connection, process and sockets, whatever state they are in.
func (pr *process) end() {
	late := time.AfterFunc(launch.StopTimeout, func() {
		if pr.run != nil {
			_ = pr.run.Kill(context.Background())
		}
	})
	defer late.Stop()
	pr.client.Kill()
	pr.own.stop()
	if pr.run == nil {
		return
	}
	if pr.run.PID() != 0 {
		_ = pr.run.Kill(context.Background())
	}
	pr.run.Release()
}

// begin enters a call, unless too many are under way.
func (pr *process) begin(c *object.Call) (uint64, error) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if len(pr.calls) >= maxCalls {
		return 0, object.Errorf(object.CodeExhausted,
			"limit exceeded: %d calls of the plugin under way; not executed, try again", maxCalls)
	}
	pr.last++
	pr.calls[pr.last] = c
	return pr.last, nil
}

// lost waits until a process whose connection broke takes no more calls, so that the next call gets another. A process
// that goes on without its connection is ended.
func (pr *process) lost(cause error) {
	late := time.AfterFunc(lostTimeout, func() { pr.run.Fail(fmt.Errorf("it lost its connection: %w", cause)) })
	defer late.Stop()
	<-pr.left
}

// lostTimeout is how long a process may outlive its connection. Its end is most often what broke it.
const lostTimeout = time.Second

// finish leaves a call that began at a time. A plugin that lets call after call wait is ended, unless it answers others
// meanwhile: those then wait for their object, whose state would be lost.
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
