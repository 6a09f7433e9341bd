// Package plugins runs the executables that a host serves as objects. A [Plugin] starts
// one when it is first called, speaks to it by gRPC under go-plugin with mutual TLS, and
// answers for it when it dies. It never looks into a payload, and it believes nothing that
// a plugin says beyond "this is the reply to that".
//
// Who owns what: a Plugin owns at most one process. Each process has a goroutine that
// waits for it, on a thread of its own; one that copies what it prints; one that watches
// its health. All end with the process. Close ends the process and waits for them.
package plugins

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hearthhost/hearth/internal/account"
	"github.com/hearthhost/hearth/internal/backoff"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/rpc"
	"github.com/hearthhost/hearth/sandbox/confine"
)

// Config says which executable it is and what it serves. ID, Path, Objects, Shim and Dir
// are required, and SHA256 or Unpinned.
type Config struct {
	ID       object.ID
	Path     string
	SHA256   string      // of the file, lower-case hexadecimal
	Unpinned bool        // any content will do, which is logged at every start
	Objects  []object.ID // what it may serve: ID itself, or names below it
	Shim     []string    // starts [Shim]
	// Confine is what walls are around it; the zero value is all of them. Unconfined puts up
	// none: it runs with all the rights of the host's user, which is logged at every start.
	Confine    confine.Program
	Unconfined bool
	Dir        string // for sockets: a folder that is only this user's
	// Idle is after what time without a call a plugin is stopped that has no state to
	// lose, which is one whose objects are all of mode "call"; 0 means 5 minutes.
	Idle time.Duration
	// Proxy authorises and runs a call from one of the objects to another.
	Proxy func(ctx context.Context, from object.ID, alone bool, c *object.Call) (object.Reply, error)
	// Secret returns a secret that is granted to an object; nil: there are none. Redact takes
	// the tenant's secrets out of what is logged; nil changes nothing.
	Secret func(id object.ID, name string) (value string, ok bool)
	Redact func(text string) string
	// Account counts what the tenant's processes spend; several backends may share one.
	Account *account.Processes // nil: nobody asks
	Log     *slog.Logger       // nil discards
}

// Plugin is the [object.Backend] of one executable. Safe for concurrent use.
type Plugin struct {
	cfg Config

	mu       sync.Mutex // guards what follows
	proc     *process   // nil: none is running
	attempt  *attempt   // not nil: one is being started
	old      []*process // stopping
	backoff  backoff.State
	setAside string // the file as it was when it had crashed too often; "" if it has not
	closed   bool
}

// attempt is a start under way.
type attempt struct {
	done  chan struct{}
	abort context.CancelFunc
	proc  *process
	err   error
}

// New returns a backend that has not started anything.
func New(cfg Config) *Plugin {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Idle <= 0 {
		cfg.Idle = 5 * time.Minute
	}
	if cfg.Account == nil {
		cfg.Account = new(account.Processes)
	}
	cfg.Log = cfg.Log.With("tenant", string(cfg.ID.Tenant()))
	return &Plugin{cfg: cfg}
}

// rule says when a plugin that crashes is set aside until its file changes or a while has
// passed.
var rule = backoff.Rule{Most: 5, Aside: 10 * time.Minute}

// live returns the running process, starting one if there is none. Whoever comes while it
// starts waits for the same one.
func (p *Plugin) live(ctx context.Context) (*process, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, object.ErrRetired
	}
	if pr := p.proc; pr != nil {
		p.mu.Unlock()
		return pr, nil
	}
	a := p.attempt
	if a == nil {
		if err := p.mayStartLocked(); err != nil {
			p.mu.Unlock()
			return nil, err
		}
		life, abort := context.WithCancel(context.Background())
		a = &attempt{done: make(chan struct{}), abort: abort}
		p.attempt = a
		go p.start(life, a) // others wait for it too; it ends with the attempt, which is bounded in time; Close waits for it
	}
	p.mu.Unlock()
	select {
	case <-a.done:
		return a.proc, a.err
	case <-ctx.Done():
		return nil, object.Errorf(object.CodeDeadline, "the plugin was still starting; not executed")
	}
}

