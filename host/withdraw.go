package host

import (
	"slices"

	"github.com/hearthhost/hearth/object"
)

// withdraw takes back the calls that wait for an object and are not permitted any more: by the policy now in
// force, or since their connection was cut. A call that has begun runs on. It waits for no worker.
func (h *Host) withdraw(before *snapshot, cut map[uint64]bool) {
	snap := h.snap.Load()
	var taken []object.Call
	refuse := func(call *object.Call) error {
		if !cut[call.Conn] && (snap.policy == before.policy || snap.permitsAll(call)) {
			return nil
		}
		own := *call // the connection uses its own again
		own.Batch = slices.Clone(call.Batch)
		taken = append(taken, own)
		return errUnknown
	}
	seen := map[worker]bool{}
	for _, s := range []*snapshot{before, snap} {
		for _, t := range s.tenants {
			if t.worker != nil && !seen[t.worker] {
				seen[t.worker] = true
				t.worker.Withdraw(refuse)
			}
		}
	}
	// A disk that hangs keeps no reload and no revocation waiting: the calls are refused already.
	for i := range taken {
		call := &taken[i]
		m := call.Method
		if call.Kind == object.Batch {
			m = call.Batch[0]
		}
		r := h.denial(call, m, "denied: no longer permitted; the call waited for its object and has not begun", "")
		h.ledger.deny(r.Event, r.Object, false)
		if h.audit != nil {
			h.audit.Post(r)
		}
	}
}
