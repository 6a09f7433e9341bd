package policyfile

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/syntax"
)

// subjectsOf returns the subjects of a block's principals and groups.
func (r *reader) subjectsOf(a syntax.Attributes, ifEmpty string) []*readSubject {
	var out []*readSubject
	list, _ := r.Texts(a, "principals", ifEmpty)
	for _, e := range list {
		if r.groups[e.Text] == nil {
			r.CheckPrincipal(e, "principals")
		}
		out = append(out, r.subject(e.Text))
	}
	return out
}

// readSubject is a subject, with one of its principals for each owner tenant.
type readSubject struct {
	policy.Subject
	owners []ownedPrincipal
}

// ownedPrincipal is a principal with an owner tenant.
type ownedPrincipal struct {
	who   object.Principal
	owner object.Tenant
}

// subject returns the subject of a principal or of a resolved group.
func (r *reader) subject(name string) *readSubject {
	if s := r.subjects[name]; s != nil {
		return s
	}
	s := &readSubject{}
	r.subjects[name] = s
	seen := map[object.Tenant]bool{}
	for _, p := range r.members(name) {
		owner := r.def.OwnerTenant(p)
		if owner != "" && !seen[owner] {
			seen[owner] = true
			s.owners = append(s.owners, ownedPrincipal{p, owner})
		}
		r.def.Subjects[p] = append(r.def.Subjects[p], &s.Subject)
	}
	return s
}

// members returns the principals of a name: a group or a principal.
func (r *reader) members(name string) []object.Principal {
	if g := r.groups[name]; g != nil {
		return g.all
	}
	return []object.Principal{object.Principal(name)}
}

// group is a group block.
type group struct {
	members []syntax.Element
	all     []object.Principal        // principals of the group and of inner groups; set by resolveGroups
	has     map[object.Principal]bool // principals in all
	state   int                       // state of resolveGroups
}

// States of a group in resolveGroups.
const (
	unresolved = iota
	resolving
	resolved
)

// group reads a group block.
func (r *reader) group(name string, b *hclsyntax.Block) {
	at := b.LabelRanges[0]
	a := r.Block(b, "members")
	r.Require(b, a, "members")
	if _, exists := r.principals[object.Principal(name)]; exists || name == string(object.Anonymous) {
		r.Problems.Add(at, "", "group %q: a principal has this name", name)
		return
	}
	if !validPrincipal(name) {
		r.Problems.Add(at, "", "group %q: a name must consist of letters, digits, '_', '-', '.' and '@'", name)
	}
	members, _ := r.Texts(a, "members", "name at least one member")
	r.groups[name] = &group{members: members, has: map[object.Principal]bool{}}
}

// resolveGroups collects the principals of each group, including those of inner groups.
func (r *reader) resolveGroups() {
	var resolve func(g *group)
	resolve = func(g *group) {
		g.state = resolving
		for _, e := range g.members {
			inner := r.groups[e.Text]
			if inner == nil {
				r.CheckPrincipal(e, "members")
				g.add(object.Principal(e.Text))
				continue
			}
			if inner.state == resolving {
				r.Problems.Add(e.At, "", "members: group %q contains itself, directly or indirectly", e.Text)
				continue
			}
			if inner.state == unresolved {
				resolve(inner)
			}
			for _, p := range inner.all {
				g.add(p)
			}
		}
		g.state = resolved
	}
	// Sorted, so that a cycle is always reported at the same position.
	for _, name := range slices.Sorted(maps.Keys(r.groups)) {
		g := r.groups[name]
		if g.state == unresolved {
			resolve(g)
		}
		for _, p := range g.all {
			r.def.Groups[p] = append(r.def.Groups[p], name)
		}
	}
}

// add adds a principal once.
func (g *group) add(p object.Principal) {
	if !g.has[p] {
		g.has[p] = true
		g.all = append(g.all, p)
	}
}
