package policy

import "reflect"

// Fixed names what a running host cannot change from one policy to the next, if that is
// other in before: "" if nothing is.
func (p *Policy) Fixed(before *Policy) string {
	switch {
	case p.State != before.State:
		return "state"
	case p.Audit != before.Audit:
		return "the audit block"
	case p.Admin.Address != before.Admin.Address:
		return "the admin block"
	case p.Trace != before.Trace:
		return "the trace block"
	case !reflect.DeepEqual(anywhere(p.Listeners), anywhere(before.Listeners)):
		return "a listener"
	}
	return ""
}

// Keep gives p what [Policy.Fixed] compares as before has it. It is for a host whose successor
// runs under the policy of the file already: for the connections that are left to it the rest of
// that policy counts. Call it before p is shared.
func (p *Policy) Keep(before *Policy) {
	p.State, p.Audit, p.Admin, p.Trace, p.Listeners = before.State, before.Audit, before.Admin, before.Trace, before.Listeners
}

// anywhere is listeners without where in the file they stand.
func anywhere(all []Listener) []Listener {
	out := make([]Listener, len(all))
	for i, l := range all {
		l.Where = ""
		out[i] = l
	}
	return out
}
