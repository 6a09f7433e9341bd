package analysis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// Access is what a principal may call, or what depends on conditions: the same for all of
// some objects and methods.
type Access struct {
	Objects []string        `json:"objects"`          // ids; patterns, where no object is yet
	Methods []object.Method `json:"methods"`          // "*": every exposed one but Except
	Except  []object.Method `json:"except,omitempty"` // about which rules say something else
	Explanation
}

// AccessOf returns what a principal may call of the objects of ids, of which it may call
// nothing else, and of objects to come: for each pattern of the rules about it that covers
// no object of a tenant, of those that no narrower pattern covers. The host's own objects
// are not in it.
//
// given may be nil: what depends on facts is said to depend then. Else facts that are not
// given are not known, and what still depends is what conditions ask of a method or an
// object without a name.
func AccessOf(p *policy.Policy, who object.Principal, given *policy.Query, ids []object.ID) []Access {
	u := &partition{policies: []*policy.Policy{p}}
	var patterns []policy.Pattern
	permits, forbids := p.RulesAbout(who)
	for _, r := range append(permits, forbids...) {
		patterns = append(patterns, r.Objects...)
	}
	u.classifyObjects(ids, patterns)
	type row struct {
		Access
		of []member
	}
	var rows []*row
	at := map[string]*row{}
	for _, class := range u.objects {
		methods := u.distinctMethods(who, class[0].id)
		for _, what := range class {
			for _, r := range u.access(who, given, what, methods) {
				key := fmt.Sprint(r.Methods, r.Except, r.Outcome, r.Reason, r.Conditions)
				if at[key] == nil {
					at[key] = &row{Access: r}
					rows = append(rows, at[key])
				}
				at[key].of = append(at[key].of, what)
			}
		}
	}
	out := make([]Access, 0, len(rows))
	for _, r := range rows {
		r.Objects = u.labels(r.of)
		out = append(out, r.Access)
	}
	slices.SortFunc(out, func(a, b Access) int {
		return cmp.Or(slices.Compare(a.Objects, b.Objects), slices.Compare(a.Methods, b.Methods))
	})
	return out
}

// access is [Policy.Reach] of one object, about which rules name methods: one for each answer.
func (u *partition) access(who object.Principal, given *policy.Query, what member, methods []object.Method) []Access {
	p := u.policies[0]
	var out []Access
	for _, m := range methods {
		asked := u.representative(m, methods)
		e := Explain(p, who, what.id, asked)
		if given != nil && e.Outcome == Depends && !e.usesUnnamed(m, what) {
			d := p.DecideQuery(who, *given, what.id, asked)
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
		r.Except = slices.DeleteFunc(slices.Clone(methods), func(m object.Method) bool { return slices.Contains(r.Methods, m) })
		r.Methods = []object.Method{otherMethods}
	}
	return out
}

// usesUnnamed reports whether a condition is about what has no name here: a method that
// no rule names, or an object to come.
func (e *Explanation) usesUnnamed(m object.Method, what member) bool {
	return slices.ContainsFunc(e.conditional, func(r *policy.Rule) bool {
		return r.When.UsesMethod && m == otherMethods || r.When.UsesObject && what.label != string(what.id)
	})
}

// labels returns the labels of targets, sorted; what could be of every tenant is one.
func (u *partition) labels(of []member) []string {
	tenants := u.expand(policy.Pattern{Tenant: policy.AnyTenant})
	coming := map[string]int{} // in how many tenants
	for _, t := range of {
		if t.hypothetical {
			coming[t.label[strings.IndexByte(t.label, '.')+1:]]++
		}
	}
	var out []string
	for _, t := range of {
		name := t.label[strings.IndexByte(t.label, '.')+1:]
		if t.hypothetical && coming[name] == len(tenants) && (len(tenants) > 1 || u.policies[0].AllTenants) {
			t.label = policy.Pattern{Tenant: policy.AnyTenant, Name: name}.String()
		}
		out = append(out, t.label)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
