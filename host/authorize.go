package host

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// grant is leave for one call, and what it occupies until it is given back. The zero value
// occupies nothing.
type grant struct {
	limits []*policy.Limit
	who    object.Principal
	id     object.ID
}

func (h *Host) release(g grant) { h.quotas.Release(g.limits, g.who, g.id) }

// authorize decides on a call and writes the decision down: the one place through which
// every call goes, from outside and from other objects, before anything is done. The
// host's own objects answer to anybody whom the host knows, each with what that caller may
// see. Whoever gets a grant releases it when the call is over.
func (h *Host) authorize(snap *snapshot, call *object.Call) (grant, error) {
	if call.ID == object.Daemon || call.ID == object.NameServer || call.ID == object.Enroll && enrolling(&call.Caller) {
		return h.authorizeOwn(snap, call)
	}
	exists := snap.has(call.ID)
	call.Traceback = true
	if call.Kind != object.Batch {
		m, d := snap.decide(call)
		call.Traceback = d.Traceback
		return h.settle(snap, call, m, &d, exists)
	}
	if len(call.Batch) == 0 {
		if !exists || !snap.policy.Visible(call.Caller, call.ID) {
			h.note(call, "", "denied: no permit covers this object", "")
			return grant{}, errUnknown
		}
		return grant{}, nil
	}
	return h.authorizeBatch(snap, call, exists)
}

// authorizeOwn decides on a call of one of the host's own objects, of which limits count the calls as of any other. A
// call that is refused is in the audit log.
func (h *Host) authorizeOwn(snap *snapshot, call *object.Call) (grant, error) {
	if call.Kind == object.Get || call.Kind == object.Set {
		return grant{}, errUnknown
	}
	if call.ID == object.Daemon && call.Method == nextItem {
		return grant{}, nil // the item is a call of its object, and counted there
	}
	d := policy.Decision{Reason: "the host's own object", Limits: snap.policy.LimitsOf(call.Caller.Principal, call.ID)}
	return h.take(call, call.Method, &d, max(len(call.Batch), 1))
}

// nextItem is the method of Pyro.Daemon that fetches an item of a stream.
const nextItem = "get_next_stream_item"

// authorizeBatch decides on all calls of a batch before anything is written or counted: nothing of it is executed
// if one may not be. One record covers it.
func (h *Host) authorizeBatch(snap *snapshot, call *object.Call, exists bool) (grant, error) {
	batch, err := audit.NewBatch(call.Batch)
	if err != nil {
		h.note(call, "", "denied: too many different methods in a batch", "")
		return grant{}, err
	}
	var d policy.Decision
	for i := range batch.Items {
		item := &batch.Items[i]
		d = snap.policy.Decide(call.Caller, call.ID, item.Method)
		call.Traceback = call.Traceback && d.Traceback
		if err := h.refuse(snap, call, item.Method, &d, exists); err != nil {
			return grant{}, err
		}
		item.Reason = d.Reason
	}
	g, err := h.take(call, batch.Items[0].Method, &d, len(call.Batch))
	if err != nil || h.audit == nil {
		return g, err
	}
	return h.written(g, h.audit.Write(&audit.Record{Event: "call", Permit: true, Caller: &call.Caller, Object: call.ID, Batch: batch, Call: call.Corr}))
}

// settle does what a decision on one call says and writes it down.
func (h *Host) settle(snap *snapshot, call *object.Call, m object.Method, d *policy.Decision, exists bool) (grant, error) {
	if err := h.refuse(snap, call, m, d, exists); err != nil {
		return grant{}, err
	}
	g, err := h.take(call, m, d, 1)
	if err != nil || h.audit == nil {
		return g, err
	}
	return h.written(g, h.audit.Write(&audit.Record{Event: "call", Permit: true, Caller: &call.Caller, Object: call.ID, Method: m, Reason: d.Reason, Call: call.Corr}))
}

// refuse is the error for what a decision does not permit, or is not there, and notes it.
func (h *Host) refuse(snap *snapshot, call *object.Call, m object.Method, d *policy.Decision, exists bool) error {
	switch {
	case !d.Permit:
		h.note(call, m, d.Reason, "")
		if name := strings.TrimSuffix(string(m), "="); exists && !object.Method(name).Callable() && snap.policy.Visible(call.Caller, call.ID) {
			return noAttribute(name)
		}
		return errUnknown
	case !exists:
		h.note(call, m, "denied: there is no such object; else by "+d.Reason, "")
		return errUnknown
	}
	return nil
}

// noAttribute is the answer about a name that no object can have, as of a Python daemon. Callers who may not see the
// object get errUnknown.
func noAttribute(name string) error {
	e := &object.Error{Code: object.CodeNotFound, Class: "AttributeError"}
	shown := strconv.Quote(name[:min(len(name), maxNameShown)])
	if strings.HasPrefix(name, "_") {
		e.Msg = "attempt to access private attribute " + shown
	} else {
		e.Msg = "attempt to access unexposed or unknown remote attribute " + shown
	}
	return e
}

// maxNameShown bounds the bytes of a name in an error.
const maxNameShown = 100

// take counts n calls that begin against the limits of a decision.
func (h *Host) take(call *object.Call, m object.Method, d *policy.Decision, n int) (grant, error) {
	if len(d.Limits) == 0 {
		return grant{}, nil
	}
	g := grant{d.Limits, call.Caller.Principal, call.ID}
	if l, err := h.quotas.Take(d.Limits, g.who, g.id, n, time.Now()); err != nil {
		h.note(call, m, d.Reason, l.Reason)
		return grant{}, err
	}
	return g, nil
}

// written passes on a grant that was written down, unless err says that it was not.
func (h *Host) written(g grant, err error) (grant, error) {
	if err != nil {
		h.ledger.Unaudited.Add(1)
		h.release(g)
		return grant{}, err
	}
	return g, nil
}

// note writes down that a call is denied. That it cannot be written changes nothing.
func (h *Host) note(call *object.Call, m object.Method, reason, exceeding string) {
	h.deny(h.denial(call, m, reason, exceeding))
}

// denial logs that a call is denied and returns the record of it.
func (h *Host) denial(call *object.Call, m object.Method, reason, exceeding string) *audit.Record {
	h.log.Debug("denied", "principal", string(call.Caller.Principal), "peer", call.Caller.Peer.Addr,
		"object", string(call.ID), "method", string(m), "reason", reason, "exceeding", exceeding)
	r := &audit.Record{Event: "call", Caller: &call.Caller, Object: call.ID, Method: m, Reason: reason, Exceeding: exceeding, Call: call.Corr}
	if call.Kind == object.Batch {
		r.Count = len(call.Batch)
		if exceeding == "" { // a limit is about all of them
			r.Item = slices.Index(call.Batch, m) + 1
		}
	}
	return r
}

// deny counts a denial and writes it into the audit log.
func (h *Host) deny(r *audit.Record) {
	h.ledger.Deny(r.Event, r.Object, r.Exceeding != "")
	if h.audit != nil {
		_ = h.audit.Write(r)
	}
}
