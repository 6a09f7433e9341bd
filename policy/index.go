package policy

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
)

// Subject is what blocks say about one name that they may give to whom they are about: a
// principal or a group. A principal's rules are those of its subjects: its own, and one of
// each group that it is in. So a rule about a group of thousands is kept once.
type Subject struct {
	Permits, Forbids Index[*Rule]
	Limits           Index[*Limit]
	Shares           []*Limit // those of connections, bytes in flight and item streams
}

// Index finds what covers an object by its tenant; anyTenant holds what covers all.
type Index[T interface{ coversObject(object.ID) bool }] map[object.Tenant][]T

const AnyTenant object.Tenant = "*"

// Add enters v under the tenants of its patterns.
func (ix *Index[T]) Add(v T, objects []Pattern) {
	if *ix == nil {
		*ix = Index[T]{}
	}
	for _, o := range objects {
		// A rule with two patterns of a tenant stands once under it.
		if list := (*ix)[o.Tenant]; len(list) == 0 || any(list[len(list)-1]) != any(v) {
			(*ix)[o.Tenant] = append(list, v)
		}
	}
}

// Covering appends to out what covers an object, some of it possibly twice.
func (ix Index[T]) Covering(id object.ID, out []T) []T {
	for _, t := range [...]object.Tenant{id.Tenant(), AnyTenant} {
		for _, v := range ix[t] {
			if v.coversObject(id) {
				out = append(out, v)
			}
		}
	}
	return out
}

// All returns everything that is in the index, in no order, each once.
func (ix Index[T]) All(seen map[any]bool) []T {
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

// Matched is what the policy says about one principal and one method of an object, or, if
// the method is empty, about the object. Conditions have not been looked at.
type Matched struct {
	Permits []*Rule // those that show tracebacks first, then by name
	Forbids []*Rule // those without condition first, then by name
	Limits  []*Limit
	Sibling bool // siblings may call each other, and the principal is an object of the tenant
}

// Match collects what covers a call. It is slow, and [Policy.Decide] remembers what it
// finds.
func (p *Policy) Match(who object.Principal, id object.ID, m object.Method) Matched {
	var out Matched
	for _, s := range p.Subjects[who] {
		out.Permits = s.Permits.Covering(id, out.Permits)
		out.Forbids = s.Forbids.Covering(id, out.Forbids)
		out.Limits = s.Limits.Covering(id, out.Limits)
	}
	if m != "" {
		other := func(r *Rule) bool { return !r.coversMethod(m) }
		out.Permits = slices.DeleteFunc(out.Permits, other)
		out.Forbids = slices.DeleteFunc(out.Forbids, other)
	}
	slices.SortFunc(out.Permits, func(a, b *Rule) int {
		return cmp.Or(compareBool(b.Tracebacks, a.Tracebacks), strings.Compare(a.Name, b.Name))
	})
	slices.SortFunc(out.Forbids, func(a, b *Rule) int {
		return cmp.Or(compareBool(a.When != nil, b.When != nil), strings.Compare(a.Name, b.Name))
	})
	slices.SortFunc(out.Limits, func(a, b *Limit) int { return strings.Compare(a.Name, b.Name) })
	out.Permits, out.Forbids, out.Limits = slices.Compact(out.Permits), slices.Compact(out.Forbids), slices.Compact(out.Limits)
	out.Sibling = p.sibling(who, id)
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
	if p.Siblings == nil {
		return false
	}
	from, ok := who.Object()
	return ok && wellFormed(from) && from.Tenant() == id.Tenant()
}

// Named returns every principal that a block is about, sorted.
func (p *Policy) Named() []object.Principal { return slices.Sorted(maps.Keys(p.Subjects)) }

// RulesAbout returns the permits and forbids about a principal, each once, in no order.
func (p *Policy) RulesAbout(who object.Principal) (permits, forbids []*Rule) {
	seen := map[any]bool{}
	for _, s := range p.Subjects[who] {
		permits = append(permits, s.Permits.All(seen)...)
		forbids = append(forbids, s.Forbids.All(seen)...)
	}
	return permits, forbids
}
