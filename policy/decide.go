package policy

import "github.com/hearthhost/hearth/object"

// Decision is the answer to "may they".
type Decision struct {
	Permit bool
	// Reason names the permit behind a yes, as `policy.hcl:14 permit "staff may read"`,
	// or says why not. It is for the log: a caller who is denied must not learn it.
	Reason string
	// Traceback says that the caller may see tracebacks of this call. False if denied.
	Traceback bool
}

// Why not.
const (
	denyMethod  = "denied: no method of this name is ever callable"
	denyObject  = "denied: not an object's id, or not of a tenant that is served"
	denyUnknown = "denied: no permit names this principal"
	denyNoRule  = "denied: no permit of this principal covers this object and method"
)

// Decide says whether caller may call method m of object id. What no permit covers is
// denied, and what a forbid covers, whatever permits it; names with a dot, private names and names outside ASCII are denied whatever a
// permit says, and so are ids that are malformed, the host's own, or of a tenant that is
// not served. It knows nothing of what exists. It does not allocate.
//
// If several permits cover the call, Reason names the first by name of those that allow
// tracebacks, else the first by name; of several forbids, the first by name. The order in
// the file means nothing.
func (p *Policy) Decide(caller object.Caller, id object.ID, m object.Method) Decision {
	if !m.Callable() {
		return Decision{Reason: denyMethod}
	}
	if !p.addressable(id) {
		return Decision{Reason: denyObject}
	}
	for _, r := range p.forbids[caller.Principal] {
		if r.covers(id, m) {
			return Decision{Reason: r.reason}
		}
	}
	var best *rule
	rules := p.rules[caller.Principal]
	for _, r := range rules {
		if (best == nil || r.traceback) && r.covers(id, m) {
			best = r
			if r.traceback {
				break
			}
		}
	}
	if best == nil && p.sibling(caller, id) {
		best = p.siblings
	}
	switch {
	case best != nil:
		return Decision{Permit: true, Reason: best.reason, Traceback: best.traceback}
	case len(rules) == 0:
		return Decision{Reason: denyUnknown}
	}
	return Decision{Reason: denyNoRule}
}

// Visible reports whether caller may call at least one method of id, if the object has
// it. What is not visible must look to the caller as if it did not exist.
func (p *Policy) Visible(caller object.Caller, id object.ID) bool {
	if !p.addressable(id) {
		return false
	}
	forbids := p.forbids[caller.Principal]
	for _, r := range p.rules[caller.Principal] {
		if r.coversObject(id) && r.leaves(id, forbids) {
			return true
		}
	}
	return p.sibling(caller, id)
}

// addressable reports whether id may be asked for at all.
func (p *Policy) addressable(id object.ID) bool { return wellFormed(id) && p.Serves(id.Tenant()) }

// sibling reports whether caller is an object of id's tenant and the policy lets those
// call each other. Principal and Tenant must both say so.
func (p *Policy) sibling(caller object.Caller, id object.ID) bool {
	if p.siblings == nil {
		return false
	}
	from, ok := callingObject(caller.Principal)
	return ok && wellFormed(from) && from.Tenant() == id.Tenant() && caller.Tenant == id.Tenant()
}

// wellFormed is what object.ParseID checks, without an error to explain it and so
// without allocating; ids of the host are for Serves to refuse.
func wellFormed(id object.ID) bool {
	if len(id) > object.MaxIDBytes {
		return false
	}
	parts, start := 0, 0
	for i := 0; i <= len(id); i++ {
		if i < len(id) && id[i] != '.' {
			continue
		}
		if !object.ValidName(string(id[start:i])) {
			return false
		}
		parts, start = parts+1, i+1
	}
	return parts >= 2
}
