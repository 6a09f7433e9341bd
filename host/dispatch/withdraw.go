package dispatch

import (
	"slices"

	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/object"
)

// Reasons in the audit log for a withdrawn call. The host has no exact list of the calls that have begun: for a worker
// it has the worker's last report, for a plugin it has no information.
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

// Withdraw removes queued calls that the policy in force no longer permits, and those of revoked sessions. A worker's
// call that has begun continues. A plugin's calls are cancelled. Withdraw does not wait for a process.
func (d *Dispatcher) Withdraw(before *snapshot.Snapshot, revoked map[uint64]bool) {
	snap := d.cfg.Snapshot()
	type denied struct {
		call   object.Call
		reason string
	}
	var removed []denied
	refuse := func(reason string) func(*object.Call) error {
		return func(call *object.Call) error {
			if !revoked[call.Conn] && (snap.Policy == before.Policy || snap.PermitsAll(call)) {
				return nil
			}
			clone := *call // the connection reuses its call
			clone.Batch = slices.Clone(call.Batch)
			removed = append(removed, denied{call: clone, reason: reason})
			return ErrUnknown
		}
	}
	visited := map[object.Backend]bool{} // a backend may have routes in both snapshots
	for _, s := range []*snapshot.Snapshot{before, snap} {
		for b, to := range s.Routes.Backends() {
			w, ok := b.(withdrawer)
			if !ok || visited[b] {
				continue
			}
			visited[b] = true
			if to.Uncertain {
				w.Withdraw(refuse(withdrawnUncertain))
			} else {
				w.Withdraw(refuse(withdrawn))
			}
		}
	}
	// The records are queued and not written at once: the calls are already rejected, and a disk that hangs must not
	// delay a reload or a revocation.
	for i := range removed {
		call := &removed[i].call
		m := call.Method
		if call.Kind == object.Batch {
			m = call.Batch[0]
		}
		r := d.denial(call, m, removed[i].reason, "")
		d.cfg.Usage.Deny(r.Event, r.Object, false)
		if log := d.audit.Load(); log != nil {
			log.Post(r)
		}
	}
}
