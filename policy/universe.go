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

// target is an object, or, where a pattern has none yet, one that could be.
type target struct {
	id    object.ID
	label string // the id, or the pattern
}

// newUniverse sorts all principals and objects into classes: the objects that there are,
// and one for each pattern that covers none of them.
func newUniverse(ids []object.ID, policies ...*Policy) *universe {
	u := &universe{policies: policies}
	who := map[object.Principal]struct{}{object.Anonymous: {}}
	targets := map[object.ID]string{}
	for _, id := range ids {
		who[id.Principal()] = struct{}{}
		targets[id] = string(id)
	}
	patterns := map[pattern]int{}
	for _, p := range policies {
		for _, name := range p.declared {
			who[name] = struct{}{}
		}
		for _, name := range p.named() {
			who[name] = struct{}{}
		}
		for o := range p.patterns() {
			if _, ok := patterns[o]; !ok {
				patterns[o] = len(patterns)
			}
		}
	}
	for o := range patterns {
		if slices.ContainsFunc(ids, func(id object.ID) bool { return o.match(id) }) {
			continue
		}
		for _, id := range u.examples(o) {
			if targets[id] == "" || len(o.String()) < len(targets[id]) {
				targets[id] = o.String()
			}
		}
	}
	u.classify(slices.Sorted(maps.Keys(who)), targets, slices.Collect(maps.Keys(patterns)))
	return u
}

// examples returns what a pattern could cover: an object of each tenant that it may mean.
func (u *universe) examples(o pattern) []object.ID {
	name := "." + strings.ReplaceAll(o.name, "*", "any")
	if o.tenant != anyTenant {
		return []object.ID{object.ID(string(o.tenant) + name)}
	}
	var out []object.ID
	for _, p := range u.policies {
		for _, t := range p.Tenants {
			out = append(out, object.ID(string(t)+name))
		}
	}
	return out
}

func (u *universe) classify(who []object.Principal, targets map[object.ID]string, patterns []pattern) {
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
	at = map[string]int{}
	for _, id := range slices.Sorted(maps.Keys(targets)) {
		key := []byte(string(id.Tenant()) + ":")
		for i := range patterns {
			bit := byte('0')
			if patterns[i].match(id) {
				bit = '1'
			}
			key = append(key, bit)
		}
		t := target{id, targets[id]}
		if i, ok := at[string(key)]; ok {
			u.objects[i] = append(u.objects[i], t)
			continue
		}
		at[string(key)] = len(u.objects)
		u.objects = append(u.objects, []target{t})
	}
}

// patterns returns every pattern of the policy's permits and forbids, and in which it is.
func (p *Policy) patterns() map[pattern]map[string]bool {
	out := map[pattern]map[string]bool{}
	for _, subjects := range p.subjects {
		for _, s := range subjects {
			seen := map[any]bool{}
			for _, r := range append(s.permits.all(seen), s.forbids.all(seen)...) {
				for _, o := range r.objects {
					if out[o] == nil {
						out[o] = map[string]bool{}
					}
					out[o][r.reason] = true
				}
			}
		}
	}
	return out
}

// home returns the tenant to which a principal belongs, "" if it belongs to none.
func (p *Policy) home(who object.Principal) object.Tenant {
	home := p.homes[who]
	if id, ok := callingObject(who); ok {
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
