package dispatch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/host/trace"
	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/internal/otlp"
	"github.com/hearthhost/hearth/object"
)

// payloads has memory for the payloads of running calls.
var payloads = sync.Pool{New: func() any { return new([]byte) }}

// Async runs the calls of one connection without a goroutine that waits for the reply, one call at a time. It takes the
// plain case: an object of a running backend. Do takes all others.
//
// A call is decided once: Start returns the error of a denied call, and a goroutine records the denial.
type Async struct {
	d    *Dispatcher
	ctx  context.Context
	turn func() // see NewAsync
	done func(on any, r object.Reply, err error)

	// Of the running call:
	request  *Request
	payload  *[]byte // memory of the call's payload, of payloads
	granted  admitted
	before   *snapshot.Snapshot // in force when the call began to wait for its slot; nil: it did not wait
	denial   *audit.Record      // of the last denied call
	counters *usage.ObjectCounters
	begun    time.Time
	tracer   *trace.Tracer
	span     *otlp.Span
	finished func(on any, r object.Reply, err error) // finish, made once
}

// NewAsync returns an Async whose calls end with ctx, as far as a goroutine runs them; see [Async.Cancel].
//
// turn is called when a call that waits for its slot of the fair queue has got it: in any goroutine, and it must not
// wait. done receives the result of each call that Start has started. on is the loop in whose goroutine done is called,
// nil for another goroutine. The reply's payload is valid until done returns, unless it is owned.
func (d *Dispatcher) NewAsync(
	ctx context.Context, turn func(), done func(on any, r object.Reply, err error),
) *Async {
	a := &Async{d: d, ctx: ctx, turn: turn, done: done}
	a.finished = a.finish
	return a
}

// Progress is how far [Async.Start] came with a call.
type Progress int

// Results of [Async.Start].
const (
	Left    Progress = iota // nothing was done: the caller uses Do
	Waiting                 // nothing was done: the caller calls Start again with the same request after turn
	Started                 // done follows
	Refused                 // the error is that of the call
)

// Start authorizes a call when it has its slot of the fair queue, and stages it in a round. The error is ErrRevoked, or
// that of a denied call: the caller then calls RecordDenial in a goroutine before it answers. The request must stay
// unchanged until done or RecordDenial, its payload until the round has begun its calls.
func (a *Async) Start(r *Request, now time.Time, round *Round) (Progress, error) {
	d, call := a.d, &r.Call
	snap, before := d.cfg.Snapshot(), a.before
	a.before = nil
	to, exists := snap.Routes.Lookup(call.ID)
	exists = exists && snap.Has(call.ID)
	if a.ended() || call.Once != nil || to.Builtin != nil || r.Truncated || r.Correlated && to.MayRunOnce() {
		return Left, nil
	}
	r.Flow, r.Weight = d.flow(snap, r, now)
	if !d.cfg.Queue.Request(r.Slot, r.Flow, r.Weight, now, a.turn) {
		a.before = snap
		return Waiting, nil
	}
	r.Stream = ""
	call.Conn, call.Deadline = r.Session.id, now.Add(StartTimeout)
	if r.Recheck != nil && !r.Recheck(before != nil && before != snap) {
		return Refused, ErrRevoked
	}
	// The decision comes before the question whether the loop can start the call: the time of a denial would show
	// otherwise whether the object exists.
	_, starts := to.Backend.(object.Starter)
	t := trail{session: r.Session, round: round, async: a, unstartable: exists && !starts}
	g, err := d.authorize(snap, t, call, to, exists, now)
	switch {
	case errors.Is(err, errUnstartable), err == nil && !starts: // an empty batch needs no decision
		return Left, nil
	case err != nil:
		return Refused, err
	}
	r.Session.called.Store(true)
	a.request, a.granted = r, admitted{to: to, grant: g}
	round.calls = append(round.calls, a)
	return Started, nil
}

// RecordDenial writes the record of the call that Start has denied. It may wait for the disk.
func (a *Async) RecordDenial() {
	d := a.denial
	a.denial = nil
	a.d.Deny(d)
}

// ended reports whether the context of the calls is done.
func (a *Async) ended() bool { return a.ctx.Err() != nil }

// begin starts a call whose audit record is written, or whose record could not be written.
func (a *Async) begin(unwritten error, round *Round) {
	d, call := a.d, &a.request.Call
	if unwritten != nil {
		d.cfg.Usage.Unaudited.Add(1)
		d.release(a.granted.grant)
		a.done(round.on, object.Reply{}, unwritten)
		return
	}
	// The loop reuses the memory of the payload after the round. The call may begin again after that, when its worker
	// has ended.
	a.payload = payloads.Get().(*[]byte)
	*a.payload = append((*a.payload)[:0], call.Payload...)
	call.Payload = *a.payload
	a.counters = d.cfg.Usage.Object(call.ID)
	a.tracer = d.tracer.Load()
	a.begun = a.counters.Begin(call)
	a.span = a.tracer.Begin(call, a.begun)
	b := a.granted.to.Backend.(object.Starter) //nolint:forcetypeassert // Start has checked it
	a.request.Session.touch(b, call.ID, a.granted.to.Mode)
	if !b.Start(call, round.later, a.finished) {
		a.again()
	}
}

// Cancel ends the running call, if there is one, since no client waits for its result. done still receives a result.
func (a *Async) Cancel(cause error) {
	if b, ok := a.granted.to.Backend.(object.Starter); ok {
		b.Cancel(&a.request.Call, cause)
	}
}

// finish receives the result of the backend.
func (a *Async) finish(on any, r object.Reply, err error) {
	if err != nil && object.Retired(err) {
		a.again()
		return
	}
	a.end(on, r, err)
}

// again runs the call in a goroutine: the backend could not begin it, or was retired.
func (a *Async) again() {
	r := a.request
	a.payload = nil // Invoke may keep it
	go func() {     // ends with the call, whose time is bounded
		reply, _, err := a.d.invoke(a.ctx, a.granted.to, &r.Call, r.Session)
		a.end(nil, reply, err)
	}()
}

func (a *Async) end(on any, r object.Reply, err error) {
	d := a.d
	err = hideUnknown(err)
	a.counters.End(a.begun, &r, err)
	a.tracer.End(a.span, &a.request.Call, &r, err)
	if err != nil {
		d.noteCancelled(a.ctx, &a.request.Call, err)
	}
	d.release(a.granted.grant)
	a.granted.grant = grant{}
	if a.payload != nil {
		payloads.Put(a.payload)
		a.payload, a.request.Payload = nil, nil
	}
	a.done(on, r, err)
}

// OpenStream registers the item stream of a reply. It may wait.
func (a *Async) OpenStream(reply object.Reply) (object.Reply, error) {
	return a.d.openStream(a.request, a.granted.to.Backend, reply)
}
