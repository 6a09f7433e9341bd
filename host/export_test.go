package host

import (
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// PolicyOf returns the policy that is in force.
func PolicyOf(h *Host) *policy.Policy { return h.snap.Load().Policy }

// SourceOf returns the script that serves as an object.
func SourceOf(h *Host, id object.ID) string {
	return string(h.snap.Load().tenants[id.Tenant()].objects[id].Script.Source)
}

// Workers returns the process ids of the tenants' workers, 0 for one that does not run.
func (h *Host) Workers() map[string]int {
	out := map[string]int{}
	for tenant, t := range h.snap.Load().tenants {
		if w, ok := t.worker.(interface{ Running() int }); ok {
			out[string(tenant)] = w.Running()
		}
	}
	return out
}

// CloseAudit makes the audit log one that takes nothing more.
func (h *Host) CloseAudit() { h.closeAudit() }

// Prewarmed returns the process ids of the prewarmed workers.
func (h *Host) Prewarmed() []int { return h.pool.Ready() }

// BoundFlight limits the bytes that all messages and answers take together. Call it before Serve.
func BoundFlight(h *Host, most int64) { h.shares.Bytes.SetLimit(most) }

// BoundHistory has the former versions of a tenant's objects take so many bytes at most. Call
// it before Serve.
func BoundHistory(h *Host, most int64) { h.reloader.history.maxBytes = most }

// UnderWay returns how many calls of a principal to a plugin's object are under way, those that wait included.
func (h *Host) UnderWay(id object.ID, who object.Principal) (n int) {
	h.snap.Load().plugins[id].backend.Withdraw(func(c *object.Call) error {
		if c.ID == id && c.Caller.Principal == who {
			n++
		}
		return nil
	})
	return n
}
