// Package dispatch defines the order of steps of a call. Every call goes through a [Dispatcher]: calls of clients,
// oneway calls, calls of objects to others, items of streams, and later the calls of gateways and timers. No other
// package calls a backend.
//
//	Do, Start, Next, ObjectCall
//	     │
//	     ▼
//	admit      fair queue: waits for a slot of the object's tenant, or of the caller for an object it may not call
//	     │
//	     ▼
//	authorize  policy, once; quota; audit record, written before anything runs
//	     │
//	     ▼
//	run        route → usage and trace begin → Backend.Invoke → usage and trace end
//	     │       (once more on the current backend, if the first one was retired)
//	     ▼
//	release    quota and slot; an item stream gets its id
//
// A request keeps the snapshot (policy, routes) that was in force when it had its slot.
package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/route"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/host/trace"
	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/object"
)

// StartTimeout bounds how long a call waits for its object. A call of a plugin must have ended by then.
const StartTimeout = 30 * time.Second

// Config configures a dispatcher. Snapshot, Queue and Usage are required.
type Config struct {
	Snapshot func() *snapshot.Snapshot // returns the current snapshot
	Queue    *admit.FairQueue
	Usage    *usage.Registry
	Answers  Answers      // nil: no call has an idempotency key
	Log      *slog.Logger // nil: discard
}

// Dispatcher runs calls. It is safe for concurrent use.
type Dispatcher struct {
	cfg    Config
	log    *slog.Logger
	quotas admit.Quotas

	audit  atomic.Pointer[audit.Log] // audit log, nil for none
	tracer atomic.Pointer[trace.Tracer]

	streams  streams
	waits    waitGraph
	once     onceCalls
	sessions sessions
	callers  callers
}

// New returns a dispatcher without an audit log and without a tracer.
func New(cfg Config) *Dispatcher {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	d := &Dispatcher{cfg: cfg, log: cfg.Log}
	d.streams.init()
	d.sessions.init()
	return d
}

// SetAudit sets the audit log of decisions, nil for none.
func (d *Dispatcher) SetAudit(l *audit.Log) { d.audit.Store(l) }

// SetTracer sets the tracer of calls, nil for none.
func (d *Dispatcher) SetTracer(t *trace.Tracer) { d.tracer.Store(t) }

// Request is one call on its way to a backend. It belongs to the caller. The caller may reuse it after Do has returned
// or Start has called done.
type Request struct {
	object.Call
	Session *Session    // session of the caller's connection; the dispatcher sets Call.Conn from it
	Slot    *admit.Slot // slot of the fair queue, acquired if it is not held; the caller releases it

	// Truncated means that the arguments were not read completely, since the policy did not permit the call then.
	Truncated bool
	// Correlated means that the client has sent Corr. Calls of objects never have it: their Corr is that of a client.
	Correlated bool
	// Recheck, if not nil, is called when the request has its slot. changed is true if another snapshot came into force
	// meanwhile. Recheck reports whether the caller still is the same principal.
	Recheck func(changed bool) bool

	// Flow and Weight are results: the share of the fair queue in which the request was admitted.
	Flow   admit.Flow
	Weight float64
	// Stream is a result: the id of the item stream that the call opened, "" for none.
	Stream string

	fromObject bool // call of an object: no slot, no built-in objects, no batches
}

// ErrUnknown is the error for unknown objects, denied objects and denied methods. It is always the same, so that
// callers cannot detect objects that they may not see.
var ErrUnknown = &object.Error{Code: object.CodeNotFound, Msg: "unknown object", Reason: object.ReasonObject}

// ErrRevoked is returned for a request whose caller lost its identity while the request waited. The client gets no
// reply.
var ErrRevoked = errors.New("the caller's identity was revoked")

// ErrPolicyChanged is returned for a call that an earlier policy denied while its arguments were read, and that the
// policy in force permits: its arguments are incomplete.
var ErrPolicyChanged = object.Errorf(object.CodeUnavailable,
	"the policy changed before the call began; not executed, try again")

// admitted is a request that may run.
type admitted struct {
	to    route.Route
	grant grant
}

