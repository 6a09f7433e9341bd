package policy

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/hearthhost/hearth/object"
)

// Conditions are written in HCL's expression syntax, of which they take the part that
// cannot run for long, and are compiled when the file is read: names, kinds and fixed
// values are checked then, and what is left to fail is a fact that is not known.

// condition is a compiled `when`. It is immutable.
type condition struct {
	source     string // as it stands in the file, on one line
	asksMethod bool
	asksObject bool
	eval       func(*facts) (bool, error)
}

func (c *condition) holds(f *facts) (bool, error) { return c.eval(f) }

// kind is what kind of value a part of a condition has.
type kind string

const (
	boolKind   kind = "true or false"
	textKind   kind = "a text"
	numberKind kind = "a number"
	listKind   kind = "a list of texts"
	momentKind kind = "a point in time"
	clockKind  kind = "a time of day"
)

// term is a compiled part of a condition. The function that its kind needs is set.
type term struct {
	kind   kind
	truth  func(*facts) (bool, error)
	text   func(*facts) (string, error)
	number func(*facts) (float64, error) // of a clockKind: seconds since midnight
	list   func(*facts) ([]string, error)
	moment func(*facts) (time.Time, error)

	fact  string   // the name of the fact that it is, "" if it is none
	fixed *string  // the text that stands in the file
	fixes []string // the list that stands in the file
	at    hcl.Range
}

// condition compiles a rule's `when`.
func (r *reader) condition(a attributes) *condition {
	attr := a["when"]
	if attr == nil {
		return nil
	}
	c := &compiler{r: r}
	t, ok := c.compile(attr.Expr)
	if ok && t.kind != boolKind {
		r.problems.add(t.at, `write a comparison, like caller.channel == "tls"`, "when: want true or false, and this is %s", t.kind)
		ok = false
	}
	if !ok {
		// Never nil once the file says something, however wrong: nil is always.
		t.truth = func(*facts) (bool, error) { return false, nil }
	}
	text := string(attr.Expr.Range().SliceBytes(r.src))
	return &condition{source: strings.Join(strings.Fields(text), " "), asksMethod: c.asksMethod, asksObject: c.asksObject, eval: t.truth}
}

// compiler compiles one condition.
type compiler struct {
	r          *reader
	asksMethod bool
	asksObject bool
}

func (c *compiler) fail(at hcl.Range, hint, format string, args ...any) (term, bool) {
	c.r.problems.add(at, hint, format, args...)
	return term{}, false
}

func (c *compiler) compile(e hclsyntax.Expression) (term, bool) {
	at := e.Range()
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		t, ok := c.compile(e.Expression)
		t.at = at
		return t, ok
	case *hclsyntax.LiteralValueExpr:
		return c.literal(e.Val, at)
	case *hclsyntax.TemplateExpr:
		if !e.IsStringLiteral() {
			return c.fail(at, "", "when: a text cannot be put together here")
		}
		v, _ := e.Value(nil)
		return c.literal(v, at)
	case *hclsyntax.TupleConsExpr:
		return c.fixedList(e)
	case *hclsyntax.ScopeTraversalExpr:
		return c.variable(e)
	case *hclsyntax.UnaryOpExpr:
		t, ok := c.compile(e.Val)
		if !ok {
			return t, false
		}
		if e.Op != hclsyntax.OpLogicalNot || t.kind != boolKind {
			return c.fail(at, "", `when: "!" is for true and false, and there is no "-"`)
		}
		inner := t.truth
		return term{kind: boolKind, at: at, truth: func(f *facts) (bool, error) {
			v, err := inner(f)
			return !v, err
		}}, true
	case *hclsyntax.BinaryOpExpr:
		return c.binary(e)
	case *hclsyntax.FunctionCallExpr:
		return c.call(e)
	}
	return c.fail(at, "there are: comparisons, && || ! ( ), texts, numbers, lists of texts, and the functions contains, startswith, endswith, in_network",
		"when: this kind of expression is not known here")
}

