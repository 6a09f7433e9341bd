package policy

import (
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/condition"
)

// Decision is the answer to "may they".
type Decision struct {
	Permit bool
	// Reason names the permit behind a yes, as `policy.hcl:14 permit "staff may read"`,
	// or says why not. It is for the log: a caller who is denied must not learn it.
	Reason string
	// Traceback says that the caller may see tracebacks of this call. False if denied.
	Traceback bool
	// Limits bound how often and how many at a time the principal may call the object;
	// all of them count. Nil if denied. Do not change it.
	Limits []*Limit
}

// Why not.
const (
	DenyMethod    = "denied: no method of this name is ever callable"
	DenyObject    = "denied: not an object's id, or not of a tenant that is served"
	DenyUnknown   = "denied: no permit names this principal"
	DenyNoRule    = "denied: no permit of this principal covers this object and method"
	DenyCondition = "denied: no permit that covers this object and method applies under its condition"
)

// Decide says whether caller may call method m of object id now. What no permit covers is
// denied, and what a forbid covers, whatever permits it; names with a dot, private names
// and names outside ASCII are denied whatever a permit says, and so are ids that are
// malformed, the host's own, or of a tenant that is not served. It knows nothing of what
// exists. It does not allocate if it was asked the same lately and no condition fails.
//
// A permit or forbid with a condition counts if the condition holds. One that cannot be
// decided, since a fact that it asks for is not known of this caller, denies: a permit
// does not permit then, and a forbid forbids.
//
// If several permits cover the call, Reason names the first by name of those that allow
// tracebacks, else the first by name; of several forbids, the first by name of those
// without condition, else the first by name. The order in the file means nothing.
func (p *Policy) Decide(caller object.Caller, id object.ID, m object.Method) Decision {
	if BaseMethod(m) != m { // as rules name a setting, and nobody a method
		return Decision{Reason: DenyMethod}
	}
	return p.decide(&caller, id, m, nil)
}

// DecideSet is [Policy.Decide] for setting attribute m: what a permit with methods permits
// if they have "m=", and a forbid with methods forbids if they have "m=" or "m".
func (p *Policy) DecideSet(caller object.Caller, id object.ID, m object.Method) Decision {
	if BaseMethod(m) != m {
		return Decision{Reason: DenyMethod}
	}
	return p.decide(&caller, id, Setter(m), nil)
}

// decide decides at a time, or now if it is nil, on what rules may name.
func (p *Policy) decide(caller *object.Caller, id object.ID, m object.Method, at *time.Time) Decision {
	e := p.cache.get(caller.Principal, id, m)
	if e == nil {
		if !Callable(m) {
			return Decision{Reason: DenyMethod}
		}
		if !p.Addressable(id) {
			return Decision{Reason: DenyObject}
		}
		e = p.entry(caller.Principal, id, m)
		p.cache.put(e)
	}
	if e.unconditional {
		return e.settle(p, caller, nil)
	}
	f := p.context(caller, id, m, at)
	d := e.settle(p, caller, f)
	f.Release()
	return d
}

// context returns the context of a call, to be released.
func (p *Policy) context(caller *object.Caller, id object.ID, m object.Method, at *time.Time) *condition.Context {
	return p.env.NewContext(caller, id, BaseMethod(m), at)
}

// settle decides by what was matched and, where rules have conditions, the facts.
func (e *entry) settle(p *Policy, caller *object.Caller, f *condition.Context) Decision {
	for _, r := range e.Forbids {
		holds, err := r.holds(f)
		if err != nil {
			return Decision{Reason: r.Reason + ": it cannot be told whether it applies: " + err.Error()}
		}
		if holds {
			return Decision{Reason: r.Reason}
		}
	}
	var failed error
	for _, r := range e.Permits {
		holds, err := r.holds(f)
		if holds && err == nil {
			return Decision{Permit: true, Reason: r.Reason, Traceback: r.Tracebacks, Limits: e.Limits}
		}
		if err != nil && failed == nil {
			failed = err
		}
	}
	switch {
	case e.Sibling && caller.Tenant == e.id.Tenant():
		return Decision{Permit: true, Reason: p.Siblings.Reason, Traceback: p.Siblings.Tracebacks, Limits: e.Limits}
	case failed != nil:
		return Decision{Reason: DenyCondition + ": " + failed.Error()}
	case len(e.Permits) > 0:
		return Decision{Reason: DenyCondition}
	case !p.HasPermit(caller.Principal):
		return Decision{Reason: DenyUnknown}
	}
	return Decision{Reason: DenyNoRule}
}

// holds reports whether the rule counts, by its condition. f may be nil if it has none.
func (r *Rule) holds(f *condition.Context) (bool, error) {
	if r.When == nil {
		return true, nil
	}
	return r.When.Holds(f)
}

// Visible reports whether caller may call at least one method of id, if the object has
// it. What is not visible must look to the caller as if it did not exist.
func (p *Policy) Visible(caller object.Caller, id object.ID) bool {
	return p.reaches(&caller, id, false)
}

// Debugs is [Policy.Visible] for a caller who may also see tracebacks of the call.
func (p *Policy) Debugs(caller object.Caller, id object.ID) bool {
	return p.reaches(&caller, id, true)
}

// reaches is [Policy.Visible], by permits that allow tracebacks alone if so wanted.
func (p *Policy) reaches(caller *object.Caller, id object.ID, tracebacks bool) bool {
	if !p.Addressable(id) {
		return false
	}
	e := p.entry(caller.Principal, id, "")
	if e.Sibling && caller.Tenant == id.Tenant() && (p.Siblings.Tracebacks || !tracebacks) {
		return true
	}
	if e.unconditional {
		return e.reachable(nil, tracebacks)
	}
	f := p.context(caller, id, "", nil)
	defer f.Release()
	return e.reachable(f, tracebacks)
}

// reachable reports whether the rules about an object leave a method that may be called, and
// tracebacks seen if so wanted. f may be nil if no rule has a condition.
func (e *entry) reachable(f *condition.Context, tracebacks bool) bool {
	for _, r := range e.Permits {
		if tracebacks && !r.Tracebacks {
			continue
		}
		for m := range r.Methods {
			if f != nil {
				f.Method = BaseMethod(m)
			}
			if r.may(f, false) && !e.forbidden(m, f) {
				return true
			}
		}
		if r.Methods != nil {
			continue
		}
		// Names of methods are without number: only a forbid of all of them leaves none.
		if f != nil {
			f.Method = ""
		}
		if r.may(f, false) && !e.forbidden("", f) {
			return true
		}
	}
	return false
}

// forbidden reports whether a forbid is about method m, or, if that is empty, about every
// method.
func (e *entry) forbidden(m object.Method, f *condition.Context) bool {
	for _, r := range e.Forbids {
		if (r.Methods == nil || m != "" && r.coversMethod(m)) && r.may(f, true) {
			return true
		}
	}
	return false
}

// may reports whether a rule counts, for some method if none is known. ifUnsure is whether
// it does if that cannot be told for another reason.
func (r *Rule) may(f *condition.Context, ifUnsure bool) bool {
	holds, err := r.holds(f)
	switch {
	case err == nil:
		return holds
	case f.Method == "" && r.When.UsesMethod:
		return !ifUnsure
	}
	return ifUnsure
}

// Addressable reports whether id may be asked for at all.
func (p *Policy) Addressable(id object.ID) bool { return wellFormed(id) && p.Serves(id.Tenant()) }

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
