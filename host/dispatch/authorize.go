package dispatch

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/host/route"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// grant is an authorized call and the quota it holds until release. The zero value holds no quota.
type grant struct {
	limits []*policy.Limit
	caller object.Principal
	id     object.ID
}

func (d *Dispatcher) release(g grant) { d.quotas.Release(g.limits, g.caller, g.id) }

// authorize decides on a call, takes its quota and writes the audit record, before anything is done. t is where the
// record of a permit goes.
func (d *Dispatcher) authorize(
	snap *snapshot.Snapshot, t trail, call *object.Call, to route.Route, exists bool, now time.Time,
) (grant, error) {
	if b := to.Builtin; b != nil {
		if b.Visible == nil || b.Visible(&call.Caller) {
			return d.authorizeBuiltin(snap, t, call, b, now)
		}
		exists = false // the caller gets the same error as for an object that does not exist
	}
	call.Traceback = true
	if call.Kind != object.Batch {
		m, decision := snap.Decide(call)
		call.Traceback = decision.Traceback
		if err := d.check(snap, t, call, m, &decision, exists); err != nil {
			return grant{}, err
		}
		g, err := d.take(t, call, m, &decision, 1, now)
		if err != nil {
			return g, err
		}
		return d.permit(g, &audit.Record{Object: call.ID, Method: m, Reason: decision.Reason}, t, call)
	}
	if len(call.Batch) == 0 { // no method to decide on: the object must be visible, and no quota is needed
		if !exists || !snap.Policy.Visible(call.Caller, call.ID) {
			d.note(t, call, "", "denied: no permit covers this object", "")
			return grant{}, ErrUnknown
		}
		return grant{}, nil
	}
	return d.authorizeBatch(snap, t, call, exists, now)
}

// authorizeBuiltin takes the quota of a call of one of the host's own objects. Rejected calls are in the audit log,
// permitted ones are not.
func (d *Dispatcher) authorizeBuiltin(
	snap *snapshot.Snapshot, t trail, call *object.Call, b *route.Builtin, now time.Time,
) (grant, error) {
	if call.Kind == object.Get || call.Kind == object.Set {
		return grant{}, ErrUnknown // they have no attributes
	}
	if b.Uncounted != nil && b.Uncounted(call.Method) {
		return grant{}, nil
	}
	limits := snap.Policy.LimitsOf(call.Caller.Principal, call.ID)
	decision := policy.Decision{Reason: "the host's own object", Limits: limits}
	return d.take(t, call, call.Method, &decision, max(len(call.Batch), 1), now)
}

// authorizeBatch decides on all calls of a batch before it takes quota: nothing of a batch is executed if one of its
// calls is denied. One audit record covers the batch.
func (d *Dispatcher) authorizeBatch(
	snap *snapshot.Snapshot, t trail, call *object.Call, exists bool, now time.Time,
) (grant, error) {
	batch, err := audit.NewBatch(call.Batch)
	if err != nil {
		d.note(t, call, "", "denied: too many different methods in a batch", "")
		return grant{}, err
	}
	var decision policy.Decision
	for i := range batch.Items {
		item := &batch.Items[i]
		decision = snap.Policy.Decide(call.Caller, call.ID, item.Method)
		call.Traceback = call.Traceback && decision.Traceback
		if err := d.check(snap, t, call, item.Method, &decision, exists); err != nil {
			return grant{}, err
		}
		item.Reason = decision.Reason
	}
	g, err := d.take(t, call, batch.Items[0].Method, &decision, len(call.Batch), now)
	if err != nil {
		return g, err
	}
	return d.permit(g, &audit.Record{Object: call.ID, Batch: batch}, t, call)
}

// check returns the error for a call that is denied or whose object does not exist, and records it. Both cases have the
// same error.
func (d *Dispatcher) check(
	snap *snapshot.Snapshot, t trail, call *object.Call, m object.Method, decision *policy.Decision, exists bool,
) error {
	switch {
	case !decision.Permit:
		d.note(t, call, m, decision.Reason, "")
		name := strings.TrimSuffix(string(m), "=")
		if exists && !object.Method(name).Callable() && snap.Policy.Visible(call.Caller, call.ID) {
			return noAttribute(name)
		}
		return ErrUnknown
	case !exists:
		d.note(t, call, m, "denied: there is no such object; else by "+decision.Reason, "")
		return ErrUnknown
	case t.unstartable:
		return errUnstartable
	}
	return nil
}