func (c *compiler) literal(v cty.Value, at hcl.Range) (term, bool) {
	t := term{at: at}
	switch {
	case v.IsNull():
		return c.fail(at, "a fact that is not known denies by itself", "when: there is no null")
	case v.Type() == cty.String:
		s := v.AsString()
		t.kind, t.fixed, t.text = textKind, &s, func(*facts) (string, error) { return s, nil }
	case v.Type() == cty.Bool:
		b := v.True()
		t.kind, t.truth = boolKind, func(*facts) (bool, error) { return b, nil }
	default:
		n, _ := v.AsBigFloat().Float64()
		t.kind, t.number = numberKind, func(*facts) (float64, error) { return n, nil }
	}
	return t, true
}

func (c *compiler) fixedList(e *hclsyntax.TupleConsExpr) (term, bool) {
	if len(e.Exprs) == 0 {
		return c.fail(e.Range(), "", "when: the list is empty: nothing is in it")
	}
	var list []string
	for _, inner := range e.Exprs {
		t, ok := c.compile(inner)
		if !ok {
			return t, false
		}
		if t.fixed == nil {
			return c.fail(t.at, `write it in quotes`, "when: a list holds texts that stand in the file, and this is %s", t.kind)
		}
		list = append(list, *t.fixed)
	}
	return term{kind: listKind, at: e.Range(), fixes: list, list: func(*facts) ([]string, error) { return list, nil }}, true
}

func (c *compiler) variable(e *hclsyntax.ScopeTraversalExpr) (term, bool) {
	var parts []string
	for _, step := range e.Traversal {
		switch step := step.(type) {
		case hcl.TraverseRoot:
			parts = append(parts, step.Name)
		case hcl.TraverseAttr:
			parts = append(parts, step.Name)
		default:
			return c.fail(e.Range(), "", "when: nothing here has elements to pick by [ ]")
		}
	}
	name := strings.Join(parts, ".")
	v, ok := variables[name]
	if !ok {
		return c.fail(e.Range(), oneOf(name, slices.Sorted(maps.Keys(variables))), "when: there is no %q", name)
	}
	c.asksMethod = c.asksMethod || name == "method"
	c.asksObject = c.asksObject || name == "object.id" || name == "object.name"
	return term{kind: v.kind, text: v.text, number: v.number, list: v.list, moment: v.when, fact: name, at: e.Range()}, true
}

func (c *compiler) binary(e *hclsyntax.BinaryOpExpr) (term, bool) {
	l, okL := c.compile(e.LHS)
	r, okR := c.compile(e.RHS)
	if !okL || !okR {
		return term{}, false
	}
	at := e.Range()
	switch e.Op {
	case hclsyntax.OpLogicalAnd, hclsyntax.OpLogicalOr:
		if l.kind != boolKind || r.kind != boolKind {
			return c.fail(at, "", `when: "&&" and "||" join what is true or false, and these are %s and %s`, l.kind, r.kind)
		}
		decided := e.Op == hclsyntax.OpLogicalOr // the value of l that settles it
		a, b := l.truth, r.truth
		return term{kind: boolKind, at: at, truth: func(f *facts) (bool, error) {
			v, err := a(f)
			if err != nil || v == decided {
				return v, err
			}
			return b(f)
		}}, true
	case hclsyntax.OpEqual, hclsyntax.OpNotEqual, hclsyntax.OpLessThan, hclsyntax.OpLessThanOrEqual,
		hclsyntax.OpGreaterThan, hclsyntax.OpGreaterThanOrEqual:
		return c.comparison(e.Op, l, r, at)
	}
	return c.fail(at, "", "when: there is no arithmetic here")
}