func (p *Plugin) mayStartLocked() error {
	wait, aside := p.backoff.Wait()
	switch {
	case wait == 0:
		return nil
	case aside && p.setAside == p.file():
		return object.Errorf(object.CodeUnavailable, "the plugin %s crashed %d times in a row and is set aside until its file changes, or for %s; not executed", p.cfg.ID, rule.Most, wait.Round(time.Second))
	case aside:
		p.backoff.Forgive()
		return nil
	}
	return object.Errorf(object.CodeUnavailable, "the plugin %s does not run and is started again in %s; not executed", p.cfg.ID, wait.Round(100*time.Millisecond))
}

// file tells one version of the executable from the next.
func (p *Plugin) file() string {
	info, err := os.Stat(p.cfg.Path)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %v %v", info.Size(), info.ModTime().UnixNano(), info.Mode())
}

func (p *Plugin) start(ctx context.Context, a *attempt) {
	pr, err := start(ctx, p)
	p.mu.Lock()
	p.attempt = nil
	if err != nil {
		p.cfg.Log.Error("plugin does not start", "object", string(p.cfg.ID), "err", err, "crashes", p.backoff.Crashes()+1)
		p.crashedLocked(0, err)
		a.err = &object.Error{Code: object.CodeUnavailable, Msg: fmt.Sprintf("the plugin %s does not start; not executed", p.cfg.ID), Err: err}
	} else {
		a.proc, p.proc = pr, pr
	}
	select {
	case <-goneOf(pr): // already
		p.proc = nil
	default:
	}
	p.mu.Unlock()
	close(a.done)
}

// goneOf is a channel that is closed when a process, if any, is gone.
func goneOf(pr *process) <-chan struct{} {
	if pr == nil {
		return nil
	}
	return pr.run.done
}

func (p *Plugin) crashedLocked(ran time.Duration, cause error) {
	p.cfg.Account.Crashed()
	if p.backoff.Crashed(rule, ran, cause) {
		p.setAside = p.file()
		p.cfg.Log.Error("plugin is set aside until its file changes", "object", string(p.cfg.ID), "crashes", rule.Most, "or_for", rule.Aside)
	}
}

// exited is told by a process that it has ended, once.
func (p *Plugin) exited(pr *process, cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc == pr {
		p.proc = nil
	}
	if p.closed || errors.Is(cause, errIdle) {
		p.cfg.Log.Info("plugin stopped", "object", string(p.cfg.ID), "err", cause)
		return
	}
	p.cfg.Log.Warn("plugin ended", "object", string(p.cfg.ID), "err", cause, "crashes", p.backoff.Crashes()+1)
	p.crashedLocked(time.Since(pr.started), cause)
}

// Status returns what the plugin is at.
func (p *Plugin) Status() backoff.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	pid := 0
	if p.proc != nil {
		pid = int(p.proc.run.pid.Load())
	}
	return p.backoff.Status(pid)
}

// retire takes an idle process out of use. It reports whether it was in use.
func (p *Plugin) retire(pr *process) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc != pr || !pr.idle() {
		return false
	}
	p.proc = nil
	p.old = append(slices.DeleteFunc(p.old, func(o *process) bool {
		select {
		case <-o.gone:
			return true
		default:
			return false
		}
	}), pr)
	return true
}

// Describe implements [object.Backend].
func (p *Plugin) Describe(ctx context.Context, id object.ID) (*object.Description, error) {
	pr, err := p.live(ctx)
	if err != nil {
		return nil, err
	}
	if d := pr.objects[id]; d != nil {
		return d, nil
	}
	return nil, errNoObject
}

var errNoObject = object.Errorf(object.CodeNotFound, "the plugin has no such object")

