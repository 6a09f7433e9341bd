package policyfile

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/condition"
	"github.com/hearthhost/hearth/policy/syntax"
)

// permit reads a permit block. All names that it can refer to are read before.
func (r *reader) permit(name string, b *hclsyntax.Block) {
	a := r.Block(b, "principals", "objects", "methods", "when", "tracebacks", "crosses_tenants")
	compiled := r.rule(name, b, a)
	compiled.Tracebacks, _ = r.Flag(a, "tracebacks")
	compiled.CrossesTenants, _ = r.Flag(a, "crosses_tenants")
	needed := false
	for _, s := range r.subjectsOf(a, "name the principals or groups that it permits") {
		s.Permits.Add(compiled, compiled.Objects)
		for _, m := range s.owners {
			needed = r.crossing(m, compiled, b) || needed
		}
	}
	if compiled.CrossesTenants && !needed && len(r.Problems) == 0 {
		r.Problems.Add(a["crosses_tenants"].NameRange, "remove it",
			"crosses_tenants: no principal of this permit has another owner tenant than its objects")
	}
}

// crossing reports whether a permit covers objects of another tenant than the principal's owner tenant. It reports a
// problem unless the permit has crosses_tenants. analysis.Prove checks the same by decisions.
func (r *reader) crossing(m ownedPrincipal, rule *policy.Rule, b *hclsyntax.Block) bool {
	for _, o := range rule.Objects {
		if o.Tenant == m.owner {
			continue
		}
		if !rule.CrossesTenants {
			r.Problems.Add(b.TypeRange, "add crosses_tenants = true to permit that",
				"permit %q: %s is owned by tenant %s and would reach %s", rule.Name, m.who, m.owner, o)
		}
		return true
	}
	return false
}

// forbid reads a forbid block.
func (r *reader) forbid(name string, b *hclsyntax.Block) {
	a := r.Block(b, "principals", "objects", "methods", "when")
	compiled := r.rule(name, b, a)
	compiled.Forbids = true
	for _, s := range r.subjectsOf(a, "name the principals or groups that it denies") {
		s.Forbids.Add(compiled, compiled.Objects)
	}
}

// rule reads the attributes that permits and forbids have in common, except principals.
func (r *reader) rule(name string, b *hclsyntax.Block, a syntax.Attributes) *policy.Rule {
	r.Require(b, a, "principals", "objects")
	compiled := &policy.Rule{Name: name, Reason: r.Reason(name, b), Objects: r.patterns(a, false)}
	methods, _ := r.Texts(a, "methods", "omit methods for every exposed method")
	if a["methods"] != nil {
		// Not nil, even for an invalid list: nil means every method.
		compiled.Methods = map[object.Method]struct{}{}
	}
	for _, e := range methods {
		if m := object.Method(e.Text); policy.Callable(m) {
			compiled.Methods[m] = struct{}{}
			continue
		}
		hint := "write a letter, then letters, digits and '_'"
		if strings.Contains(e.Text, "*") {
			hint = "omit methods for every exposed method"
		}
		r.Problems.Add(e.At, hint, "methods: %q can never be called", e.Text)
	}
	if when := a["when"]; when != nil {
		compiled.When = condition.Compile(&r.Reader, when.Expr, scope(compiled), r, &r.def.Warnings)
	}
	return compiled
}

// patterns reads the objects of a block. With hostObjects, patterns of the host's own objects are valid.
func (r *reader) patterns(a syntax.Attributes, hostObjects bool) []policy.Pattern {
	var out []policy.Pattern
	objects, _ := r.Texts(a, "objects", "name at least one object")
	for _, e := range objects {
		p, err := policy.ParsePattern(e.Text)
		if err != nil {
			r.Problems.Add(e.At, err.Error(), "objects: %q is not a pattern of object ids", e.Text)
			continue
		}
		if p.Tenant != policy.AnyTenant && !(hostObjects && p.Tenant == object.HostTenant) {
			r.CheckTenant(p.Tenant, e, "objects")
		}
		out = append(out, p)
	}
	return out
}

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