// comparison compiles l op r. A text that stands in the file is read as what the other
// side is.
func (c *compiler) comparison(op *hclsyntax.Operation, l, r term, at hcl.Range) (term, bool) {
	if !c.suit(&l, &r) || !c.suit(&r, &l) {
		return term{}, false
	}
	if l.kind != r.kind || l.kind == listKind {
		hint := ""
		if l.kind == listKind || r.kind == listKind {
			hint = "write contains(list, text)"
		}
		return c.fail(at, hint, "when: %s and %s cannot be compared", l.kind, r.kind)
	}
	equality := op == hclsyntax.OpEqual || op == hclsyntax.OpNotEqual
	if !equality && (l.kind == textKind || l.kind == boolKind) {
		return c.fail(at, "", "when: %s is neither before nor after another", l.kind)
	}
	var order func(f *facts) (int, error)
	switch l.kind {
	case boolKind:
		order = ordered(l.truth, r.truth, compareBool)
	case textKind:
		order = ordered(l.text, r.text, strings.Compare)
	case momentKind:
		order = ordered(l.moment, r.moment, time.Time.Compare)
	default:
		order = ordered(l.number, r.number, cmp.Compare[float64])
	}
	var holds func(int) bool
	switch op {
	case hclsyntax.OpEqual:
		holds = func(n int) bool { return n == 0 }
	case hclsyntax.OpNotEqual:
		holds = func(n int) bool { return n != 0 }
	case hclsyntax.OpLessThan:
		holds = func(n int) bool { return n < 0 }
	case hclsyntax.OpLessThanOrEqual:
		holds = func(n int) bool { return n <= 0 }
	case hclsyntax.OpGreaterThan:
		holds = func(n int) bool { return n > 0 }
	default:
		holds = func(n int) bool { return n >= 0 }
	}
	return term{kind: boolKind, at: at, truth: func(f *facts) (bool, error) {
		n, err := order(f)
		return err == nil && holds(n), err
	}}, true
}

// ordered compares two terms of a kind.
func ordered[T any](l, r func(*facts) (T, error), compare func(a, b T) int) func(*facts) (int, error) {
	return func(f *facts) (int, error) {
		a, err := l(f)
		if err != nil {
			return 0, err
		}
		b, err := r(f)
		return compare(a, b), err
	}
}

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
		t.kind, t.moment = momentKind, func(*facts) (time.Time, error) { return at, nil }
	case clockKind:
		at, err := time.Parse("15:04", s)
		if err != nil {
			_, _ = c.fail(t.at, `write "08:00" or "18:30"`, "when: %q is no time of day", s)
			return false
		}
		n := float64(at.Hour()*3600 + at.Minute()*60)
		t.kind, t.number = clockKind, func(*facts) (float64, error) { return n, nil }
	default:
		return c.sensible(with.fact, s, t.at)
	}
	return true
}

// sensible complains about a text that a fact can never be.
func (c *compiler) sensible(fact, s string, at hcl.Range) bool {
	before := len(c.r.problems)
	e := element{s, at}
	switch fact {
	case "caller.principal":
		c.r.principalNamed(e, fact)
	case "caller.groups":
		if c.r.groups[s] == nil {
			c.r.problems.add(at, near(s, slices.Sorted(maps.Keys(c.r.groups))), "%s: there is no group %q", fact, s)
		}
	case "caller.tenant", "object.tenant":
		c.r.declared(object.Tenant(s), e, fact)
	case "object.id":
		if _, err := object.ParseID(s); err != nil {
			c.r.problems.add(at, "write <tenant>.<name>", "%s: %q is no object", fact, s)
		}
	case "method":
		if !object.Method(s).Callable() {
			c.r.problems.add(at, "a method is a letter, then letters, digits and '_'", "%s: %q can never be called", fact, s)
		}
	case "caller.address":
		if ip, err := netip.ParseAddr(s); err != nil || ip.String() != s || ip.Is4In6() {
			c.r.problems.add(at, `write an address as "192.0.2.7", or in_network(caller.address, "192.0.2.0/24")`, "%s: %q is no address", fact, s)
		}
	case "caller.cert.serial", "caller.cert.sha256":
		if s == "" || strings.Trim(s, "0123456789abcdef") != "" || s[0] == '0' && fact == "caller.cert.serial" || len(s) != 64 && fact == "caller.cert.sha256" {
			c.r.problems.add(at, "write it as the audit log and hearth ca show do: hexadecimal digits in lower case, without colons, a serial number without leading zeros", "%s is never %q", fact, s)
		}
	case "caller.cert.dns":
		if s != strings.ToLower(s) {
			c.r.problems.add(at, "names of hosts are compared in lower case", "%s is never %q", fact, s)
		}
	default:
		if values := variables[fact].values; values != nil && !slices.Contains(values, s) {
			c.r.problems.add(at, oneOf(s, values), "%s is never %q", fact, s)
		}
	}
	return len(c.r.problems) == before
}