// Invoke implements [object.Backend].
func (p *Plugin) Invoke(ctx context.Context, c *object.Call) (object.Reply, error) {
	if n := len(c.Payload); n > object.DefaultMessageBytes { // tenants' limits are for their scripts
		return object.Reply{}, object.Errorf(object.CodeTooLarge, "limit exceeded: arguments of %d bytes, a plugin takes at most %d; not executed", n, object.DefaultMessageBytes)
	}
	r, _, err := p.ask(ctx, c, func(ctx context.Context, pr *process, n uint64) (*rpc.CallReply, error) {
		r, err := pr.rpc.Call(ctx, request(c, n, c.Payload))
		if s := r.GetStream(); s != 0 && r.GetFailure() == nil {
			r.Stream = pr.opened(s)
		}
		return r, err
	})
	return r, err
}

// Next implements [object.Backend].
func (p *Plugin) Next(ctx context.Context, c *object.Call, stream uint64) (object.Reply, bool, error) {
	owner := p.owner(stream)
	if owner == nil {
		return object.Reply{}, false, object.ErrStreamGone
	}
	r, more, err := p.ask(ctx, c, func(ctx context.Context, pr *process, n uint64) (*rpc.CallReply, error) {
		if pr != owner {
			return failed(object.ErrStreamGone), nil
		}
		r, err := pr.rpc.Next(ctx, &rpc.NextRequest{Stream: stream & streamMask, Call: request(c, n, nil)})
		if r.GetStream() != 0 {
			r.Stream = 0 // a stream of streams
		}
		return r, err
	})
	if err != nil || !more || r.Exception {
		owner.closed(stream & streamMask)
	}
	return r, more, err
}

// ask makes one request of the plugin and maps what can go wrong.
func (p *Plugin) ask(ctx context.Context, c *object.Call, do func(context.Context, *process, uint64) (*rpc.CallReply, error)) (object.Reply, bool, error) {
	if !c.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, c.Deadline)
		defer cancel()
	}
	pr, err := p.live(ctx)
	if err != nil {
		return object.Reply{}, false, err
	}
	d := pr.objects[c.ID]
	if d == nil {
		return object.Reply{}, false, errNoObject
	}
	if d.Instance != object.PerCall && slices.Contains(c.Chain, c.ID) {
		return object.Reply{}, false, object.Errorf(object.CodeInvalid, "call cycle: %s is already waiting for this call", c.ID)
	}
	n := pr.begin(c)
	r, err := do(ctx, pr, n)
	if err != nil {
		err = outcome(ctx, err)
	}
	pr.finish(n, err)
	if err != nil {
		return object.Reply{}, false, err
	}
	if f := r.GetFailure(); f != nil {
		return object.Reply{}, false, ofPlugin(f)
	}
	return object.Reply{Payload: r.GetPayload(), Exception: r.GetException(), Stream: r.GetStream()}, !r.GetEnd(), nil
}

// request is a call as the plugin gets it.
func request(c *object.Call, n uint64, payload []byte) *rpc.CallRequest {
	r := &rpc.CallRequest{Call: n, Object: string(c.ID), Kind: rpc.Kind(c.Kind), Method: string(c.Method),
		Oneway: c.Oneway, Traceback: c.Traceback, Conn: c.Conn, Protocol: uint32(c.Protocol), Serializer: serializerName(c.Serializer),
		Correlation: c.Corr[:], Payload: payload,
		Caller: &rpc.Caller{Principal: string(c.Caller.Principal), Tenant: string(c.Caller.Tenant),
			Way: c.Caller.Peer.Way, Channel: c.Caller.Peer.Channel, Address: c.Caller.Peer.Addr}}
	if !c.Deadline.IsZero() {
		r.DeadlineMicros = c.Deadline.UnixMicro()
	}
	for _, m := range c.Batch {
		r.Batch = append(r.Batch, string(m))
	}
	return r
}

