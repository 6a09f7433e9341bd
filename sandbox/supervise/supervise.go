// Package supervise runs one tenant's worker process for the host. It starts the process on the first call, sends it
// requests over a link, and answers the open requests when it ends. It never decodes a payload. It trusts a worker only
// to answer requests: a worker that breaks the protocol is ended.
//
// Ownership:
//   - A [Tenant] owns at most one running process, and retired processes that end. Close waits for all of them.
//   - A process has one reader goroutine, which ends with the socket, waits for the process, and answers the open
//     requests. Another goroutine stops the process when it is idle.
//   - A request belongs to the goroutine that waits for its reply, see [pending].
//   - An op of a service runs in its own goroutine, see package hostcall.
package supervise

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/internal/backoff"
	"github.com/hearthhost/hearth/internal/loop"
	"github.com/hearthhost/hearth/internal/procstat"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/confine"
	"github.com/hearthhost/hearth/sandbox/hostcall"
	"github.com/hearthhost/hearth/sandbox/launch"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/script"
)

// Config is the configuration of a tenant's worker.
type Config struct {
	Tenant object.Tenant
	Argv   []string // command of a worker, which finds its link at descriptor 3
	// Confine is how the operating system confines the worker. Its zero value requires every layer except a separate
	// uid and a control group.
	Confine confine.Spec
	// Services are the services of the host that the tenant's objects can use, at most one of each number. A worker
	// that requests another one is ended.
	Services []hostcall.Service
	// Account counts the resources of the tenant's processes; several tenants may share one.
	Account *procstat.Processes // nil: not counted
	Loop    *loop.Loop          // reads the link; nil: a goroutine of each process does
	Pool    *launch.Pool        // prewarmed processes of Argv; several tenants may share it; nil: none
	Log     *slog.Logger        // nil discards
	Budget  hostcall.Budget     // bytes of the objects' host calls in flight; nil: no limit
	Idle    time.Duration       // time without calls after which a worker without state is stopped; 0: DefaultIdle
}

// Tenant is the [object.Backend] of one tenant's scripts. Safe for concurrent use.
type Tenant struct {
	cfg   Config
	start func(*Tenant) (*process, error) // start; tests run a worker in their own process

	objects atomic.Pointer[map[object.ID]*script.Version] // objects in use; the map is not modified
	change  sync.Mutex                                    // held to replace the map

	mu       sync.Mutex    // guards the fields below; not held while a worker starts
	proc     *process      // nil: no process is running
	starting chan struct{} // closed when the worker that starts now has started or failed; nil: none starts
	backoff  backoff.State
	closed   bool
	retiring []*process // retired processes, some of which may have ended

	secrets atomic.Pointer[Secrets] // granted secrets; nil: none
}

// New returns the backend of these objects. It starts no process.
func New(cfg Config, objects ...*script.Version) *Tenant {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Account == nil {
		cfg.Account = new(procstat.Processes)
	}
	cfg.Log = cfg.Log.With("tenant", string(cfg.Tenant))
	if cfg.Idle <= 0 {
		cfg.Idle = DefaultIdle
	}
	t := &Tenant{cfg: cfg, start: start}
	all := make(map[object.ID]*script.Version, len(objects))
	for _, v := range objects {
		all[v.ID] = v
	}
	t.objects.Store(&all)
	return t
}

// Has reports whether an object is in use.
func (t *Tenant) Has(id object.ID) bool { return t.version(id) != nil }

// version returns the version of an object that is in use, nil if there is no such object.
func (t *Tenant) version(id object.ID) *script.Version { return (*t.objects.Load())[id] }

// live returns the running process, or starts one. After a crash it fails with CodeUnavailable until the back-off is
// over. staging is set to load a new version, which is possible during quarantine.
func (t *Tenant) live(staging bool) (*process, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.starting != nil && !t.closed {
		started := t.starting
		t.mu.Unlock()
		<-started // package confine bounds how long a start takes
		t.mu.Lock()
	}
	if t.closed {
		return nil, object.ErrRetired
	}
	if t.proc != nil {
		return t.proc, nil
	}
	switch wait, aside := t.backoff.Wait(); {
	case aside && staging:
	case aside:
		return nil, object.Errorf(object.CodeUnavailable,
			"the worker of tenant %s crashed %d times in a row and is quarantined until one of its objects changes, "+
				"or for %s; not executed", t.cfg.Tenant, rule.MaxCrashes, wait.Round(time.Second))
	case wait > 0:
		return nil, object.Errorf(object.CodeUnavailable,
			"the worker of tenant %s crashed and is started again in %s; not executed",
			t.cfg.Tenant, wait.Round(100*time.Millisecond))
	}
	t.starting = make(chan struct{})
	t.mu.Unlock()
	p, err := t.start(t)
	t.mu.Lock()
	close(t.starting)
	t.starting = nil
	if err == nil && p.gone {
		err = errors.New("the worker ended at once")
	}
	if err != nil {
		t.crashedLocked(0, err)
		return nil, &object.Error{
			Code: object.CodeUnavailable,
			Msg:  "the tenant's worker could not be started; not executed",
			Err:  err,
		}
	}
	t.proc = p
	if t.closed { // Close waits for it
		return nil, object.ErrRetired
	}
	return p, nil
}

// killTimeout bounds how long waitReplaced waits for a killed process to end.
const killTimeout = 5 * time.Second