// Do runs a call and returns its reply. The backend receives ctx and its cancellation. The text of an error includes
// whether the call was executed.
func (d *Dispatcher) Do(ctx context.Context, r *Request) (object.Reply, error) {
	defer d.lendSlot(r)()
	a, err := d.begin(ctx, r)
	if err != nil {
		return object.Reply{}, err
	}
	reply, backend, err := d.run(ctx, a.to, &r.Call, r.Session)
	d.release(a.grant)
	if reply.Stream != 0 {
		return d.openStream(r, backend, reply)
	}
	return reply, err
}

// Start begins a call and returns when the call is in the object's queue, so that calls run in the order of their
// starts. It calls done once, with the reply or the error, possibly before Start returns. It closes a stream that the
// call opens.
func (d *Dispatcher) Start(ctx context.Context, r *Request, done func(object.Reply, error)) {
	defer d.lendSlot(r)()
	a, err := d.begin(ctx, r)
	if err != nil {
		done(object.Reply{}, err)
		return
	}
	placed := make(chan struct{})
	r.Enqueued = sync.OnceFunc(func() { close(placed) })
	go func() { // ends with the call, whose time is bounded
		reply, backend, err := d.run(ctx, a.to, &r.Call, r.Session)
		r.Enqueued()
		d.release(a.grant)
		if reply.Stream != 0 {
			backend.CloseStream(reply.Stream)
			reply.Stream = 0
		}
		done(reply, err)
	}()
	<-placed
}

// lendSlot gives a slot to a request without one. The caller calls release at the end of the request.
func (d *Dispatcher) lendSlot(r *Request) (release func()) {
	if r.Slot != nil {
		return func() {}
	}
	r.Slot = new(admit.Slot)
	return func() {
		d.cfg.Queue.Release(r.Slot, true)
		r.Slot = nil
	}
}

// begin admits and authorizes a call. The caller of begin releases the grant.
func (d *Dispatcher) begin(ctx context.Context, r *Request) (admitted, error) {
	call := &r.Call
	call.Conn, r.Stream = r.Session.id, ""
	snap, now, err := d.admit(r)
	if err != nil {
		return admitted{}, err
	}
	if ctx.Err() != nil { // the client closed its connection while the call waited
		return admitted{}, errCancelled
	}
	call.Deadline = now.Add(StartTimeout)
	to, exists := snap.Routes.Lookup(call.ID)
	if r.fromObject && (to.Builtin != nil || call.Kind == object.Batch) {
		d.Note(call, call.Method, "denied: objects cannot call the host's own", "")
		return admitted{}, ErrUnknown
	}
	g, err := d.authorize(snap, trail{session: r.Session}, call, to, exists, now)
	if err != nil {
		return admitted{}, err
	}
	if to.Builtin != nil {
		err = d.checkBuiltinSize(r, to.Builtin)
	} else if r.Truncated {
		err = ErrPolicyChanged
	} else {
		err = d.correlate(ctx, r, to)
	}
	if err != nil {
		d.release(g)
		return admitted{}, err
	}
	return admitted{to: to, grant: g}, nil
}

// admit waits for a slot of the fair queue. It returns the snapshot that is in force after the wait.
func (d *Dispatcher) admit(r *Request) (*snapshot.Snapshot, time.Time, error) {
	before, now := d.cfg.Snapshot(), time.Now()
	if r.fromObject { // two objects that call each other could wait for each other's slot
		return before, now, nil
	}
	r.Flow, r.Weight = d.flow(before, r, now)
	d.cfg.Queue.Acquire(r.Slot, r.Flow, r.Weight, now)
	if d.cfg.Queue.Contended(now) { // the wait may have been long
		now = time.Now()
	}
	snap := d.cfg.Snapshot()
	if r.Recheck != nil && !r.Recheck(snap != before) {
		return nil, now, ErrRevoked
	}
	return snap, now, nil
}

// flow returns the share of the fair queue that a call belongs to, and its weight: that of the object's tenant. Unknown
// and denied calls belong to the caller's own share: otherwise a caller could delay others at an object that it may not
// call, and the delay would reveal whether the object exists.
func (d *Dispatcher) flow(snap *snapshot.Snapshot, r *Request, now time.Time) (admit.Flow, float64) {
	if snap.Has(r.ID) && (!d.cfg.Queue.Contended(now) || snap.Permits(&r.Call)) {
		tenant := r.ID.Tenant()
		return admit.TenantFlow(tenant), snap.Policy.Weight(tenant)
	}
	return r.Session.flow, 1
}

