package dispatch

import (
	"slices"

	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/object"
)

// Reasons in the audit log for a withdrawn call. The host does not know which calls have begun: for a worker it has the
// worker's last report, for a plugin it has nothing.
const (
	withdrawn = "denied: no longer permitted; the call waited for its object and does not begin any more, " +
		"unless it began meanwhile"
	withdrawnUncertain = "denied: no longer permitted; the call to the plugin is cancelled; " +
		"whether it was executed is unknown"
)

// withdrawer is a backend with a queue of calls.
type withdrawer interface {
	// Withdraw removes from the queue the calls for which refuse returns an error, and returns that error to their
	// callers.
	Withdraw(refuse func(*object.Call) error)
}

// Withdraw removes queued calls that are no longer permitted: by the policy now in force, or since their session is in
// cut. A worker's call that has begun runs on; a plugin's calls are cancelled. It waits for no process.
func (d *Dispatcher) Withdraw(before *snapshot.Snapshot, cut map[uint64]bool) {
	snap := d.cfg.Snapshot()
	type denied struct {
		call   object.Call
		reason string
	}
	var taken []denied
	refuse := func(reason string) func(*object.Call) error {
		return func(call *object.Call) error {
			if !cut[call.Conn] && (snap.Policy == before.Policy || snap.PermitsAll(call)) {
				return nil
			}
			own := *call // the connection reuses its call
			own.Batch = slices.Clone(call.Batch)
			taken = append(taken, denied{call: own, reason: reason})
			return ErrUnknown
		}
	}
	seen := map[object.Backend]bool{}
	for _, s := range []*snapshot.Snapshot{before, snap} {
		for b, to := range s.Routes.Backends() {
			w, ok := b.(withdrawer)
			if !ok || seen[b] {
				continue
			}
			seen[b] = true
			if to.Uncertain {
				w.Withdraw(refuse(withdrawnUncertain))
			} else {
				w.Withdraw(refuse(withdrawn))
			}
		}
	}
	// The records are posted, not written: the calls are refused already, and a disk that hangs must not delay a reload
	// or a revocation.
	for i := range taken {
		call := &taken[i].call
		m := call.Method
		if call.Kind == object.Batch {
			m = call.Batch[0]
		}
		r := d.denial(call, m, taken[i].reason, "")
		d.cfg.Usage.Deny(r.Event, r.Object, false)
		if log := d.audit.Load(); log != nil {
			log.Post(r)
		}
	}
}
