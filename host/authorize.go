package host

import (
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

func (h *Host) release(g grant) { h.quotas.release(g.limits, g.who, g.id) }

// authorize decides on a call and writes the decision down: the one place through which
// every call goes, from outside and from other objects, before anything is done. The
// host's own objects answer to anybody whom the host knows, each with what that caller may
// see. Whoever gets a grant releases it when the call is over.
func (h *Host) authorize(snap *snapshot, call *object.Call) (grant, error) {
	if call.ID == object.Daemon || call.ID == object.NameServer || call.ID == object.Enroll && enrolling(&call.Caller) {
		if call.Kind == object.Get || call.Kind == object.Set {
			return grant{}, errUnknown
		}
		return grant{}, nil
	}
	exists := snap.has(call.ID)
	call.Traceback = true
	if call.Kind != object.Batch {
		d := snap.policy.Decide(call.Caller, call.ID, call.Method)
		call.Traceback = d.Traceback
		return h.settle(call, call.Method, &d, exists, 1)
	}
	if len(call.Batch) == 0 {
		if !exists || !snap.policy.Visible(call.Caller, call.ID) {
			h.note(call, "", "denied: no permit covers this object", "")
			return grant{}, errUnknown
		}
		return grant{}, nil
	}
	// Each is decided, and the limits count them all, when the last one is.
	var g grant
	for i, m := range call.Batch {
		n := 0
		if i == len(call.Batch)-1 {
			n = len(call.Batch)
		}
		d := snap.policy.Decide(call.Caller, call.ID, m)
		call.Traceback = call.Traceback && d.Traceback
		var err error
		if g, err = h.settle(call, m, &d, exists, n); err != nil {
			return grant{}, err
		}
	}
	return g, nil
}

// settle does what a decision says and writes it down. n is how many calls begin; 0: none
// yet.
func (h *Host) settle(call *object.Call, m object.Method, d *policy.Decision, exists bool, n int) (grant, error) {
	switch {
	case !d.Permit:
		h.note(call, m, d.Reason, "")
		return grant{}, errUnknown
	case !exists:
		h.note(call, m, "denied: there is no such object; else by "+d.Reason, "")
		return grant{}, errUnknown
	}
	g := grant{}
	if n > 0 && len(d.Limits) > 0 {
		g = grant{d.Limits, call.Caller.Principal, call.ID}
		if l, err := h.quotas.take(d.Limits, g.who, g.id, n, time.Now()); err != nil {
			h.note(call, m, d.Reason, l.Reason)
			return grant{}, err
		}
	}
	if h.audit == nil {
		return g, nil
	}
	err := h.audit.Write(&audit.Record{Event: "call", Permit: true, Caller: &call.Caller, Object: call.ID, Method: m, Reason: d.Reason, Call: call.Corr})
	if err != nil {
		h.ledger.unaudited.Add(1)
		h.release(g)
		return grant{}, err
	}
	return g, nil
}

// note writes down that a call is denied. That it cannot be written changes nothing.
func (h *Host) note(call *object.Call, m object.Method, reason, exceeding string) {
	h.log.Debug("denied", "principal", string(call.Caller.Principal), "peer", call.Caller.Peer.Addr,
		"object", string(call.ID), "method", string(m), "reason", reason, "exceeding", exceeding)
	h.deny("call", &call.Caller, call.ID, m, reason, exceeding, call.Corr)
}

// deny counts a denial and writes it into the audit log.
func (h *Host) deny(event string, caller *object.Caller, id object.ID, m object.Method, reason, exceeding string, corr [16]byte) {
	h.ledger.deny(event, id, exceeding != "")
	if h.audit == nil {
		return
	}
	_ = h.audit.Write(&audit.Record{Event: event, Caller: caller, Object: id, Method: m, Reason: reason, Exceeding: exceeding, Call: corr})
}