// run counts and traces a call and invokes it. It returns the backend of the reply. Calls of built-in objects are not
// counted and not traced.
func (d *Dispatcher) run(
	ctx context.Context, to route.Route, call *object.Call, s *Session,
) (object.Reply, object.Backend, error) {
	if to.Builtin != nil && call.Once != nil {
		return object.Reply{}, to.Backend, object.Errorf(object.CodeInvalid,
			"an object of the host does not take an idempotency key; not executed")
	}
	if call.Blob != nil && !to.Script {
		return object.Reply{}, to.Backend, &object.Error{Code: object.CodeInvalid, Reason: object.ReasonType,
			Msg: "only scripts take blobs: send the data as an ordinary argument; not executed"}
	}
	if to.Builtin != nil {
		reply, err := to.Backend.Invoke(ctx, call)
		return reply, to.Backend, err
	}
	counters := d.cfg.Usage.Object(call.ID)
	tracer := d.tracer.Load()
	start := counters.Begin(call)
	span := tracer.Begin(call, start)
	var reply object.Reply
	var b object.Backend
	var err error
	if call.Once == nil {
		reply, b, err = d.invoke(ctx, to, call, s)
	} else {
		b = to.Backend
		reply, err = d.invokeOnce(ctx, call, func() (r object.Reply, err error) {
			r, b, err = d.invoke(ctx, to, call, s)
			return r, err
		})
	}
	counters.End(start, &reply, err)
	tracer.End(span, call, &reply, err)
	if err != nil {
		d.noteCancelled(ctx, call, err)
	}
	return reply, b, err
}

// invoke invokes a call on its backend, and retries once on the current backend if that one was retired meanwhile.
func (d *Dispatcher) invoke(
	ctx context.Context, to route.Route, call *object.Call, s *Session,
) (object.Reply, object.Backend, error) {
	b := to.Backend
	s.touch(b, call.ID, to.Mode)
	reply, err := b.Invoke(ctx, call)
	if err == nil || !object.Retired(err) {
		return reply, b, hideUnknown(err)
	}
	current, ok := d.cfg.Snapshot().Routes.Lookup(call.ID)
	if !ok {
		return reply, b, ErrUnknown
	}
	b = current.Backend
	s.touch(b, call.ID, current.Mode)
	reply, err = b.Invoke(ctx, call)
	if object.Retired(err) { // retired twice within one call: the host is shutting down or reloads constantly
		err = object.ErrShutdown
	}
	return reply, b, hideUnknown(err)
}

// unknown reports whether a backend does not have the called object. A worker finds a missing or superfluous key when
// it has loaded the object.
func unknown(err error) bool {
	e, ok := errors.AsType[*object.Error](err)
	return ok && e.Code == object.CodeNotFound && e.Reason == object.ReasonObject
}

// hideUnknown returns ErrUnknown for the error of a backend that does not have the object, other errors unchanged. The
// answer to a withdrawn call wraps ErrUnknown and adds whether the call was executed: it is unchanged, too.
func hideUnknown(err error) error {
	if err != nil && unknown(err) && !errors.Is(err, ErrUnknown) {
		return ErrUnknown
	}
	return err
}

// checkBuiltinSize rejects arguments above the bound of a built-in object.
func (d *Dispatcher) checkBuiltinSize(r *Request, b *route.Builtin) error {
	const over = "limit exceeded: arguments of %s%d bytes, %s takes at most %d; not executed"
	var err error
	switch n := len(r.Payload); {
	case r.Truncated:
		err = object.Errorf(object.CodeTooLarge, over, "more than ", b.MaxBytes, r.ID, b.MaxBytes)
	case n > b.MaxBytes:
		err = object.Errorf(object.CodeTooLarge, over, "", n, r.ID, b.MaxBytes)
	default:
		return nil
	}
	d.Note(&r.Call, r.Method, "denied: more arguments than one of the host's own objects takes", "")
	return err
}
