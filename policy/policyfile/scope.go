package policyfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/condition"
	"github.com/hearthhost/hearth/policy/problem"
	"github.com/hearthhost/hearth/policy/syntax"
)

// scope returns the calls that a rule applies to.
func scope(c *policy.Rule) condition.Scope {
	var s condition.Scope
	anywhere := len(c.Objects) == 0
	for _, p := range c.Objects {
		s.Tenants = append(s.Tenants, string(p.Tenant))
		anywhere = anywhere || p.Tenant == policy.AnyTenant
		if !strings.Contains(p.Name, "*") && p.Tenant != policy.AnyTenant {
			s.IDs = append(s.IDs, fmt.Sprint(p))
		}
	}
	if anywhere {
		s.Tenants = nil
	}
	if len(s.IDs) < len(c.Objects) {
		s.IDs = nil
	}
	for m := range c.Methods {
		s.Methods = append(s.Methods, string(policy.BaseMethod(m)))
	}
	return s
}

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
		r.Problems.Add(e.At, hint, "%s: there is no group %q", attribute, e.Text)
	}
}
