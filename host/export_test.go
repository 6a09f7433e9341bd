package host

import "github.com/hearthhost/hearth/policy"

// SetPolicy lets another policy decide from now on.
func (h *Host) SetPolicy(p *policy.Policy) {
	next := *h.snap.Load()
	next.policy = p
	h.snap.Store(&next)
}

// CloseAudit makes the audit log one that takes nothing more.
func (h *Host) CloseAudit() { h.closeAudit() }
