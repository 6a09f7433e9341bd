package policyfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/condition"
	"github.com/hearthhost/hearth/policy/problem"
	"github.com/hearthhost/hearth/policy/syntax"
)

// permit reads a permit block, after everything that it may refer to.
func (r *reader) permit(name string, b *hclsyntax.Block) {
	a := r.Block(b, "principals", "objects", "methods", "when", "tracebacks", "crosses_tenants")
	compiled := r.rule(name, b, a)
	compiled.Tracebacks, _ = r.Flag(a, "tracebacks")
	compiled.CrossesTenants, _ = r.Flag(a, "crosses_tenants")
	needed := false
	for _, s := range r.subjectsOf(a, "name those who may") {
		s.Permits.Add(compiled, compiled.Objects)
		for _, m := range s.owners {
			needed = r.crossing(m, compiled, b) || needed
		}
	}
	if compiled.CrossesTenants && !needed && len(r.Problems) == 0 {
		r.Problems.Add(a["crosses_tenants"].NameRange, "leave it out", "crosses_tenants: nobody whom this permit names belongs to another tenant than its objects")
	}
}

// crossing reports whether a permit lets a principal reach objects of another tenant than
// its own, and complains unless the permit says that it is meant to. Since no permit does
// without saying so, nobody does; [Policy.Prove] shows the same by asking.
func (r *reader) crossing(m ownedPrincipal, rule *policy.Rule, b *hclsyntax.Block) bool {
	for _, o := range rule.Objects {
		if o.Tenant == m.home {
			continue
		}
		if !rule.CrossesTenants {
			r.Problems.Add(b.TypeRange, "add crosses_tenants = true if that is meant",
				"permit %q: %s, who belongs to tenant %s, would reach %s.%s", rule.Name, m.who, m.home, o.Tenant, o.Name)
		}
		return true
	}
	return false
}

// forbid reads a forbid block, likewise.
func (r *reader) forbid(name string, b *hclsyntax.Block) {
	a := r.Block(b, "principals", "objects", "methods", "when")
	compiled := r.rule(name, b, a)
	compiled.Forbids = true
	for _, s := range r.subjectsOf(a, "name those who may not") {
		s.Forbids.Add(compiled, compiled.Objects)
	}
}

// rule reads what permits and forbids have in common, but for whom they are about.
func (r *reader) rule(name string, b *hclsyntax.Block, a syntax.Attributes) *policy.Rule {
	r.Require(b, a, "principals", "objects")
	compiled := &policy.Rule{Name: name, Reason: r.Reason(name, b), Objects: r.patterns(a, false)}
	methods, _ := r.Texts(a, "methods", "leave it out for every exposed one")
	if a["methods"] != nil {
		// Never nil once the file says something, however wrong: nil is every method.
		compiled.Methods = map[object.Method]struct{}{}
	}
	for _, e := range methods {
		if m := object.Method(e.Text); policy.Callable(m) {
			compiled.Methods[m] = struct{}{}
			continue
		}
		hint := "a method is a letter, then letters, digits and '_'"
		if strings.Contains(e.Text, "*") {
			hint = "leave methods out for every exposed one"
		}
		r.Problems.Add(e.At, hint, "methods: %q can never be called", e.Text)
	}
	if when := a["when"]; when != nil {
		compiled.When = condition.Compile(&r.Reader, when.Expr, scope(compiled), r, &r.def.Warnings)
	}
	return compiled
}

// patterns reads a block's objects, those of the host itself included if own is set.
func (r *reader) patterns(a syntax.Attributes, own bool) []policy.Pattern {
	var out []policy.Pattern
	objects, _ := r.Texts(a, "objects", "name those that it is about")
	for _, e := range objects {
		p, err := policy.ParsePattern(e.Text)
		if err != nil {
			r.Problems.Add(e.At, err.Error(), "objects: %q is no pattern of objects", e.Text)
			continue
		}
		if p.Tenant != policy.AnyTenant && !(own && p.Tenant == object.HostTenant) {
			r.CheckTenant(p.Tenant, e, "objects")
		}
		out = append(out, p)
	}
	return out
}

// subjectsOf returns the subjects that a block is about: one for each principal or group that it
// names.
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

// readSubject is a subject while the file is read, and who of it belongs to a tenant: for
// each tenant one of its members.
type readSubject struct {
	policy.Subject
	owners []ownedPrincipal
}

