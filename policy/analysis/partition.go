package analysis

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// partition is everybody and everything that policies can tell apart. Asking about one of
// each class is asking about all.
type partition struct {
	policies   []*policy.Policy
	principals [][]object.Principal // classes; sorted within and by their first
	objects    [][]member
}

// member is an object, or, where a pattern has none of a tenant yet, one that could be.
type member struct {
	id           object.ID
	label        string // the id, or the pattern with that tenant
	hypothetical bool   // it could be
}

// newPartition sorts all principals and objects into classes: the objects that there are,
// and one for each pattern and tenant of which there is none.
func newPartition(ids []object.ID, policies ...*policy.Policy) *partition {
	u := &partition{policies: policies}
	who := map[object.Principal]struct{}{object.Anonymous: {}}
	for _, id := range ids {
		who[id.Principal()] = struct{}{}
	}
	patterns := map[policy.Pattern]bool{}
	for _, p := range policies {
		for _, name := range p.Declared {
			who[name] = struct{}{}
		}
		for _, name := range p.Named() {
			who[name] = struct{}{}
		}
		for o := range rulePatterns(p) {
			patterns[o] = true
		}
	}
	u.classifyPrincipals(slices.Sorted(maps.Keys(who)))
	u.classifyObjects(ids, slices.Collect(maps.Keys(patterns)))
	return u
}

// expand are those that a pattern may mean.
func (u *partition) expand(o policy.Pattern) []object.Tenant {
	if o.Tenant != policy.AnyTenant {
		return []object.Tenant{o.Tenant}
	}
	var out []object.Tenant
	for _, p := range u.policies {
		out = append(out, p.Tenants...)
		if p.AllTenants {
			out = append(out, "any")
		}
	}
	return out
}

func (u *partition) classifyPrincipals(who []object.Principal) {
	at := map[string]int{}
	for _, name := range who {
		var key strings.Builder
		for _, p := range u.policies {
			fmt.Fprintf(&key, "%s;", p.OwnerTenant(name))
			for _, s := range p.Subjects[name] {
				fmt.Fprintf(&key, "%p ", s)
			}
		}
		k := key.String()
		if i, ok := at[k]; ok {
			u.principals[i] = append(u.principals[i], name)
			continue
		}
		at[k] = len(u.principals)
		u.principals = append(u.principals, []object.Principal{name})
	}
}

func (u *partition) classifyObjects(ids []object.ID, patterns []policy.Pattern) {
	targets := map[object.ID]member{}
	there := map[object.Tenant][]object.ID{}
	for _, id := range ids {
		targets[id] = member{id: id, label: string(id)}
		there[id.Tenant()] = append(there[id.Tenant()], id)
	}
	star := unusedCharacter(patterns)
	for _, o := range patterns {
		for _, t := range u.expand(o) {
			if !slices.ContainsFunc(there[t], o.Match) {
				label := policy.Pattern{Tenant: t, Name: o.Name}.String()
				id := object.ID(strings.ReplaceAll(label, "*", star))
				targets[id] = member{id, label, true}
			}
		}
	}
	at := map[string]int{}
	for _, id := range slices.Sorted(maps.Keys(targets)) {
		key := []byte(string(id.Tenant()) + ":")
		for i := range patterns {
			bit := byte('0')
			if patterns[i].Match(id) {
				bit = '1'
			}
			key = append(key, bit)
		}
		if i, ok := at[string(key)]; ok {
			u.objects[i] = append(u.objects[i], targets[id])
			continue
		}
		at[string(key)] = len(u.objects)
		u.objects = append(u.objects, []member{targets[id]})
	}
}

// unusedCharacter returns what stands for the '*' of patterns in an object that could be: a
// character that is in none of their names, so that another pattern covers the object only
// if it covers all that the first one does.
func unusedCharacter(patterns []policy.Pattern) string {
	const some = "xyzabcdefghijklmnopqrstuvwABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	for _, c := range some {
		if !slices.ContainsFunc(patterns, func(o policy.Pattern) bool { return strings.ContainsRune(o.Name, c) }) {
			return string(c)
		}
	}
	return some // hardly a part of a name that somebody has written
}

// patterns returns every pattern of the policy's permits and forbids, and in which it is.
func rulePatterns(p *policy.Policy) map[policy.Pattern]map[string]bool {
	out := map[policy.Pattern]map[string]bool{}
	for who := range p.Subjects {
		permits, forbids := p.RulesAbout(who)
		for _, r := range append(permits, forbids...) {
			for _, o := range r.Objects {
				if out[o] == nil {
					out[o] = map[string]bool{}
				}
				out[o][r.Reason] = true
			}
		}
	}
	return out
}

// anyOther stands for every method that no rule names.
const otherMethods object.Method = "*"

// distinctMethods returns the methods that the rules about a pair tell apart, sorted: those that
// they name, and anyOther.
func (u *partition) distinctMethods(who object.Principal, id object.ID) []object.Method {
	apart := map[object.Method]struct{}{otherMethods: {}}
	for _, p := range u.policies {
		m := p.Match(who, id, "")
		for _, list := range [...][]*policy.Rule{m.Permits, m.Forbids} {
			for _, r := range list {
				for name := range r.Methods {
					apart[name] = struct{}{}
					if r.Forbids && policy.BaseMethod(name) == name { // its setting too, unless it is a method
						apart[policy.Setter(name)] = struct{}{}
					}
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(apart))
}

// representative is a method that can be called and that no rule names.
func (u *partition) representative(m object.Method, named []object.Method) object.Method {
	if m != otherMethods {
		return m
	}
	other := object.Method("other")
	for slices.Contains(named, other) {
		other += "_"
	}
	return other
}