// waitReplaced waits until a process that rejects requests is no longer the tenant's process, or ctx is done.
func (p *process) waitReplaced(ctx context.Context) {
	p.t.mu.Lock()
	current := p.t.proc == p
	p.t.mu.Unlock()
	if !current {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	select {
	case <-p.done:
	case <-ctx.Done():
	}
}

// rule is the limit of crashes before a worker is quarantined, and for how long. Callers may be able to crash a worker,
// so both are lenient.
var rule = backoff.Rule{MaxCrashes: 10, Quarantine: 5 * time.Minute}

func (t *Tenant) crashedLocked(ran time.Duration, cause error) {
	t.cfg.Account.Crashed()
	if t.backoff.Crashed(rule, ran, cause) {
		t.cfg.Log.Error(
			"worker is quarantined until one of its objects changes",
			"crashes", rule.MaxCrashes, "or_for", rule.Quarantine, "err", cause)
	}
}

// clearQuarantine ends the quarantine of a worker: one of its objects has changed.
func (t *Tenant) clearQuarantine() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, aside := t.backoff.Wait(); aside {
		t.backoff.Reset()
	}
}

// Status returns the state of the worker.
func (t *Tenant) Status() backoff.Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	pid := 0
	if t.proc != nil {
		pid = t.proc.PID()
	}
	return t.backoff.Status(pid)
}

// exited records the end of a process. The process calls it once.
func (t *Tenant) exited(p *process, cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.gone = true
	if t.proc != p {
		return
	}
	t.proc = nil
	if t.closed {
		return
	}
	t.cfg.Log.Warn("worker ended", "err", cause, "crashes", t.backoff.Crashes()+1)
	t.crashedLocked(time.Since(p.started), cause)
}

// Describe implements [object.Backend]. The description of a version does not change: the worker sends it once.
func (t *Tenant) Describe(ctx context.Context, id object.ID) (*object.Description, error) {
	v := t.version(id)
	if v == nil {
		return nil, errUnknown
	}
	if d := v.Description(); d != nil {
		return d, nil
	}
	p, err := t.live(false)
	if err != nil {
		return nil, err
	}
	var e link.Encoder
	r, err := p.query(ctx, id, time.Now().Add(tryTimeout), func(n uint64) []byte {
		e.Begin(link.Describe, n)
		e.Text(string(id))
		return e.Frame()
	})
	if err != nil {
		return nil, err
	}
	return v.Describe(r.Payload)
}

// errUnknown is the answer to a request for an object that the tenant does not have.
var errUnknown = object.Errorf(object.CodeNotFound, "unknown object")

var encoders = sync.Pool{New: func() any { return new(link.Encoder) }}

// Invoke implements [object.Backend].
func (t *Tenant) Invoke(ctx context.Context, c *object.Call) (object.Reply, error) {
	v := t.version(c.ID)
	if v == nil {
		return object.Reply{}, errUnknown
	}
	if most := v.Limits.ArgumentBytes; len(c.Payload) > most {
		return object.Reply{}, object.Errorf(object.CodeTooLarge,
			"limit exceeded: arguments of %d bytes, %s takes at most %d; not executed", len(c.Payload), c.ID, most)
	}
	for again := false; ; again = true {
		p, err := t.live(false)
		if err != nil {
			return object.Reply{}, err
		}
		r, _, err := p.request(ctx, link.Call, 0, c, v.Limits.MaxDuration)
		if errors.Is(err, errProcessEnded) && !again {
			p.waitReplaced(ctx)
			continue
		}
		if r.Stream != 0 {
			r.Stream = p.streamID(r.Stream)
		}
		return r, err
	}
}

// Next implements [object.Backend].
func (t *Tenant) Next(ctx context.Context, c *object.Call, stream uint64) (object.Reply, bool, error) {
	p := t.streamOwner(stream)
	if p == nil {
		return object.Reply{}, false, object.ErrStreamGone
	}
	p.mu.Lock()
	wall := p.maxDurations[c.ID] // of all versions: the object may have another one now, or be removed
	p.mu.Unlock()
	return p.request(ctx, link.Next, stream&streamMask, c, cmp.Or(wall, object.Limits{}.WithDefaults().MaxDuration))
}

// CloseStream implements [object.Backend].
func (t *Tenant) CloseStream(stream uint64) {
	if p := t.streamOwner(stream); p != nil {
		p.send(link.CloseStream, stream&streamMask)
	}
}

// EndConn implements [object.Backend].
func (t *Tenant) EndConn(conn uint64) {
	t.mu.Lock()
	p := t.proc
	t.mu.Unlock()
	if p != nil {
		p.send(link.EndConn, conn)
	}
}

// A stream id holds the serial number of its process (upper bits) and the stream's number there, so that a stream of an
// ended process cannot be confused with one of the next process.
const streamMask = 1<<40 - 1

func (p *process) streamID(stream uint64) uint64 { return p.serial<<40 | stream&streamMask }

// streamOwner returns the running process that holds a stream, nil if that process has ended.
func (t *Tenant) streamOwner(stream uint64) *process {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.proc != nil && t.proc.serial == stream>>40 {
		return t.proc
	}
	return nil
}

// Running returns the process id of the worker, 0 if none is running.
func (t *Tenant) Running() int { return t.Status().PID }

// Close lets the worker finish its requests until ctx is done, then ends it, and waits for its end. It is idempotent.
func (t *Tenant) Close(ctx context.Context) error {
	t.mu.Lock()
	t.closed = true
	for t.starting != nil {
		started := t.starting
		t.mu.Unlock()
		<-started
		t.mu.Lock()
	}
	all := t.retiring
	if t.proc != nil {
		t.proc.send(link.Stop, 0)
		all = append(all, t.proc)
	}
	t.mu.Unlock()
	for _, p := range all {
		select {
		case <-p.done:
		case <-ctx.Done():
			p.kill(errors.New("the drain deadline has passed"))
			<-p.done
		}
	}
	return nil
}