// ownedPrincipal is somebody who belongs to a tenant.
type ownedPrincipal struct {
	who  object.Principal
	home object.Tenant
}

// subject returns the subject of a principal or group, which is resolved.
func (r *reader) subject(name string) *readSubject {
	if s := r.subjects[name]; s != nil {
		return s
	}
	s := &readSubject{}
	r.subjects[name] = s
	seen := map[object.Tenant]bool{}
	for _, p := range r.members(name) {
		if home := r.def.OwnerTenant(p); home != "" && !seen[home] {
			seen[home] = true
			s.owners = append(s.owners, ownedPrincipal{p, home})
		}
		r.def.Subjects[p] = append(r.def.Subjects[p], &s.Subject)
	}
	return s
}

// members returns the principals that a name stands for.
func (r *reader) members(name string) []object.Principal {
	if g := r.groups[name]; g != nil {
		return g.all
	}
	return []object.Principal{object.Principal(name)}
}

// CheckPrincipal complains unless a text names a principal.
func (r *reader) CheckPrincipal(e syntax.Element, attribute string) {
	if e.Text == string(object.Anonymous) {
		return
	}
	if id, ok := object.Principal(e.Text).Object(); ok {
		if _, err := object.ParseID(string(id)); err != nil {
			r.Problems.Add(e.At, "write object:<tenant>.<name>; it is one object, not a pattern", "%s: %q is no object", attribute, e.Text)
			return
		}
		r.CheckTenant(id.Tenant(), e, attribute)
		return
	}
	if _, ok := r.principals[object.Principal(e.Text)]; ok {
		return
	}
	names := slices.AppendSeq([]string{string(object.Anonymous)}, maps.Keys(r.groups))
	for p := range r.principals {
		names = append(names, string(p))
	}
	slices.Sort(names)
	hint := problem.Near(e.Text, names)
	if hint == "" {
		hint = fmt.Sprintf("declare it: principal %q { user = \"…\" }", e.Text)
	}
	r.Problems.Add(e.At, hint, "%s: there is no principal %q", attribute, e.Text)
}

// group is a name for several principals and groups.
type group struct {
	members []syntax.Element
	all     []object.Principal // every principal in it, however deep; set by resolveGroups
	has     map[object.Principal]bool
	state   int // of resolveGroups
}

// States of a group while groups are taken apart.
const (
	untouched = iota
	open
	resolved
)

// group reads a group block.
func (r *reader) group(name string, b *hclsyntax.Block) {
	at := b.LabelRanges[0]
	a := r.Block(b, "members")
	r.Require(b, a, "members")
	if _, taken := r.principals[object.Principal(name)]; taken || name == string(object.Anonymous) {
		r.Problems.Add(at, "", "group %q: there is a principal of this name", name)
		return
	}
	if !validPrincipal(name) {
		r.Problems.Add(at, "", "group %q: a name has letters, digits, '_', '-', '.' and '@'", name)
	}
	members, _ := r.Texts(a, "members", "name those who belong to it")
	r.groups[name] = &group{members: members, has: map[object.Principal]bool{}}
}

// resolveGroups takes groups apart into principals.
func (r *reader) resolveGroups() {
	var resolve func(g *group)
	resolve = func(g *group) {
		g.state = open
		for _, e := range g.members {
			inner := r.groups[e.Text]
			if inner == nil {
				r.CheckPrincipal(e, "members")
				g.add(object.Principal(e.Text))
				continue
			}
			if inner.state == open {
				r.Problems.Add(e.At, "", "members: group %q is in itself, directly or through others", e.Text)
				continue
			}
			if inner.state == untouched {
				resolve(inner)
			}
			for _, p := range inner.all {
				g.add(p)
			}
		}
		g.state = resolved
	}
	// In one order, so that a circle is always complained about at the same place.
	for _, name := range slices.Sorted(maps.Keys(r.groups)) {
		g := r.groups[name]
		if g.state == untouched {
			resolve(g)
		}
		for _, p := range g.all {
			r.def.Groups[p] = append(r.def.Groups[p], name)
		}
	}
}

func (g *group) add(p object.Principal) {
	if !g.has[p] {
		g.has[p] = true
		g.all = append(g.all, p)
	}
}
