// Package supervise runs one tenant's worker process for the host. It starts the process on the first call, replaces it
// after a crash, and stops it when it is idle. Package process is the host's side of one process.
//
// A [Tenant] owns at most one running process, and retired processes that end. Close waits for all of them.
package supervise

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/internal/backoff"
	"github.com/hearthhost/hearth/internal/tick"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/process"
	"github.com/hearthhost/hearth/sandbox/script"
)

// Config is the configuration of a tenant's worker: that of each of its processes.
type Config = process.Config

// Tenant is the [object.Backend] of one tenant's scripts. Safe for concurrent use.
type Tenant struct {
	cfg   Config
	start func(Config, process.Owner) (*process.Process, error) // process.Start; tests replace it

	objects atomic.Pointer[map[object.ID]*script.Version] // objects in use; the map is not modified
	change  sync.Mutex                                    // held to replace the map

	mu       sync.Mutex       // guards the fields below; not held while a worker starts
	proc     *process.Process // nil: no process is running
	starting chan struct{}    // closed when the worker that starts now has started or failed; nil: none starts
	backoff  backoff.State
	closed   bool
	retiring []*process.Process // retired processes, some of which may have ended

	secrets atomic.Pointer[Secrets] // granted secrets; nil: none
}

// New returns the backend of these objects. It starts no process.
func New(cfg Config, objects ...*script.Version) *Tenant {
	cfg = cfg.WithDefaults()
	cfg.Log = cfg.Log.With("tenant", string(cfg.Tenant))
	t := &Tenant{cfg: cfg, start: process.Start}
	all := make(map[object.ID]*script.Version, len(objects))
	for _, v := range objects {
		all[v.ID] = v
	}
	t.objects.Store(&all)
	return t
}

// Has reports whether an object is in use.
func (t *Tenant) Has(id object.ID) bool { return t.version(id) != nil }

// version returns the version of an object that is in use, nil if there is no such object. id may have a key.
func (t *Tenant) version(id object.ID) *script.Version {
	all := *t.objects.Load()
	if v := all[id]; v != nil {
		return v
	}
	return all[id.Family()]
}

// live returns the running process, or starts one. After a crash it fails with CodeUnavailable until the back-off is
// over. staging is set to load a new version, which is possible during quarantine.
func (t *Tenant) live(staging bool) (*process.Process, error) {
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
	p, err := t.start(t.cfg, owner{t})
	t.mu.Lock()
	close(t.starting)
	t.starting = nil
	if err == nil && p.Gone() {
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
func (t *Tenant) waitReplaced(ctx context.Context, p *process.Process) {
	if t.running() != p {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	select {
	case <-p.Done():
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

// owner is a tenant as the owner of its processes.
type owner struct{ t *Tenant }

// Version implements [process.Owner].
func (o owner) Version(id object.ID) *script.Version { return o.t.version(id) }

// Versions implements [process.Owner].
func (o owner) Versions() map[object.ID]*script.Version { return *o.t.objects.Load() }

// Secrets implements [process.Owner].
func (o owner) Secrets(id object.ID) (values map[string]string, ok bool) {
	if s := o.t.secrets.Load(); s != nil {
		values, ok = s.ByObject[id]
	}
	return values, ok
}

// Redact implements [process.Owner].
func (o owner) Redact(text string) string { return o.t.redact(text) }

// Retire implements [process.Owner].
func (o owner) Retire(p *process.Process, stop func() bool) bool {
	t := o.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.proc != p || !stop() {
		return false
	}
	t.proc = nil
	t.retiring = append(slices.DeleteFunc(t.retiring, (*process.Process).Gone), p)
	return true
}

// Exited implements [process.Owner].
func (o owner) Exited(p *process.Process, cause error) {
	t := o.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.proc != p {
		return
	}
	t.proc = nil
	if t.closed {
		return
	}
	t.cfg.Log.Warn("worker ended", "err", cause, "crashes", t.backoff.Crashes()+1)
	t.crashedLocked(time.Since(p.Started()), cause)
}

// Describe implements [object.Backend]. The description of a version does not change: the worker sends it once.
func (t *Tenant) Describe(ctx context.Context, id object.ID) (*object.Description, error) {
	v := t.version(id)
	if v == nil {
		return nil, errUnknown
	}
	if d := v.Description(); d != nil {
		return described(id, d)
	}
	p, err := t.live(false)
	if err != nil {
		return nil, err
	}
	d, err := p.Describe(ctx, v)
	if err != nil {
		return nil, err
	}
	return described(id, d)
}

// described returns the description of an object for an id. It is an error if the id has a key and the object is not
// keyed, or the other way round.
func described(id object.ID, d *object.Description) (*object.Description, error) {
	if _, _, keyed := id.Split(); keyed != (d.Instance == object.Keyed) {
		return nil, errUnknown
	}
	return d, nil
}

// errUnknown is the answer to a request for an object that the tenant does not have.
var errUnknown = &object.Error{Code: object.CodeNotFound, Reason: object.ReasonObject, Msg: "unknown object"}

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
		r, err := p.Invoke(ctx, c, v.Limits.MaxDuration)
		if errors.Is(err, process.ErrEnded) && !again {
			t.waitReplaced(ctx, p)
			continue
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
	return p.Next(ctx, c, stream)
}

// CloseStream implements [object.Backend].
func (t *Tenant) CloseStream(stream uint64) {
	if p := t.streamOwner(stream); p != nil {
		p.CloseStream(stream)
	}
}

// EndConn implements [object.Backend].
func (t *Tenant) EndConn(conn uint64) {
	if p := t.running(); p != nil {
		p.EndConn(conn)
	}
}

// streamOwner returns the running process that holds a stream, nil if that process has ended.
func (t *Tenant) streamOwner(stream uint64) *process.Process {
	if p := t.running(); p != nil && p.Holds(stream) {
		return p
	}
	return nil
}

// running returns the running process, nil if there is no such process.
func (t *Tenant) running() *process.Process {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.proc
}

// Start implements [object.Starter]. It begins the small calls of a running worker.
func (t *Tenant) Start(c *object.Call, later func(func()), done func(on any, r object.Reply, err error)) bool {
	v := t.version(c.ID)
	if t.cfg.Loop == nil || v == nil || len(c.Payload) > min(v.Limits.ArgumentBytes, link.Large) {
		return false
	}
	p := t.running()
	return p != nil && p.Start(c, v.Limits.MaxDuration, later, done)
}

// Cancel implements [object.Starter].
func (t *Tenant) Cancel(c *object.Call, cause error) {
	if p := t.running(); p != nil {
		p.Cancel(c, cause)
	}
}

// Withdraw withdraws the calls that have not begun, see [process.Process.Withdraw].
func (t *Tenant) Withdraw(refuse func(c *object.Call) error) {
	if p := t.running(); p != nil {
		p.Withdraw(refuse)
	}
}

// retirePause is the interval at which Retire queries the worker.
const retirePause = 200 * time.Millisecond

// Retire waits until no call and no stream is open, or ctx is done. The host must send no new calls.
func (t *Tenant) Retire(ctx context.Context) {
	tick.Every(ctx, retirePause, func(time.Time) bool {
		p := t.running()
		return p != nil && p.Busy()
	})
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
		t.proc.Stop()
		all = append(all, t.proc)
	}
	t.mu.Unlock()
	for _, p := range all {
		select {
		case <-p.Done():
		case <-ctx.Done():
			p.Kill(errors.New("the drain deadline has passed"))
			<-p.Done()
		}
	}
	return nil
}