// signatures are the functions of conditions: what they take. The last may be repeated if
// it is a network.
var signatures = map[string][]kind{
	"contains":   {listKind, textKind},
	"startswith": {textKind, textKind},
	"endswith":   {textKind, textKind},
	"in_network": {textKind, textKind},
}

func (c *compiler) call(e *hclsyntax.FunctionCallExpr) (term, bool) {
	want, ok := signatures[e.Name]
	if !ok {
		return c.fail(e.NameRange, oneOf(e.Name, slices.Sorted(maps.Keys(signatures))), "when: there is no function %q", e.Name)
	}
	var args []term
	for _, inner := range e.Args {
		t, ok := c.compile(inner)
		if !ok {
			return t, false
		}
		args = append(args, t)
	}
	if len(args) < len(want) || len(args) > len(want) && e.Name != "in_network" || e.ExpandFinal {
		return c.fail(e.Range(), "", "when: %s takes %d arguments", e.Name, len(want))
	}
	for i, t := range args {
		if w := want[min(i, len(want)-1)]; t.kind != w {
			return c.fail(t.at, "", "when: %s: want %s, and this is %s", e.Name, w, t.kind)
		}
	}
	out := term{kind: boolKind, at: e.Range()}
	switch e.Name {
	case "contains":
		return c.contains(out, args[0], args[1])
	case "startswith":
		out.truth = both(args[0].text, args[1].text, strings.HasPrefix)
	case "endswith":
		out.truth = both(args[0].text, args[1].text, strings.HasSuffix)
	default:
		return c.inNetwork(out, args)
	}
	return out, true
}

// both asks something about two texts.
func both(l, r func(*facts) (string, error), f func(a, b string) bool) func(*facts) (bool, error) {
	return func(fs *facts) (bool, error) {
		a, err := l(fs)
		if err != nil {
			return false, err
		}
		b, err := r(fs)
		return err == nil && f(a, b), err
	}
}

func (c *compiler) contains(out, list, text term) (term, bool) {
	if text.fixed != nil && !c.sensible(list.fact, *text.fixed, text.at) {
		return out, false
	}
	for _, s := range list.fixes {
		if !c.sensible(text.fact, s, list.at) {
			return out, false
		}
	}
	out.truth = func(f *facts) (bool, error) {
		l, err := list.list(f)
		if err != nil {
			return false, err
		}
		s, err := text.text(f)
		return err == nil && slices.Contains(l, s), err
	}
	return out, true
}

// inNetwork compiles in_network(address, network…).
func (c *compiler) inNetwork(out term, args []term) (term, bool) {
	var networks []netip.Prefix
	for _, t := range args[1:] {
		if t.fixed == nil {
			return c.fail(t.at, `write "192.0.2.0/24"`, "when: in_network: a network stands in the file")
		}
		p, err := netip.ParsePrefix(*t.fixed)
		if err != nil || p != p.Masked() || p.Addr().Is4In6() {
			return c.fail(t.at, `write "192.0.2.0/24" or "2001:db8::/32", with no bit set beyond its length`, "when: in_network: %q is no network", *t.fixed)
		}
		networks = append(networks, p)
	}
	address := args[0].text
	out.truth = func(f *facts) (bool, error) {
		s, err := address(f)
		if err != nil {
			return false, err
		}
		ip, err := netip.ParseAddr(s)
		if err != nil {
			return false, unknown("the address")
		}
		ip = ip.Unmap().WithZone("")
		return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(ip) }), nil
	}
	return out, true
}
