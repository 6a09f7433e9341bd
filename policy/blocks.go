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

// tenant reads a tenant block.
func (r *reader) tenant(name string, b *hclsyntax.Block) {
	r.blockWith(b, []string{"plugin"})
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
	r.plugins(object.Tenant(name), b)
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
