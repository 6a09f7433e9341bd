package policy

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
)

// Subject holds the rules and limits of one name in `principals` lists: a principal or a group. A principal has its
// own subject and one of each of its groups, so that a rule about a large group is stored once.
type Subject struct {
	Permits, Forbids Index[*Rule]
	Limits           Index[*Limit]
	Shares           []*Limit // limits of connections, bytes in flight or item streams
}

// Index maps tenants to the rules or limits that cover their objects. AnyTenant maps to those that cover objects of
// every tenant.
type Index[T interface{ coversObject(object.ID) bool }] map[object.Tenant][]T

// AnyTenant is the tenant of patterns that begin with "*.".
const AnyTenant object.Tenant = "*"

// Add stores v under the tenants of its patterns.
func (ix *Index[T]) Add(v T, objects []Pattern) {
	if *ix == nil {
		*ix = Index[T]{}
	}
	for _, o := range objects {
		// Store a rule with two patterns of a tenant once.
		if list := (*ix)[o.Tenant]; len(list) == 0 || any(list[len(list)-1]) != any(v) {
			(*ix)[o.Tenant] = append(list, v)
		}
	}
}

// Covering appends the elements that cover an object to out, possibly twice.
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

// All returns the elements that are not in seen, in no order, and adds them to seen.
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

// Matched are the rules that cover one principal and one method of an object, or with an empty method the object.
// Their conditions are not evaluated.
type Matched struct {
	Permits []*Rule // permits with tracebacks first, then by name
	Forbids []*Rule // forbids without a condition first, then by name
	Limits  []*Limit
	Sibling bool // permitted as a call between objects of one tenant
}

// Match returns the rules that cover a call. It is slow; [Policy.Decide] caches the result.
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
	// A rule can name a principal and its group.
	out.Permits = slices.Compact(out.Permits)
	out.Forbids = slices.Compact(out.Forbids)
	out.Limits = slices.Compact(out.Limits)
	out.Sibling = p.sibling(who, id)
	return out
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// sibling reports whether the principal is an object of id's tenant and the policy allows calls between objects of one
// tenant.
func (p *Policy) sibling(who object.Principal, id object.ID) bool {
	if p.Siblings == nil {
		return false
	}
	from, ok := who.Object()
	return ok && validID(from) && from.Tenant() == id.Tenant()
}

// NamedPrincipals returns every principal that a rule or limit names, directly or by a group; sorted.
func (p *Policy) NamedPrincipals() []object.Principal { return slices.Sorted(maps.Keys(p.Subjects)) }

// RulesAbout returns the permits and forbids about a principal, each once, in no order.
func (p *Policy) RulesAbout(who object.Principal) (permits, forbids []*Rule) {
	seen := map[any]bool{}
	for _, s := range p.Subjects[who] {
		permits = append(permits, s.Permits.All(seen)...)
		forbids = append(forbids, s.Forbids.All(seen)...)
	}
	return permits, forbids
}
