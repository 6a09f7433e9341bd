package condition

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/problem"
	"github.com/hearthhost/hearth/policy/syntax"
)

// coerce converts a string constant to the kind of the term that it is compared with, and reports a constant that the
// variable can never equal.
func (c *compiler) coerce(t, with *term) bool {
	if t.literal == nil {
		return true
	}
	s := *t.literal
	switch with.kind {
	case momentKind:
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			_, _ = c.fail(t.at, `write "2027-01-31T18:00:00Z", or an offset like +01:00 for the Z`,
				"when: %q is not a point in time", s)
			return false
		}
		t.kind, t.moment = momentKind, func(*Context) (time.Time, error) { return at, nil }
	case clockKind:
		at, err := time.Parse("15:04", s)
		if err != nil {
			_, _ = c.fail(t.at, `write "08:00" or "18:30"`, "when: %q is not a time of day", s)
			return false
		}
		n := float64(at.Hour()*3600 + at.Minute()*60)
		t.kind, t.number = clockKind, func(*Context) (float64, error) { return n, nil }
	default:
		return c.checkLiteral(with.attr, s, t.at)
	}
	return true
}

// checkLiteral reports a constant that a variable can never equal.
func (c *compiler) checkLiteral(attr, s string, at hcl.Range) bool {
	before := len(*c.problems)
	e := syntax.Element{Text: s, At: at}
	switch attr {
	case "caller.principal":
		c.decl.CheckPrincipal(e, attr)
	case "caller.groups":
		c.decl.CheckGroup(e, attr)
	case "caller.tenant", "object.tenant":
		c.decl.CheckTenant(object.Tenant(s), e, attr)
	case "object.id":
		id, err := object.ParseTarget(s)
		if err != nil {
			c.problems.Add(at, "write <tenant>.<name>", "%s: %q is not an object id", attr, s)
			break
		}
		c.decl.CheckTenant(id.Tenant(), e, attr)
	case "object.key":
		if !object.ValidKey(s) && s != "" {
			c.problems.Add(at, keyHint, "%s is never %q", attr, s)
		}
		c.keys = append(c.keys, s)
	case "method":
		if !object.Method(s).Callable() {
			c.problems.Add(at, "write a letter, then letters, digits and '_'", "%s: %q can never be called", attr, s)
		}
	case "caller.address":
		if ip, err := netip.ParseAddr(s); err != nil || ip.String() != s || ip.Is4In6() {
			c.problems.Add(at, `write an address as "192.0.2.7", or in_network(caller.address, "192.0.2.0/24")`,
				"%s: %q is not an address", attr, s)
		}
	case "caller.cert.serial", "caller.cert.sha256":
		valid := s != "" && strings.Trim(s, "0123456789abcdef") == ""
		if valid && attr == "caller.cert.serial" {
			valid = s[0] != '0'
		} else if valid {
			valid = len(s) == 64
		}
		if !valid {
			const hint = "write it as the audit log and hearth ca show do: hexadecimal digits in lower case, " +
				"without colons, " +
				"a serial number without leading zeros"
			c.problems.Add(at, hint, "%s is never %q", attr, s)
		}
	case "caller.cert.dns":
		if s != strings.ToLower(s) {
			c.problems.Add(at, "write host names in lower case", "%s is never %q", attr, s)
		}
	default:
		if values := variables[attr].values; values != nil && !slices.Contains(values, s) {
			c.problems.Add(at, problem.OneOf(s, values), "%s is never %q", attr, s)
		}
	}
	return len(*c.problems) == before
}

// checkPart reports a constant that a variable never begins or ends with. function is startswith or endswith.
func (c *compiler) checkPart(function, attr, s string, at hcl.Range) bool {
	hint, ok := c.canMatch(attr, s, function == "startswith")
	if !ok {
		verb := map[string]string{"startswith": "begins", "endswith": "ends"}[function]
		c.problems.Add(at, hint, "%s never %s with %q", attr, verb, s)
	}
	return ok
}

