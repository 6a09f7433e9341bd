package policy

import "reflect"

// FixedChange returns the name of a setting that a running host cannot change and that differs from before, or "".
func (p *Policy) FixedChange(before *Policy) string {
	switch {
	case p.State != before.State:
		return "state"
	case p.Audit != before.Audit:
		return "the audit block"
	case p.Admin.Address != before.Admin.Address:
		return "the admin block"
	case p.Trace != before.Trace:
		return "the trace block"
	case !reflect.DeepEqual(withoutPositions(p.Listeners), withoutPositions(before.Listeners)):
		return "a listener"
	}
	return ""
}

// KeepFixed replaces the settings that [Policy.FixedChange] compares by those of before. A host uses it when its
// successor already runs under the new policy: the rest of that policy applies to the host's remaining connections.
// Call it before p is shared.
func (p *Policy) KeepFixed(before *Policy) {
	p.State = before.State
	p.Audit = before.Audit
	p.Admin = before.Admin
	p.Trace = before.Trace
	p.Listeners = before.Listeners
}

// withoutPositions returns copies of listeners without their positions in the file.
func withoutPositions(all []Listener) []Listener {
	out := make([]Listener, len(all))
	for i, l := range all {
		l.Where = ""
		out[i] = l
	}
	return out
}