// outcome says what became of a call that got no answer.
func outcome(ctx context.Context, err error) error {
	const unknown = "; whether it was executed is unknown"
	code, msg := object.CodeInternal, ""
	why := status.Code(err)
	if why == codes.Canceled && ctx.Err() == nil {
		why = codes.Unavailable // the connection was closed under the call, after the plugin's end
	}
	switch why {
	case codes.DeadlineExceeded:
		code, msg = object.CodeDeadline, "no answer within the deadline of the call"+unknown
	case codes.Canceled:
		code, msg = object.CodeCanceled, "the call was cancelled"+unknown
	case codes.ResourceExhausted:
		code, msg = object.CodeExhausted, fmt.Sprintf("limit exceeded: an answer of more than %d MiB; it was executed", rpc.MaxMessageBytes>>20)
	case codes.Unavailable:
		code, msg = object.CodeUnavailable, "the plugin ended during the call"+unknown
	default:
	}
	return &object.Error{Code: code, Msg: msg, Err: err}
}

// ofPlugin is an error that a plugin answers with. It cannot speak for the host.
func ofPlugin(f *rpc.Failure) error {
	e := &object.Error{Code: object.Code(min(f.GetCode(), 255)), Msg: clip(f.GetMessage()), Class: clip(f.GetClass())}
	switch e.Code {
	case object.CodeInvalid, object.CodeTooLarge, object.CodeNotFound, object.CodeExhausted, object.CodeDeadline, object.CodeCanceled, object.CodeUnavailable:
	default:
		e.Code = object.CodeRaised
	}
	return e
}

// A stream is named by the process that holds it (upper bits) and its number there.
const streamMask = 1<<40 - 1

func (pr *process) opened(s uint64) uint64 {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.streams[s&streamMask] = true
	return pr.serial<<40 | s&streamMask
}

func (pr *process) closed(s uint64) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	delete(pr.streams, s)
	pr.used = time.Now()
}

func (p *Plugin) owner(stream uint64) *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc != nil && p.proc.serial == stream>>40 {
		return p.proc
	}
	return nil
}

// tellTimeout bounds what the plugin is told without waiting for an answer.
const tellTimeout = 5 * time.Second

// CloseStream implements [object.Backend].
func (p *Plugin) CloseStream(stream uint64) {
	if pr := p.owner(stream); pr != nil {
		pr.closed(stream & streamMask)
		go func() { // ends with the time or the process
			ctx, cancel := context.WithTimeout(context.Background(), tellTimeout)
			defer cancel()
			_, _ = pr.rpc.CloseStream(ctx, &rpc.CloseStreamRequest{Stream: stream & streamMask})
		}()
	}
}

// EndConn implements [object.Backend].
func (p *Plugin) EndConn(conn uint64) {
	p.mu.Lock()
	pr := p.proc
	p.mu.Unlock()
	if pr == nil {
		return
	}
	go func() { // ends with the time or the process
		ctx, cancel := context.WithTimeout(context.Background(), tellTimeout)
		defer cancel()
		_, _ = pr.rpc.EndConn(ctx, &rpc.EndConnRequest{Conn: conn})
	}()
}

// Running returns the process id of the plugin, 0 if it does not run.
func (p *Plugin) Running() int { return p.Status().PID }

// Close ends the plugin, softly until ctx is done, and waits. It is idempotent.
func (p *Plugin) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	a := p.attempt
	p.mu.Unlock()
	if a != nil {
		a.abort()
		<-a.done
	}
	p.mu.Lock()
	all := slices.Clone(p.old)
	if p.proc != nil {
		all = append(all, p.proc)
	}
	p.mu.Unlock()
	for _, pr := range all {
		stop := context.AfterFunc(ctx, func() { pr.run.fail(errors.New("the drain deadline passed")) })
		pr.stop(errors.New("the host stops"))
		<-pr.gone
		stop()
	}
	return nil
}
