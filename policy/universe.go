package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
)

// universe is everybody and everything that policies can tell apart. Asking about one of
// each class is asking about all.
type universe struct {
	policies   []*Policy
	principals [][]object.Principal // classes; sorted within and by their first
	objects    [][]target
}

// target is an object, or, where a pattern has none of a tenant yet, one that could be.
type target struct {
	id     object.ID
	label  string // the id, or the pattern with that tenant
	coming bool   // it could be
}

// newUniverse sorts all principals and objects into classes: the objects that there are,
// and one for each pattern and tenant of which there is none.
func newUniverse(ids []object.ID, policies ...*Policy) *universe {
	u := &universe{policies: policies}
	who := map[object.Principal]struct{}{object.Anonymous: {}}
	for _, id := range ids {
		who[id.Principal()] = struct{}{}
	}
	patterns := map[pattern]bool{}
	for _, p := range policies {
		for _, name := range p.declared {
			who[name] = struct{}{}
		}
		for _, name := range p.named() {
			who[name] = struct{}{}
		}
		for o := range p.patterns() {
			patterns[o] = true
		}
	}
	u.sortPrincipals(slices.Sorted(maps.Keys(who)))
	u.sortObjects(ids, slices.Collect(maps.Keys(patterns)))
	return u
}

// tenants are those that a pattern may mean.
func (u *universe) tenants(o pattern) []object.Tenant {
	if o.tenant != anyTenant {
		return []object.Tenant{o.tenant}
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

func (u *universe) sortPrincipals(who []object.Principal) {
	at := map[string]int{}
	for _, name := range who {
		var key strings.Builder
		for _, p := range u.policies {
			fmt.Fprintf(&key, "%s;", p.home(name))
			for _, s := range p.subjects[name] {
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

func (u *universe) sortObjects(ids []object.ID, patterns []pattern) {
	targets := map[object.ID]target{}
	there := map[object.Tenant][]object.ID{}
	for _, id := range ids {
		targets[id] = target{id: id, label: string(id)}
		there[id.Tenant()] = append(there[id.Tenant()], id)
	}
	star := unwritten(patterns)
	for _, o := range patterns {
		for _, t := range u.tenants(o) {
			if !slices.ContainsFunc(there[t], o.match) {
				label := pattern{t, o.name}.String()
				id := object.ID(strings.ReplaceAll(label, "*", star))
				targets[id] = target{id, label, true}
			}
		}
	}
	at := map[string]int{}
	for _, id := range slices.Sorted(maps.Keys(targets)) {
		key := []byte(string(id.Tenant()) + ":")
		for i := range patterns {
			bit := byte('0')
			if patterns[i].match(id) {
				bit = '1'
			}
			key = append(key, bit)
		}
		if i, ok := at[string(key)]; ok {
			u.objects[i] = append(u.objects[i], targets[id])
			continue
		}
		at[string(key)] = len(u.objects)
		u.objects = append(u.objects, []target{targets[id]})
	}
}

// unwritten returns what stands for the '*' of patterns in an object that could be: a
// character that is in none of their names, so that another pattern covers the object only
// if it covers all that the first one does.
func unwritten(patterns []pattern) string {
	const some = "xyzabcdefghijklmnopqrstuvwABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	for _, c := range some {
		if !slices.ContainsFunc(patterns, func(o pattern) bool { return strings.ContainsRune(o.name, c) }) {
			return string(c)
		}
	}
	return some // hardly a part of a name that somebody has written
}

// patterns returns every pattern of the policy's permits and forbids, and in which it is.
func (p *Policy) patterns() map[pattern]map[string]bool {
	out := map[pattern]map[string]bool{}
	for who := range p.subjects {
		permits, forbids := p.rulesAbout(who)
		for _, r := range append(permits, forbids...) {
			for _, o := range r.objects {
				if out[o] == nil {
					out[o] = map[string]bool{}
				}
				out[o][r.reason] = true
			}
		}
	}
	return out
}

// rulesAbout returns the permits and forbids about a principal, each once, in no order.
func (p *Policy) rulesAbout(who object.Principal) (permits, forbids []*rule) {
	seen := map[any]bool{}
	for _, s := range p.subjects[who] {
		permits = append(permits, s.permits.all(seen)...)
		forbids = append(forbids, s.forbids.all(seen)...)
	}
	return permits, forbids
}

// home returns the tenant to which a principal belongs, "" if it belongs to none.
func (p *Policy) home(who object.Principal) object.Tenant {
	home := p.homes[who]
	if id, ok := who.Object(); ok {
		home = id.Tenant()
	}
	if !p.Serves(home) {
		return ""
	}
	return home
}

// anyOther stands for every method that no rule names.
const anyOther object.Method = "*"

// methods returns the methods that the rules about a pair tell apart, sorted: those that
// they name, and anyOther.
func (u *universe) methods(who object.Principal, id object.ID) []object.Method {
	apart := map[object.Method]struct{}{anyOther: {}}
	for _, p := range u.policies {
		m := p.match(who, id, "")
		for _, list := range [...][]*rule{m.permits, m.forbids} {
			for _, r := range list {
				for name := range r.methods {
					apart[name] = struct{}{}
					if r.forbids && named(name) == name { // its setting too, unless it is a method
						apart[setting(name)] = struct{}{}
					}
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(apart))
}

// unnamed is a method that can be called and that no rule names.
func (u *universe) unnamed(m object.Method, named []object.Method) object.Method {
	if m != anyOther {
		return m
	}
	other := object.Method("other")
	for slices.Contains(named, other) {
		other += "_"
	}
	return other
}
