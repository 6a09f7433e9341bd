package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
)

// Reach is what a principal may call, or what depends on conditions: the same for all of
// some objects and methods.
type Reach struct {
	Objects []string        `json:"objects"`          // ids; patterns, where no object is yet
	Methods []object.Method `json:"methods"`          // "*": every exposed one but Except
	Except  []object.Method `json:"except,omitempty"` // about which rules say something else
	Explanation
}

// Reach returns what a principal may call of the objects of ids, of which it may call
// nothing else, and of objects to come: for each pattern of the rules about it that covers
// no object of a tenant, of those that no narrower pattern covers. The host's own objects
// are not in it.
//
// given may be nil: what depends on facts is said to depend then. Else facts that are not
// given are not known, and what still depends is what conditions ask of a method or an
// object without a name.
func (p *Policy) Reach(who object.Principal, given *Query, ids []object.ID) []Reach {
	u := &universe{policies: []*Policy{p}}
	var patterns []pattern
	permits, forbids := p.rulesAbout(who)
	for _, r := range append(permits, forbids...) {
		patterns = append(patterns, r.objects...)
	}
	u.sortObjects(ids, patterns)
	type row struct {
		Reach
		of []target
	}
	var rows []*row
	at := map[string]*row{}
	for _, class := range u.objects {
		methods := u.methods(who, class[0].id)
		for _, what := range class {
			for _, r := range u.reach(who, given, what, methods) {
				key := fmt.Sprint(r.Methods, r.Except, r.Outcome, r.Reason, r.Conditions)
				if at[key] == nil {
					at[key] = &row{Reach: r}
					rows = append(rows, at[key])
				}
				at[key].of = append(at[key].of, what)
			}
		}
	}
	out := make([]Reach, 0, len(rows))
	for _, r := range rows {
		r.Objects = u.labels(r.of)
		out = append(out, r.Reach)
	}
	slices.SortFunc(out, func(a, b Reach) int {
		return cmp.Or(slices.Compare(a.Objects, b.Objects), slices.Compare(a.Methods, b.Methods))
	})
	return out
}

// reach is [Policy.Reach] of one object, about which rules name methods: one for each answer.
func (u *universe) reach(who object.Principal, given *Query, what target, methods []object.Method) []Reach {
	p := u.policies[0]
	var out []Reach
	for _, m := range methods {
		asked := u.unnamed(m, methods)
		e := p.Explain(who, what.id, asked)
		if given != nil && e.Outcome == Depends && !e.asksUnnamed(m, what) {
			d := p.DecideQuery(who, *given, what.id, asked)
			e = Explanation{Outcome: Deny, Reason: d.Reason}
			if d.Permit {
				e.Outcome = Permit
			}
		}
		if e.Outcome == Deny {
			continue
		}
		i := slices.IndexFunc(out, func(r Reach) bool { return r.equal(&e) })
		if i < 0 {
			out = append(out, Reach{Methods: []object.Method{m}, Explanation: e})
			continue
		}
		out[i].Methods = append(out[i].Methods, m)
	}
	for i := range out {
		r := &out[i]
		if !slices.Contains(r.Methods, anyOther) {
			continue
		}
		r.Except = slices.DeleteFunc(slices.Clone(methods), func(m object.Method) bool { return slices.Contains(r.Methods, m) })
		r.Methods = []object.Method{anyOther}
	}
	return out
}

// asksUnnamed reports whether a condition is about what has no name here: a method that
// no rule names, or an object to come.
func (e *Explanation) asksUnnamed(m object.Method, what target) bool {
	return slices.ContainsFunc(e.conditional, func(r *rule) bool {
		return r.when.asksMethod && m == anyOther || r.when.asksObject && what.label != string(what.id)
	})
}

// labels returns the labels of targets, sorted; what could be of every tenant is one.
func (u *universe) labels(of []target) []string {
	tenants := u.tenants(pattern{tenant: anyTenant})
	coming := map[string]int{} // in how many tenants
	for _, t := range of {
		if t.coming {
			coming[t.label[strings.IndexByte(t.label, '.')+1:]]++
		}
	}
	var out []string
	for _, t := range of {
		name := t.label[strings.IndexByte(t.label, '.')+1:]
		if t.coming && coming[name] == len(tenants) && (len(tenants) > 1 || u.policies[0].AllTenants) {
			t.label = pattern{anyTenant, name}.String()
		}
		out = append(out, t.label)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
