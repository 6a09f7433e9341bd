package policyfile

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/problem"
	"github.com/hearthhost/hearth/policy/syntax"
)

// Tenants returns the declared tenants, sorted.
func (r *reader) Tenants() []string {
	var names []string
	for name := range r.def.Settings {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return names
}

// Principals returns anonymous and the declared principals, sorted.
func (r *reader) Principals() []string {
	all := []string{string(object.Anonymous)}
	for p := range r.principals {
		all = append(all, string(p))
	}
	slices.Sort(all)
	return all
}

// CheckGroup reports a problem unless a name is a group.
func (r *reader) CheckGroup(e syntax.Element, attribute string) {
	if r.groups[e.Text] == nil {
		hint := problem.Near(e.Text, slices.Sorted(maps.Keys(r.groups)))
		r.Problems.Add(e.At, hint, "%s: unknown group %q", attribute, e.Text)
	}
}

// CheckTenant reports a problem unless a tenant is declared.
func (r *reader) CheckTenant(t object.Tenant, e syntax.Element, attribute string) {
	if _, ok := r.def.Settings[t]; ok {
		return
	}
	if t == object.HostTenant {
		r.Problems.Add(e.At, "", "%s: %q: permits do not cover the host's own objects", attribute, e.Text)
		return
	}
	var names []string
	for _, name := range r.def.Tenants {
		names = append(names, string(name))
	}
	slices.Sort(names)
	hint := problem.Near(string(t), names)
	if hint == "" {
		hint = fmt.Sprintf("declare it: tenant %q {}", t)
	}
	r.Problems.Add(e.At, hint, "%s: %q: unknown tenant %q", attribute, e.Text, t)
}

// CheckPrincipal reports a problem unless a name is a principal.
func (r *reader) CheckPrincipal(e syntax.Element, attribute string) {
	if e.Text == string(object.Anonymous) {
		return
	}
	if id, ok := object.Principal(e.Text).Object(); ok {
		if _, err := object.ParseID(string(id)); err != nil {
			r.Problems.Add(e.At, "write object:<tenant>.<name>; it is one object, not a pattern",
				"%s: %q is not an object id", attribute, e.Text)
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
	if name, ok := object.Principal(e.Text).Webhook(); ok && hint == "" {
		hint = fmt.Sprintf("declare it: webhook %q { … }", name)
	}
	if hint == "" {
		hint = fmt.Sprintf("declare it: principal %q { user = \"…\" }", e.Text)
	}
	r.Problems.Add(e.At, hint, "%s: unknown principal %q", attribute, e.Text)
}
