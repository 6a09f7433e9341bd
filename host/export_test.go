package host

import (
	"os"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// DisableLoops makes all connections of later hosts keep their goroutines.
func DisableLoops() { noLoops = true }

// PolicyOf returns the current policy.
func PolicyOf(h *Host) *policy.Policy { return h.current.Load().Policy }

// SourceOf returns the source of the script that serves an object.
func SourceOf(h *Host, id object.ID) string {
	return string(h.current.Load().Backends.Tenants[id.Tenant()].Objects[id].Script.Source)
}

// Workers returns the process IDs of the tenants' workers by tenant: 0 if the worker does not run.
func (h *Host) Workers() map[string]int {
	out := map[string]int{}
	for tenant, t := range h.current.Load().Backends.Tenants {
		if w, ok := t.Worker.(interface{ Running() int }); ok {
			out[string(tenant)] = w.Running()
		}
	}
	return out
}

// CloseAudit closes the audit log: later records fail.
func (h *Host) CloseAudit() { h.closeAudit() }

// Prewarmed returns the process IDs of the prewarmed workers.
func (h *Host) Prewarmed() []int { return h.pool.Ready() }

// SetMaxBytesInFlight limits the total bytes of all messages and replies in flight. Call it before Serve.
func SetMaxBytesInFlight(h *Host, maxBytes int64) { h.shares.Bytes.SetLimit(maxBytes) }

// SetMaxHistoryBytes limits the bytes of the old versions of a tenant's objects. Call it before Serve.
func SetMaxHistoryBytes(h *Host, maxBytes int64) { h.reload.SetMaxHistoryBytes(maxBytes) }

// UnfinishedCalls returns the number of a principal's running and waiting calls to a plugin's object.
func (h *Host) UnfinishedCalls(id object.ID, principal object.Principal) (n int) {
	h.current.Load().Backends.Plugins[id].Backend.Withdraw(func(c *object.Call) error {
		if c.ID == id && c.Caller.Principal == principal {
			n++
		}
		return nil
	})
	return n
}

// EnableLoops ends DisableLoops.
func EnableLoops() { noLoops = false }

// OpenConnections returns the number of open connections.
func OpenConnections(h *Host) int {
	open, _, _ := h.pyro.Connections()
	return open
}

// IdleConnections returns the number of connections that wait for a message.
func IdleConnections(h *Host) int {
	_, _, idle := h.pyro.Connections()
	return idle
}

// Take serves a connection of another process.
func (h *Host) Take(description []byte, f *os.File) { h.pyro.Take(description, f, h.transportListener) }
