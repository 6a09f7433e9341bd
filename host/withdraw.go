package host

import (
	"slices"

	"github.com/hearthhost/hearth/object"
)

// The reasons in the audit log for a call that was withdrawn. The host does not know which calls have begun: it
// knows it of a worker's calls only as of the worker's last report, and never of a plugin's.
const (
	withdrawnFromWorker = "denied: no longer permitted; the call waited for its object and does not begin any more, " +
		"unless it began meanwhile"
	withdrawnFromPlugin = "denied: no longer permitted; the call to the plugin is cancelled; " +
		"whether it was executed is unknown"
)

// withdraw takes back the calls that are not permitted any more: by the policy now in force, or since their connection
// was cut. A call that has begun in a worker runs on. A plugin's calls are cancelled. It waits for no process.
func (h *Host) withdraw(before *snapshot, cut map[uint64]bool) {
	snap := h.snap.Load()
	type denied struct {
		call   object.Call
		reason string
	}
	var taken []denied
	refuse := func(reason string) func(*object.Call) error {
		return func(call *object.Call) error {
			if !cut[call.Conn] && (snap.policy == before.policy || snap.permitsAll(call)) {
				return nil
			}
			own := *call // the connection uses its own again
			own.Batch = slices.Clone(call.Batch)
			taken = append(taken, denied{own, reason})
			return errUnknown
		}
	}
	fromWorker, fromPlugin := refuse(withdrawnFromWorker), refuse(withdrawnFromPlugin)
	seen := map[object.Backend]bool{}
	for _, s := range []*snapshot{before, snap} {
		for _, t := range s.tenants {
			if t.worker != nil && !seen[t.worker] {
				seen[t.worker] = true
				t.worker.Withdraw(fromWorker)
			}
		}
		for _, p := range s.plugins {
			if !seen[p.backend] {
				seen[p.backend] = true
				p.backend.Withdraw(fromPlugin)
			}
		}
	}
	// A disk that hangs keeps no reload and no revocation waiting: the calls are refused already.
	for i := range taken {
		call := &taken[i].call
		m := call.Method
		if call.Kind == object.Batch {
			m = call.Batch[0]
		}
		r := h.denial(call, m, taken[i].reason, "")
		h.ledger.Deny(r.Event, r.Object, false)
		if h.audit != nil {
			h.audit.Post(r)
		}
	}
}
