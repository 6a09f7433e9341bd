package analysis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// Access is a set of calls that a principal may make, or that depend on conditions. All calls of the set have the same
// explanation.
type Access struct {
	Objects []string        `json:"objects"`          // ids, or patterns without an object
	Methods []object.Method `json:"methods"`          // "*": every exposed method but those of Except
	Except  []object.Method `json:"except,omitempty"` // methods with another explanation
	Explanation
}

// AccessOf returns the calls that a principal may make. Every other call is denied.
//
// The result covers the objects of ids, and objects that do not exist yet: one for each pattern of the principal's
// rules that matches no object of a tenant. Of those it lists the patterns that no narrower pattern covers. The host's
// own objects are not included.
//
// If query is nil, a call whose decision needs a condition has the outcome Depends. Otherwise attributes that the
// query does not set are unknown, and only conditions on a method or an object without a name leave the outcome
// Depends.
func AccessOf(p *policy.Policy, who object.Principal, query *policy.Query, ids []object.ID) []Access {
	u := &partition{policies: []*policy.Policy{p}}
	var patterns []policy.Pattern
	permits, forbids := p.RulesAbout(who)
	for _, r := range append(permits, forbids...) {
		patterns = append(patterns, r.Objects...)
	}
	u.classifyObjects(ids, patterns)
	type row struct {
		Access
		members []member
	}
	var rows []*row
	at := map[string]*row{}
	for _, class := range u.objects {
		methods := u.distinctMethods(who, class[0].id)
		for _, what := range class {
			for _, r := range u.access(who, query, what, methods) {
				key := fmt.Sprint(r.Methods, r.Except, r.Outcome, r.Reason, r.Conditions)
				if at[key] == nil {
					at[key] = &row{Access: r}
					rows = append(rows, at[key])
				}
				at[key].members = append(at[key].members, what)
			}
		}
	}
	out := make([]Access, 0, len(rows))
	for _, r := range rows {
		r.Objects = u.labels(r.members)
		out = append(out, r.Access)
	}
	slices.SortFunc(out, func(a, b Access) int {
		return cmp.Or(slices.Compare(a.Objects, b.Objects), slices.Compare(a.Methods, b.Methods))
	})
	return out
}

// access returns the access of a principal to one object: one element for each distinct explanation. methods are the
// methods that rules name.
func (u *partition) access(who object.Principal, query *policy.Query, what member, methods []object.Method) []Access {
	p := u.policies[0]
	var out []Access
	for _, m := range methods {
		asked := u.representative(m, methods)
		e := Explain(p, who, what.id, asked)
		if query != nil && e.Outcome == Depends && !e.usesUnnamed(m, what) {
			d := p.DecideQuery(who, *query, what.id, asked)
			e = Explanation{Outcome: Deny, Reason: d.Reason}
			if d.Permit {
				e.Outcome = Permit
			}
		}
		if e.Outcome == Deny {
			continue
		}
		i := slices.IndexFunc(out, func(r Access) bool { return r.equal(&e) })
		if i < 0 {
			out = append(out, Access{Methods: []object.Method{m}, Explanation: e})
			continue
		}
		out[i].Methods = append(out[i].Methods, m)
	}
	for i := range out {
		r := &out[i]
		if !slices.Contains(r.Methods, otherMethods) {
			continue
		}
		// "*" stands for the methods without a name here, so that the named ones are exceptions.
		r.Except = slices.DeleteFunc(slices.Clone(methods), func(m object.Method) bool {
			return slices.Contains(r.Methods, m)
		})
		r.Methods = []object.Method{otherMethods}
	}
	return out
}

// usesUnnamed reports whether a condition reads the method or object of a call, and that one has no name here: a
// method that no rule names, or an object that does not exist yet.
func (e *Explanation) usesUnnamed(m object.Method, what member) bool {
	return slices.ContainsFunc(e.conditional, func(r *policy.Rule) bool {
		return r.When.UsesMethod && m == otherMethods || r.When.UsesObject && what.label != string(what.id)
	})
}

// labels returns the labels of members, sorted. A hypothetical object of every tenant gets one label, "*.name".
func (u *partition) labels(members []member) []string {
	tenants := u.expand(policy.Pattern{Tenant: policy.AnyTenant})
	tenantsWith := map[string]int{} // number of tenants by name of a hypothetical object
	for _, t := range members {
		if t.hypothetical {
			tenantsWith[t.label[strings.IndexByte(t.label, '.')+1:]]++
		}
	}
	var out []string
	for _, t := range members {
		name := t.label[strings.IndexByte(t.label, '.')+1:]
		if t.hypothetical && tenantsWith[name] == len(tenants) && (len(tenants) > 1 || u.policies[0].AllTenants) {
			t.label = policy.Pattern{Tenant: policy.AnyTenant, Name: name}.String()
		}
		out = append(out, t.label)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
