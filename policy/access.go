package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
)

// permit reads a permit block, after everything that it may refer to.
func (r *reader) permit(name string, b *hclsyntax.Block) {
	a := r.block(b, "principals", "objects", "methods", "tracebacks", "crosses_tenants")
	compiled := r.rule(name, b, a)
	compiled.traceback, _ = r.flag(a, "tracebacks")
	crosses, _ := r.flag(a, "crosses_tenants")
	needed := false
	for _, p := range r.who(a, "name those who may") {
		r.p.rules[p] = append(r.p.rules[p], compiled)
		needed = r.crossing(p, compiled, b, crosses) || needed
	}
	if crosses && !needed && len(r.problems) == 0 {
		r.problems.add(a["crosses_tenants"].NameRange, "leave it out", "crosses_tenants: nobody whom this permit names belongs to another tenant than its objects")
	}
}

// crossing reports whether a permit lets a principal reach objects of another tenant than
// its own, and complains unless the permit says that it is meant to. Since no permit does
// without saying so, nobody does.
func (r *reader) crossing(p object.Principal, rule *rule, b *hclsyntax.Block, meant bool) bool {
	home := r.home(p)
	if home == "" {
		return false
	}
	for _, o := range rule.objects {
		if o.tenant == home {
			continue
		}
		if !meant {
			r.problems.add(b.TypeRange, "add crosses_tenants = true if that is meant",
				"%s, who belongs to tenant %s, would reach %s.%s", p, home, o.tenant, o.name)
		}
		return true
	}
	return false
}

// home returns the tenant to which a principal belongs, "" if it belongs to none, or to
// one that is not declared, which has been complained about.
func (r *reader) home(p object.Principal) object.Tenant {
	home := r.homes[p]
	if id, ok := callingObject(p); ok {
		home = id.Tenant()
	}
	if _, declared := r.p.tenants[home]; !declared {
		return ""
	}
	return home
}

// forbid reads a forbid block, likewise.
func (r *reader) forbid(name string, b *hclsyntax.Block) {
	a := r.block(b, "principals", "objects", "methods")
	compiled := r.rule(name, b, a)
	for _, p := range r.who(a, "name those who may not") {
		r.p.forbids[p] = append(r.p.forbids[p], compiled)
	}
}

// rule reads what permits and forbids have in common, but for whom they are about.
func (r *reader) rule(name string, b *hclsyntax.Block, a attributes) *rule {
	r.require(b, a, "principals", "objects")
	compiled := &rule{
		name:   name,
		reason: fmt.Sprintf("%s:%d %s %q", r.file, b.TypeRange.Start.Line, b.Type, name),
	}
	objects, _ := r.texts(a, "objects", "name those that it is about")
	methods, _ := r.texts(a, "methods", "leave it out for every exposed one")
	for _, e := range objects {
		p, err := parsePattern(e.text)
		if err != nil {
			r.problems.add(e.at, err.Error(), "objects: %q is no pattern of objects", e.text)
			continue
		}
		if p.tenant != "*" {
			r.declared(p.tenant, e, "objects")
		}
		compiled.objects = append(compiled.objects, p)
	}
	if a["methods"] != nil {
		// Never nil once the file says something, however wrong: nil is every method.
		compiled.methods = map[object.Method]struct{}{}
	}
	for _, e := range methods {
		if m := object.Method(e.text); m.Callable() {
			compiled.methods[m] = struct{}{}
			continue
		}
		hint := "a method is a letter, then letters, digits and '_'"
		if strings.Contains(e.text, "*") {
			hint = "leave methods out for every exposed one"
		}
		r.problems.add(e.at, hint, "methods: %q can never be called", e.text)
	}
	return compiled
}

// who returns the principals that a rule is about, groups taken apart, each once.
func (r *reader) who(a attributes, ifEmpty string) []object.Principal {
	var out []object.Principal
	list, _ := r.texts(a, "principals", ifEmpty)
	for _, e := range list {
		members := []object.Principal{object.Principal(e.text)}
		if g := r.groups[e.text]; g != nil {
			members = g.all
		} else {
			r.named(e, "principals")
		}
		for _, p := range members {
			if !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	return out
}

// named complains unless a text names a principal.
func (r *reader) named(e element, attribute string) {
	if e.text == string(object.Anonymous) {
		return
	}
	if id, ok := callingObject(object.Principal(e.text)); ok {
		if _, err := object.ParseID(string(id)); err != nil {
			r.problems.add(e.at, "write object:<tenant>.<name>; it is one object, not a pattern", "%s: %q is no object", attribute, e.text)
			return
		}
		r.declared(id.Tenant(), e, attribute)
		return
	}
	if _, ok := r.principals[object.Principal(e.text)]; ok {
		return
	}
	names := []string{string(object.Anonymous)}
	for p := range r.principals {
		names = append(names, string(p))
	}
	for g := range r.groups {
		names = append(names, g)
	}
	slices.Sort(names)
	hint := near(e.text, names)
	if hint == "" {
		hint = fmt.Sprintf("declare it: principal %q { user = \"…\" }", e.text)
	}
	r.problems.add(e.at, hint, "%s: there is no principal %q", attribute, e.text)
}

// group is a name for several principals and groups.
type group struct {
	members []element
	all     []object.Principal // every principal in it, however deep; set by resolveGroups
	state   int                // of resolveGroups
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
	a := r.block(b, "members")
	r.require(b, a, "members")
	if _, taken := r.principals[object.Principal(name)]; taken || name == string(object.Anonymous) {
		r.problems.add(at, "", "group %q: there is a principal of this name", name)
		return
	}
	if !validPrincipal(name) {
		r.problems.add(at, "", "group %q: a name has letters, digits, '_', '-', '.' and '@'", name)
	}
	members, _ := r.texts(a, "members", "name those who belong to it")
	r.groups[name] = &group{members: members}
}

// resolveGroups takes groups apart into principals.
func (r *reader) resolveGroups() {
	var resolve func(g *group)
	resolve = func(g *group) {
		g.state = open
		for _, e := range g.members {
			inner := r.groups[e.text]
			if inner == nil {
				r.named(e, "members")
				g.add(object.Principal(e.text))
				continue
			}
			if inner.state == open {
				r.problems.add(e.at, "", "members: group %q is in itself, directly or through others", e.text)
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
		if g := r.groups[name]; g.state == untouched {
			resolve(g)
		}
	}
}

func (g *group) add(p object.Principal) {
	if !slices.Contains(g.all, p) {
		g.all = append(g.all, p)
	}
}
