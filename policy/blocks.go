package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
)

// validPrincipal reports whether s may be a principal's name: ASCII that looks like
// what it is, in a log too.
func validPrincipal(s string) bool {
	return object.ValidName(strings.Map(func(c rune) rune {
		if c == '.' || c == '@' {
			return '_'
		}
		return c
	}, s))
}

// tenant reads a tenant block, which has nothing in it yet.
func (r *reader) tenant(name string, b *hclsyntax.Block) {
	r.block(b)
	switch {
	case object.Tenant(name) == hostTenant:
		r.problems.add(b.LabelRanges[0], "", "tenant %q: ids beginning with it are the host's own", name)
		return
	case !object.ValidName(name):
		r.problems.add(b.LabelRanges[0], "", "tenant %q: a name has letters, digits, '_' and '-'", name)
		return
	}
	r.p.tenants[object.Tenant(name)] = struct{}{}
	r.p.Tenants = append(r.p.Tenants, object.Tenant(name))
}

// permit reads a permit block, after everything that it may refer to.
func (r *reader) permit(name string, b *hclsyntax.Block) {
	a := r.block(b, "principals", "objects", "methods", "tracebacks")
	r.require(b, a, "principals", "objects")
	compiled := &rule{
		name:   name,
		reason: fmt.Sprintf("%s:%d permit %q", r.file, b.TypeRange.Start.Line, name),
	}
	who, _ := r.texts(a, "principals", "name those who may")
	objects, _ := r.texts(a, "objects", "name those that may be called")
	methods, _ := r.texts(a, "methods", "leave it out for every exposed one")
	compiled.traceback, _ = r.flag(a, "tracebacks")
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
		// Never nil once the file says something, however wrong: nil permits every method.
		compiled.methods = map[object.Method]struct{}{}
	}
	for _, e := range methods {
		if m := object.Method(e.text); m.Callable() {
			compiled.methods[m] = struct{}{}
			continue
		}
		hint := "a method is a letter, then letters, digits and '_'"
		if strings.Contains(e.text, "*") {
			hint = "leave methods out to permit every exposed one"
		}
		r.problems.add(e.at, hint, "methods: %q can never be called", e.text)
	}
	for _, e := range who {
		r.named(e)
		p := object.Principal(e.text)
		r.p.rules[p] = append(r.p.rules[p], compiled)
	}
}

// named complains unless a permit's principal is one.
func (r *reader) named(e element) {
	if e.text == string(object.Anonymous) {
		return
	}
	if id, ok := callingObject(object.Principal(e.text)); ok {
		if _, err := object.ParseID(string(id)); err != nil {
			r.problems.add(e.at, "write object:<tenant>.<name>; it is one object, not a pattern", "principals: %q is no object", e.text)
			return
		}
		r.declared(id.Tenant(), e, "principals")
		return
	}
	if _, ok := r.principals[object.Principal(e.text)]; ok {
		return
	}
	names := []string{string(object.Anonymous)}
	for p := range r.principals {
		names = append(names, string(p))
	}
	slices.Sort(names)
	hint := near(e.text, names)
	if hint == "" {
		hint = fmt.Sprintf("declare it: principal %q { user = \"…\" }", e.text)
	}
	r.problems.add(e.at, hint, "principals: there is no principal %q", e.text)
}

// declared complains unless a tenant is.
func (r *reader) declared(t object.Tenant, e element, attribute string) {
	if _, ok := r.p.tenants[t]; ok {
		return
	}
	if t == hostTenant {
		r.problems.add(e.at, "", "%s: %q: the host's own objects are not the policy's business", attribute, e.text)
		return
	}
	var names []string
	for _, name := range r.p.Tenants {
		names = append(names, string(name))
	}
	slices.Sort(names)
	hint := near(string(t), names)
	if hint == "" {
		hint = fmt.Sprintf("declare it: tenant %q {}", t)
	}
	r.problems.add(e.at, hint, "%s: %q: there is no tenant %q", attribute, e.text, t)
}
