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

// suit turns a text that stands in the file into what it is compared with, and complains
// about one that the fact can never be.
func (c *compiler) suit(t, with *term) bool {
	if t.fixed == nil {
		return true
	}
	s := *t.fixed
	switch with.kind {
	case momentKind:
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			_, _ = c.fail(t.at, `write "2027-01-31T18:00:00Z", or an offset like +01:00 for the Z`, "when: %q is no point in time", s)
			return false
		}
		t.kind, t.moment = momentKind, func(*Context) (time.Time, error) { return at, nil }
	case clockKind:
		at, err := time.Parse("15:04", s)
		if err != nil {
			_, _ = c.fail(t.at, `write "08:00" or "18:30"`, "when: %q is no time of day", s)
			return false
		}
		n := float64(at.Hour()*3600 + at.Minute()*60)
		t.kind, t.number = clockKind, func(*Context) (float64, error) { return n, nil }
	default:
		return c.sensible(with.fact, s, t.at)
	}
	return true
}

// sensible complains about a text that a fact can never be.
func (c *compiler) sensible(fact, s string, at hcl.Range) bool {
	before := len(*c.problems)
	e := syntax.Element{Text: s, At: at}
	switch fact {
	case "caller.principal":
		c.decl.CheckPrincipal(e, fact)
	case "caller.groups":
		c.decl.CheckGroup(e, fact)
	case "caller.tenant", "object.tenant":
		c.decl.CheckTenant(object.Tenant(s), e, fact)
	case "object.id":
		id, err := object.ParseID(s)
		if err != nil {
			c.problems.Add(at, "write <tenant>.<name>", "%s: %q is no object", fact, s)
			break
		}
		c.decl.CheckTenant(id.Tenant(), e, fact)
	case "method":
		if !object.Method(s).Callable() {
			c.problems.Add(at, "a method is a letter, then letters, digits and '_'", "%s: %q can never be called", fact, s)
		}
	case "caller.address":
		if ip, err := netip.ParseAddr(s); err != nil || ip.String() != s || ip.Is4In6() {
			c.problems.Add(at, `write an address as "192.0.2.7", or in_network(caller.address, "192.0.2.0/24")`, "%s: %q is no address", fact, s)
		}
	case "caller.cert.serial", "caller.cert.sha256":
		if s == "" || strings.Trim(s, "0123456789abcdef") != "" || s[0] == '0' && fact == "caller.cert.serial" || len(s) != 64 && fact == "caller.cert.sha256" {
			c.problems.Add(at, "write it as the audit log and hearth ca show do: hexadecimal digits in lower case, without colons, a serial number without leading zeros", "%s is never %q", fact, s)
		}
	case "caller.cert.dns":
		if s != strings.ToLower(s) {
			c.problems.Add(at, "names of hosts are compared in lower case", "%s is never %q", fact, s)
		}
	default:
		if values := variables[fact].values; values != nil && !slices.Contains(values, s) {
			c.problems.Add(at, problem.OneOf(s, values), "%s is never %q", fact, s)
		}
	}
	return len(*c.problems) == before
}

// sensiblePart complains about a text that a fact never begins or ends with. function is startswith
// or endswith.
func (c *compiler) sensiblePart(function, fact, s string, at hcl.Range) bool {
	hint, ok := c.canHave(fact, s, function == "startswith")
	if !ok {
		verb := map[string]string{"startswith": "begins", "endswith": "ends"}[function]
		c.problems.Add(at, hint, "%s never %s with %q", fact, verb, s)
	}
	return ok
}

// canHave reports whether a text can be at the beginning (first) or end of a fact. The hint is the next
// thing to do where it cannot.
func (c *compiler) canHave(fact, s string, first bool) (hint string, ok bool) {
	part := strings.HasSuffix
	if first {
		part = strings.HasPrefix
	}
	oneHas := func(values []string) bool {
		return slices.ContainsFunc(values, func(v string) bool { return part(v, s) })
	}
	const names = "names have letters, digits, '_' and '-', and stand between dots"
	switch fact {
	case "object.tenant", "caller.tenant":
		tenants := c.decl.Tenants()
		return problem.OneOf(s, tenants), oneHas(tenants)
	case "object.name":
		return names, namesHave(s, first)
	case "object.id":
		if !first {
			return names, namesHave(s, first)
		}
		tenant, rest, whole := strings.Cut(s, ".")
		tenants := c.decl.Tenants()
		if !whole {
			return problem.OneOf(s, tenants), oneHas(tenants)
		}
		if !slices.Contains(tenants, tenant) {
			return problem.OneOf(tenant, tenants), false
		}
		return names, namesHave(rest, first)
	case "method":
		ok := s == "" || object.Method(s).Callable() || !first && object.Method("a"+s).Callable()
		return "a method is a letter, then letters, digits and '_'", ok
	case "caller.principal":
		return c.principalHas(s, first, oneHas)
	case "caller.address":
		return `write in_network(caller.address, "192.0.2.0/24")`, strings.Trim(s, "0123456789abcdef.:") == ""
	case "caller.cert.serial", "caller.cert.sha256":
		ok := strings.Trim(s, "0123456789abcdef") == "" && len(s) <= 64 && !(first && fact == "caller.cert.serial" && strings.HasPrefix(s, "0"))
		return "it has hexadecimal digits in lower case, without colons; a serial number has no leading zeros", ok
	}
	values := variables[fact].values
	return problem.OneOf(s, values), values == nil || oneHas(values)
}

// principalHas is canHave of caller.principal.
func (c *compiler) principalHas(s string, first bool, oneHas func([]string) bool) (hint string, ok bool) {
	all := c.decl.Principals()
	if oneHas(all) {
		return "", true
	}
	const prefix = "object:"
	if !first {
		return problem.OneOf(s, all), namesHave(s, first) || strings.Contains(s, ":")
	}
	if strings.HasPrefix(prefix, s) {
		return "", true
	}
	if id, isObject := strings.CutPrefix(s, prefix); isObject {
		return c.canHave("object.id", id, first)
	}
	return problem.OneOf(s, all), false
}

// namesHave reports whether names that dots join can begin (first) or end with s.
func namesHave(s string, first bool) bool {
	parts := strings.Split(s, ".")
	open := 0 // the part that may be cut
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

// satisfiable complains about a condition that can never hold.
func (c *compiler) satisfiable(t term, about *formula) {
	fact, never := c.never(t.states)
	if never && fact == "" {
		c.problems.Add(t.at, neverHint(fact), "when: this can never hold, so the rule never applies")
		return
	}
	if never {
		c.problems.Add(t.at, neverHint(fact), "when: this can never hold: no value of %s satisfies all that must be so of it", fact)
		return
	}
	if _, never := c.never(allOf(about, t.states)); never {
		c.warnings.Add(t.at, "correct the condition, or what the rule is about",
			"when: this never holds for the objects and methods of the rule, which so never applies")
	}
	if _, never := c.never(negated(t.states, true)); never {
		c.warnings.Add(t.at, "remove it, or write && where two parts must both hold",
			"when: this holds for every call of which all that it asks is known")
	}
}

// formula states that a call is in the scope.
func (s Scope) formula() *formula {
	out := allOf()
	for fact, list := range map[string][]string{"object.tenant": s.Tenants, "object.id": s.IDs, "method": s.Methods} {
		if list != nil {
			out.all = append(out.all, memberOf(fact, list...))
		}
	}
	return out
}
