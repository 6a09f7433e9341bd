package policy

import (
	"slices"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/condition"
)

// Decision is the result of authorizing one call.
type Decision struct {
	Permit bool
	// Reason names the deciding permit or forbid, as `policy.hcl:14 permit "staff may read"`, or the cause of a
	// denial. Log it, and do not send it to a denied caller.
	Reason string
	// Traceback permits the caller to see tracebacks of this call. False if denied.
	Traceback bool
	// Limits are the limits of the principal's calls of the object. All apply. Nil if denied. Do not modify it.
	Limits []*Limit
}

// Reasons of denials without a forbid.
const (
	DenyMethod    = "denied: no method with this name can be called"
	DenyObject    = "denied: the id is malformed or its tenant is not served"
	DenyUnknown   = "denied: no permit names this principal"
	DenyNoRule    = "denied: no permit of this principal covers this object and method"
	DenyCondition = "denied: the conditions of the permits that cover this object and method do not hold"
)

// Decide returns the decision on a call of method m of object id at the current time.
//
// A call that no permit covers is denied, and a call that a forbid covers is denied despite permits. Methods with a
// dot, private names and names outside ASCII are always denied. So are ids that are malformed, that are the host's
// own, or whose tenant is not served. Decide does not check that the object exists. It does not allocate if the
// decision is cached and no condition fails.
//
// A rule with a condition applies if the condition holds. If an attribute in the condition is not known for this
// caller, the safe side counts: a permit does not apply, and a forbid does.
//
// If several permits cover the call, Reason names the first by name of those that allow tracebacks, if any, and
// otherwise the first by name. Of several forbids, it names the first by name of those without a condition, if any,
// and otherwise the first by name. The order of the file has no effect.
func (p *Policy) Decide(caller object.Caller, id object.ID, m object.Method) Decision {
	if BaseMethod(m) != m { // "total=" is the name of a setter in rules
		return Decision{Reason: DenyMethod}
	}
	return p.decide(&caller, id, m, nil)
}

// DecideSet is [Policy.Decide] for setting attribute m. A permit with methods permits it with "m=". A forbid with
// methods forbids it with "m=" or "m".
func (p *Policy) DecideSet(caller object.Caller, id object.ID, m object.Method) Decision {
	if BaseMethod(m) != m {
		return Decision{Reason: DenyMethod}
	}
	return p.decide(&caller, id, Setter(m), nil)
}

// decide decides on a name in the syntax of rules, at a time or, if at is nil, now.
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
		return e.decide(p, caller, nil)
	}
	ctx := p.context(caller, id, m, at)
	d := e.decide(p, caller, ctx)
	ctx.Release()
	return d
}

// context returns the context of a call for conditions. Release it after use.
func (p *Policy) context(caller *object.Caller, id object.ID, m object.Method, at *time.Time) *condition.Context {
	return p.env.NewContext(caller, id, BaseMethod(m), at)
}

// decide evaluates the conditions of the matched rules. ctx may be nil if the entry is unconditional.
func (e *entry) decide(p *Policy, caller *object.Caller, ctx *condition.Context) Decision {
	for _, r := range e.Forbids {
		holds, err := r.holds(ctx)
		if err != nil {
			return Decision{Reason: r.Reason + ": its condition cannot be evaluated: " + err.Error()}
		}
		if holds {
			return Decision{Reason: r.Reason}
		}
	}
	var failed error
	for _, r := range e.Permits {
		holds, err := r.holds(ctx)
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

// holds reports whether the condition of the rule holds. ctx may be nil if the rule has no condition.
func (r *Rule) holds(ctx *condition.Context) (bool, error) {
	if r.When == nil {
		return true, nil
	}
	return r.When.Holds(ctx)
}

// Visible reports whether the caller may call at least one method of id, if the object has that method. To the caller,
// an object that is not visible must look like one that does not exist. For a keyed object with [object.AnyKey] as its
// key, it reports whether that holds for one of [Policy.Examples].
func (p *Policy) Visible(caller object.Caller, id object.ID) bool {
	return p.visible(&caller, id, false)
}

// VisibleWithTracebacks is [Policy.Visible] for a call whose tracebacks the caller may see.
func (p *Policy) VisibleWithTracebacks(caller object.Caller, id object.ID) bool {
	return p.visible(&caller, id, true)
}

// visible is [Policy.Visible]. With tracebacks, only permits that allow tracebacks count.
func (p *Policy) visible(caller *object.Caller, id object.ID, tracebacks bool) bool {
	if isFamily(id) {
		return slices.ContainsFunc(p.examples(caller.Principal, id), func(id object.ID) bool {
			return p.visible(caller, id, tracebacks)
		})
	}
	if !p.Addressable(id) {
		return false
	}
	e := p.entry(caller.Principal, id, "")
	if e.Sibling && caller.Tenant == id.Tenant() && (p.Siblings.Tracebacks || !tracebacks) {
		return true
	}
	if e.unconditional {
		return e.anyMethodPermitted(nil, tracebacks)
	}
	ctx := p.context(caller, id, "", nil)
	defer ctx.Release()
	return e.anyMethodPermitted(ctx, tracebacks)
}

// anyMethodPermitted reports whether the rules about an object permit a method. With tracebacks, only permits that
// allow tracebacks count. ctx may be nil if no rule has a condition.
func (e *entry) anyMethodPermitted(ctx *condition.Context, tracebacks bool) bool {
	for _, r := range e.Permits {
		if tracebacks && !r.Tracebacks {
			continue
		}
		for m := range r.Methods {
			if ctx != nil {
				ctx.Method = BaseMethod(m)
			}
			if r.applies(ctx, false) && !e.forbidden(m, ctx) {
				return true
			}
		}
		if r.Methods != nil {
			continue
		}
		// A permit of all methods: only a forbid of all methods leaves no method.
		if ctx != nil {
			ctx.Method = ""
		}
		if r.applies(ctx, false) && !e.forbidden("", ctx) {
			return true
		}
	}
	return false
}

// forbidden reports whether a forbid covers method m, or if m is empty, every method.
func (e *entry) forbidden(m object.Method, ctx *condition.Context) bool {
	for _, r := range e.Forbids {
		if (r.Methods == nil || m != "" && r.coversMethod(m)) && r.applies(ctx, true) {
			return true
		}
	}
	return false
}

// applies reports whether a rule's condition holds. If ctx.Method is empty and the condition reads it, applies reports
// whether it may hold for some method. unknown is the result for other attributes that are not known.
func (r *Rule) applies(ctx *condition.Context, unknown bool) bool {
	holds, err := r.holds(ctx)
	switch {
	case err == nil:
		return holds
	case ctx.Method == "" && r.When.UsesMethod:
		return !unknown
	}
	return unknown
}

// Addressable reports whether an id is well formed and its tenant is served.
func (p *Policy) Addressable(id object.ID) bool { return validID(id) && p.Serves(id.Tenant()) }

// validID is object.ParseTarget without the error, and so without allocation. It accepts the host's own ids.
func validID(id object.ID) bool {
	if len(id) > object.MaxIDBytes {
		return false
	}
	id, key, keyed := id.Split()
	if keyed && !object.ValidKey(key) {
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
