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

// anywhere is listeners without where in the file they stand.
func anywhere(all []Listener) []Listener {
	out := make([]Listener, len(all))
	for i, l := range all {
		l.Where = ""
		out[i] = l
	}
	return out
}