// canMatch reports whether a variable can begin (first) or end with s. The hint suggests a valid constant.
func (c *compiler) canMatch(attr, s string, first bool) (hint string, ok bool) {
	part := strings.HasSuffix
	if first {
		part = strings.HasPrefix
	}
	oneHas := func(values []string) bool {
		return slices.ContainsFunc(values, func(v string) bool { return part(v, s) })
	}
	const names = "write letters, digits, '_' and '-', in parts with dots between them"
	switch attr {
	case "object.tenant", "caller.tenant":
		tenants := c.decl.Tenants()
		return problem.OneOf(s, tenants), oneHas(tenants)
	case "object.name":
		return names, namesCanMatch(s, first)
	case "object.key":
		return keyHint, keyCanMatch(s, first)
	case "object.id":
		if name, key, keyed := strings.Cut(s, ":"); keyed {
			hint, ok := c.canMatch(attr, name, first)
			return hint, ok && keyCanMatch(key, first || name == "")
		}
		if !first {
			return names, namesCanMatch(s, first) || keyCanMatch(s, first)
		}
		tenant, rest, whole := strings.Cut(s, ".")
		tenants := c.decl.Tenants()
		if !whole {
			return problem.OneOf(s, tenants), oneHas(tenants)
		}
		if !slices.Contains(tenants, tenant) {
			return problem.OneOf(tenant, tenants), false
		}
		return names, namesCanMatch(rest, first)
	case "method":
		ok := s == "" || object.Method(s).Callable() || !first && object.Method("a"+s).Callable()
		return "write a letter, then letters, digits and '_'", ok
	case "caller.principal":
		return c.principalCanMatch(s, first, oneHas)
	case "caller.address":
		return `write in_network(caller.address, "192.0.2.0/24")`, strings.Trim(s, "0123456789abcdef.:") == ""
	case "caller.cert.serial", "caller.cert.sha256":
		ok := strings.Trim(s, "0123456789abcdef") == "" && len(s) <= 64
		if first && attr == "caller.cert.serial" {
			ok = ok && !strings.HasPrefix(s, "0")
		}
		return "write hexadecimal digits in lower case, without colons; a serial number has no leading zeros", ok
	}
	values := variables[attr].values
	return problem.OneOf(s, values), values == nil || oneHas(values)
}

// principalCanMatch is canMatch for caller.principal.
func (c *compiler) principalCanMatch(s string, first bool, oneHas func([]string) bool) (hint string, ok bool) {
	all := c.decl.Principals()
	if oneHas(all) {
		return "", true
	}
	const prefix = "object:"
	if !first {
		return problem.OneOf(s, all), namesCanMatch(s, first) || strings.Contains(s, ":")
	}
	if strings.HasPrefix(prefix, s) {
		return "", true
	}
	if id, isObject := strings.CutPrefix(s, prefix); isObject {
		return c.canMatch("object.id", id, first)
	}
	return problem.OneOf(s, all), false
}

// keyHint describes the valid keys.
const keyHint = "write letters, digits, '_', '-', '.' and '~', the first one a letter, a digit or '_'"

// keyCanMatch reports whether a key can begin (first) or end with s.
func keyCanMatch(s string, first bool) bool {
	return s == "" || object.ValidKey(s) || !first && object.ValidKey("a"+s)
}

// namesCanMatch reports whether names joined by dots can begin (first) or end with s.
func namesCanMatch(s string, first bool) bool {
	parts := strings.Split(s, ".")
	open := 0 // index of the part that may be incomplete
	if first {
		open = len(parts) - 1
	}
	for i, part := range parts {
		if !object.ValidName(part) && !(i == open && part == "") {
			return false
		}
	}
	return true
}

// satisfiable reports a condition that never holds, and warns about one that always holds.
func (c *compiler) satisfiable(t term, about *formula) {
	attr, never := c.never(t.formula)
	if never && attr == "" {
		c.problems.Add(t.at, neverHint(attr), "when: this can never hold, so the rule never applies")
		return
	}
	if never {
		c.problems.Add(t.at, neverHint(attr),
			"when: this can never hold: no value of %s satisfies all its comparisons", attr)
		return
	}
	if _, never := c.never(allOf(about, t.formula)); never {
		c.warnings.Add(t.at, "correct the condition, or the objects or methods of the rule",
			"when: this never holds for the objects and methods of the rule, so the rule never applies")
	}
	if _, never := c.never(negated(t.formula, true)); never {
		c.warnings.Add(t.at, "remove it, or write && where two parts must both hold",
			"when: this holds for every call whose attributes are known")
	}
}

// formula returns the formula of a call in the scope.
func (s Scope) formula() *formula {
	out := allOf()
	add := func(name string, list []string) {
		if list != nil {
			out.all = append(out.all, memberOf(name, list...))
		}
	}
	add("object.tenant", s.Tenants)
	add("object.id", s.IDs)
	add("method", s.Methods)
	return out
}
