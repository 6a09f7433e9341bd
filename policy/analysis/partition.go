package analysis

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// partition divides principals and objects into classes that the rules of the policies treat alike. A question about
// one member of each class covers all of them.
type partition struct {
	policies   []*policy.Policy
	principals [][]object.Principal // classes, sorted by their first member; members sorted
	objects    [][]member
}

// member is an object that exists, or a hypothetical one: an example for a pattern that matches no object of a tenant.
type member struct {
	id           object.ID
	label        string // the id, or the pattern with its tenant
	hypothetical bool   // the object does not exist
}

// newPartition classifies the principals of the policies and of ids, the objects of ids, and one hypothetical object
// for each pattern and tenant without an object. A keyed object, with [object.AnyKey], is an object with a key that no
// pattern names; a pattern for some of its keys has a hypothetical object.
func newPartition(ids []object.ID, policies ...*policy.Policy) *partition {
	u := &partition{policies: policies}
	who := map[object.Principal]struct{}{object.Anonymous: {}}
	for _, id := range ids {
		who[id.Family().Principal()] = struct{}{}
	}
	patterns := map[policy.Pattern]bool{}
	for _, p := range policies {
		for _, name := range p.Declared {
			who[name] = struct{}{}
		}
		for _, name := range p.NamedPrincipals() {
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

// expand returns the tenants that a pattern covers. "any" stands for the tenants of a policy that serves all.
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

// classifyPrincipals groups principals with the same owner tenant and the same rules in every policy.
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

// classifyObjects groups the objects of ids, and hypothetical objects, by tenant and by the patterns that match them.
func (u *partition) classifyObjects(ids []object.ID, patterns []policy.Pattern) {
	targets := map[object.ID]member{}
	existing := map[object.Tenant][]object.ID{}
	star := unusedCharacter(patterns)
	for _, listed := range ids {
		id := listed
		if _, key, keyed := id.Split(); keyed && key == object.AnyKey { // a key for which no pattern was made
			id = id.Family().WithKey(star)
		}
		targets[id] = member{id: id, label: string(listed)}
		existing[id.Tenant()] = append(existing[id.Tenant()], id)
	}
	for _, o := range patterns {
		for _, t := range u.expand(o) {
			if !slices.ContainsFunc(existing[t], o.Match) {
				label := policy.Pattern{Tenant: t, Name: o.Name}.String()
				id := object.ID(strings.ReplaceAll(label, "*", star))
				targets[id] = member{id: id, label: label, hypothetical: true}
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

// unusedCharacter returns a replacement for the '*' of patterns in a hypothetical object: a character that no pattern
// contains. Another pattern then matches the object only if it covers the whole first pattern.
func unusedCharacter(patterns []policy.Pattern) string {
	const some = "xyzabcdefghijklmnopqrstuvwABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	for _, c := range some {
		if !slices.ContainsFunc(patterns, func(o policy.Pattern) bool { return strings.ContainsRune(o.Name, c) }) {
			return string(c)
		}
	}
	return some // patterns use every character; no name contains all of them in this order
}

// rulePatterns returns the patterns of permits and forbids, each with the reasons of its rules.
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

// otherMethods stands for every method that no rule names.
const otherMethods object.Method = "*"

// distinctMethods returns the methods that the rules about a principal and an object name, and otherMethods; sorted.
func (u *partition) distinctMethods(who object.Principal, id object.ID) []object.Method {
	found := map[object.Method]struct{}{otherMethods: {}}
	for _, p := range u.policies {
		m := p.Match(who, id, "")
		for _, list := range [...][]*policy.Rule{m.Permits, m.Forbids} {
			for _, r := range list {
				for name := range r.Methods {
					found[name] = struct{}{}
					// A forbid of an attribute also forbids to set it.
					if r.Forbids && policy.BaseMethod(name) == name {
						found[policy.Setter(name)] = struct{}{}
					}
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// representative returns m, or for otherMethods a callable method that is not in named.
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
