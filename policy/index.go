package policy

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
)

// subject is what blocks say about one name that they may give to whom they are about: a
// principal or a group. A principal's rules are those of its subjects: its own, and one of
// each group that it is in. So a rule about a group of thousands is kept once.
type subject struct {
	permits, forbids index[*rule]
	limits           index[*Limit]
	shares           []*Limit // those of connections, bytes in flight and item streams
}

// index finds what covers an object by its tenant; anyTenant holds what covers all.
type index[T interface{ coversObject(object.ID) bool }] map[object.Tenant][]T

const anyTenant object.Tenant = "*"

// add enters v under the tenants of its patterns.
func (ix *index[T]) add(v T, objects []pattern) {
	if *ix == nil {
		*ix = index[T]{}
	}
	for _, o := range objects {
		// A rule with two patterns of a tenant stands once under it.
		if list := (*ix)[o.tenant]; len(list) == 0 || any(list[len(list)-1]) != any(v) {
			(*ix)[o.tenant] = append(list, v)
		}
	}
}

// about appends to out what covers an object, some of it possibly twice.
func (ix index[T]) about(id object.ID, out []T) []T {
	for _, t := range [...]object.Tenant{id.Tenant(), anyTenant} {
		for _, v := range ix[t] {
			if v.coversObject(id) {
				out = append(out, v)
			}
		}
	}
	return out
}

// all returns everything that is in the index, in no order, each once.
func (ix index[T]) all(seen map[any]bool) []T {
	var out []T
	for _, list := range ix {
		for _, v := range list {
			if !seen[v] {
				seen[v] = true
				out = append(out, v)
			}
		}
	}
	return out
}

// matched is what the policy says about one principal and one method of an object, or, if
// the method is empty, about the object. Conditions have not been looked at.
type matched struct {
	permits []*rule // those that show tracebacks first, then by name
	forbids []*rule // those without condition first, then by name
	limits  []*Limit
	sibling bool // siblings may call each other, and the principal is an object of the tenant
}

// match collects what covers a call. It is slow, and [Policy.Decide] remembers what it
// finds.
func (p *Policy) match(who object.Principal, id object.ID, m object.Method) matched {
	var out matched
	for _, s := range p.subjects[who] {
		out.permits = s.permits.about(id, out.permits)
		out.forbids = s.forbids.about(id, out.forbids)
		out.limits = s.limits.about(id, out.limits)
	}
	if m != "" {
		other := func(r *rule) bool { return !r.coversMethod(m) }
		out.permits = slices.DeleteFunc(out.permits, other)
		out.forbids = slices.DeleteFunc(out.forbids, other)
	}
	slices.SortFunc(out.permits, func(a, b *rule) int {
		return cmp.Or(compareBool(b.traceback, a.traceback), strings.Compare(a.name, b.name))
	})
	slices.SortFunc(out.forbids, func(a, b *rule) int {
		return cmp.Or(compareBool(a.when != nil, b.when != nil), strings.Compare(a.name, b.name))
	})
	slices.SortFunc(out.limits, func(a, b *Limit) int { return strings.Compare(a.Name, b.Name) })
	out.permits, out.forbids, out.limits = slices.Compact(out.permits), slices.Compact(out.forbids), slices.Compact(out.limits)
	out.sibling = p.sibling(who, id)
	return out
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// sibling reports whether who is an object of id's tenant and the policy lets those call
// each other.
func (p *Policy) sibling(who object.Principal, id object.ID) bool {
	if p.siblings == nil {
		return false
	}
	from, ok := who.Object()
	return ok && wellFormed(from) && from.Tenant() == id.Tenant()
}

// named returns every principal that a block is about, sorted.
func (p *Policy) named() []object.Principal { return slices.Sorted(maps.Keys(p.subjects)) }