// maxNameShown bounds the bytes of a name in an error.
const maxNameShown = 100

// noAttribute returns the error about a name that no object can have, with the text of a Python daemon. Callers that
// may not see the object get ErrUnknown instead.
func noAttribute(name string) error {
	e := &object.Error{Code: object.CodeNotFound, Reason: object.ReasonMember}
	shown := strconv.Quote(name[:min(len(name), maxNameShown)])
	if strings.HasPrefix(name, "_") {
		e.Msg = "attempt to access private attribute " + shown
	} else {
		e.Msg = "attempt to access unexposed or unknown remote attribute " + shown
	}
	return e
}

// take takes the quota of n calls from the limits of a decision.
func (d *Dispatcher) take(
	t trail, call *object.Call, m object.Method, decision *policy.Decision, n int, now time.Time,
) (grant, error) {
	if len(decision.Limits) == 0 {
		return grant{}, nil
	}
	g := grant{limits: decision.Limits, caller: call.Caller.Principal, id: call.ID.Family()}
	if l, err := d.quotas.Take(g.limits, g.caller, g.id, n, now); err != nil {
		d.note(t, call, m, decision.Reason, l.Reason)
		return grant{}, err
	}
	return g, nil
}

// trail is where the record of a decision goes.
type trail struct {
	session *Session // has the caller's fields as text; nil for an item of a stream

	// Of a call that a loop starts, which must not wait for the disk:
	round       *Round // writes the record of a permit later, before the call runs; nil: it is written at once
	async       *Async // keeps the record of a denial, for RecordDenial
	unstartable bool   // the loop cannot start the call, which ends with errUnstartable if it is permitted
}

// errUnstartable is the error of a permitted call that a loop cannot start. Nothing was done.
var errUnstartable = errors.New("not a call for a loop")

// note is Note for a call that is not one of a loop.
func (d *Dispatcher) note(t trail, call *object.Call, m object.Method, reason, exceeding string) {
	if t.async != nil {
		t.async.denial = d.denial(call, m, reason, exceeding)
		return
	}
	d.Note(call, m, reason, exceeding)
}

// permit writes the record of a permitted call, or stages it. A call without a record does not run: its quota is
// released.
func (d *Dispatcher) permit(g grant, r *audit.Record, t trail, call *object.Call) (grant, error) {
	log := d.audit.Load()
	if log == nil {
		return g, nil
	}
	r.Event, r.Permit = "call", true
	r.Caller, r.Call = &call.Caller, call.Corr
	if t.session != nil {
		r.Cache = &t.session.auditCaller
	}
	if t.round != nil {
		t.round.add(log, r)
		return g, nil
	}
	if err := log.Write(r); err != nil {
		d.cfg.Usage.Unaudited.Add(1)
		d.release(g)
		return grant{}, err
	}
	return g, nil
}

// Note records that a call is denied: in the log, in the audit log and in the counters. exceeding names the limit that
// rejects it, "" for none.
func (d *Dispatcher) Note(call *object.Call, m object.Method, reason, exceeding string) {
	d.Deny(d.denial(call, m, reason, exceeding))
}

// denial logs that a call is denied and returns its audit record.
func (d *Dispatcher) denial(call *object.Call, m object.Method, reason, exceeding string) *audit.Record {
	d.log.Debug("denied", "principal", string(call.Caller.Principal), "peer", call.Caller.Peer.Addr,
		"object", string(call.ID), "method", string(m), "reason", reason, "exceeding", exceeding)
	r := &audit.Record{
		Event:     "call",
		Caller:    &call.Caller,
		Object:    call.ID,
		Method:    m,
		Reason:    reason,
		Exceeding: exceeding,
		Call:      call.Corr,
	}
	if call.Kind == object.Batch {
		r.Count = len(call.Batch)
		if exceeding == "" { // a limit covers all of them
			r.Item = slices.Index(call.Batch, m) + 1
		}
	}
	return r
}

// Deny counts a denial and writes its audit record. A failed write changes nothing for the caller.
func (d *Dispatcher) Deny(r *audit.Record) {
	d.cfg.Usage.Deny(r.Event, r.Object, r.Exceeding != "")
	if log := d.audit.Load(); log != nil {
		_ = log.Write(r)
	}
}
