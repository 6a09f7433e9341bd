package condition

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/problem"
	"github.com/hearthhost/hearth/policy/syntax"
)

// Conditions are written in HCL's expression syntax, of which they take the part that
// cannot run for long, and are compiled when the file is read: names, kinds and fixed
// values are checked then, and what is left to fail is a fact that is not known.

// Condition is a compiled `when`. It is immutable.
type Condition struct {
	Source         string // as it stands in the file, on one line
	UsesMethod     bool
	UsesObject     bool
	UsesCommonName bool
	eval           func(*Context) (bool, error)
}

func (c *Condition) Holds(f *Context) (bool, error) { return c.eval(f) }

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
	truth  func(*Context) (bool, error)
	text   func(*Context) (string, error)
	number func(*Context) (float64, error) // of a clockKind: seconds since midnight
	list   func(*Context) ([]string, error)
	moment func(*Context) (time.Time, error)

	states *formula // of a boolKind: what it states

	fact  string   // the name of the fact that it is, "" if it is none
	fixed *string  // the text that stands in the file
	fixes []string // the list that stands in the file
	at    hcl.Range
}

// Scope states which calls a rule applies to. A nil list is no restriction.
type Scope struct{ Tenants, IDs, Methods []string }

// Declarations are the names that a policy declares. The Check methods report a problem unless the name is
// declared; attribute names it in messages.
type Declarations interface {
	CheckPrincipal(name syntax.Element, attribute string)
	CheckGroup(name syntax.Element, attribute string)
	CheckTenant(t object.Tenant, name syntax.Element, attribute string)
	Principals() []string // anonymous included; sorted
	Tenants() []string    // sorted
}

// Compile compiles a condition of a rule. It adds its problems to r.Problems and its warnings to warnings, and
// never returns nil: a condition with a problem never holds.
func Compile(r *syntax.Reader, expr hclsyntax.Expression, scope Scope, decl Declarations, warnings *problem.List) *Condition {
	c := &compiler{problems: &r.Problems, warnings: warnings, decl: decl}
	t, ok := c.compile(expr)
	if ok && t.kind != boolKind {
		c.problems.Add(t.at, `write a comparison, like caller.channel == "tls"`, "when: want true or false, and this is %s", t.kind)
		ok = false
	}
	if ok {
		c.satisfiable(t, scope.formula())
	} else {
		t.truth = func(*Context) (bool, error) { return false, nil }
	}
	text := string(expr.Range().SliceBytes(r.Src))
	return &Condition{Source: strings.Join(strings.Fields(text), " "), UsesMethod: c.asksMethod, UsesObject: c.asksObject,
		UsesCommonName: c.asksCommonName, eval: t.truth}
}

// compiler compiles one condition.
type compiler struct {
	problems       *problem.List
	warnings       *problem.List
	decl           Declarations
	asksMethod     bool
	asksObject     bool
	asksCommonName bool
}

func (c *compiler) fail(at hcl.Range, hint, format string, args ...any) (term, bool) {
	c.problems.Add(at, hint, format, args...)
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
		return term{kind: boolKind, at: at, states: negated(t.states, true), truth: func(f *Context) (bool, error) {
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
		t.kind, t.fixed, t.text = textKind, &s, func(*Context) (string, error) { return s, nil }
	case v.Type() == cty.Bool:
		b := v.True()
		t.kind, t.states, t.truth = boolKind, fixedTruth(b), func(*Context) (bool, error) { return b, nil }
	default:
		n, _ := v.AsBigFloat().Float64()
		t.kind, t.number = numberKind, func(*Context) (float64, error) { return n, nil }
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
	return term{kind: listKind, at: e.Range(), fixes: list, list: func(*Context) ([]string, error) { return list, nil }}, true
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
	if current := renamedVariables[name]; current != "" {
		return c.fail(e.Range(), "write "+current, "when: %s is now %s", name, current)
	}
	if !ok {
		return c.fail(e.Range(), problem.OneOf(name, slices.Sorted(maps.Keys(variables))), "when: there is no %q", name)
	}
	c.asksMethod = c.asksMethod || name == "method"
	c.asksObject = c.asksObject || name == "object.id" || name == "object.name"
	c.asksCommonName = c.asksCommonName || name == "caller.cert.common_name"
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
		states := allOf(l.states, r.states)
		if decided {
			states = anyOf(l.states, r.states)
		}
		return term{kind: boolKind, at: at, states: states, truth: func(f *Context) (bool, error) {
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
	var order func(f *Context) (int, error)
	switch l.kind {
	case boolKind:
		order = ordered(l.truth, r.truth, differ)
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
	return term{kind: boolKind, at: at, states: states(&l, &r, holds, order), truth: func(f *Context) (bool, error) {
		n, err := order(f)
		return err == nil && holds(n), err
	}}, true
}

// states returns what a comparison states. holds maps the order of its sides to its truth.
func states(l, r *term, holds func(int) bool, order func(*Context) (int, error)) *formula {
	if l.fact != "" && r.fact == "" {
		l, r = r, l
		inner := holds
		holds = func(n int) bool { return inner(-n) }
	}
	switch {
	case l.kind == boolKind:
		equal := anyOf(allOf(l.states, r.states), allOf(negated(l.states, true), negated(r.states, true)))
		return negated(equal, !holds(0))
	case l.fact == r.fact && l.fact != "":
		return fixedTruth(holds(0))
	case l.fact == "" && r.fact == "":
		n, err := order(nil)
		return fixedTruth(err == nil && holds(n))
	case l.fact != "":
		sides := []string{l.fact, r.fact}
		slices.Sort(sides)
		return negated(opaque("==", sides[0], sides[1]), !holds(0))
	}
	// The left side stands in the file.
	switch l.kind { //nolint:exhaustive // the others need nothing
	case textKind:
		return negated(memberOf(r.fact, *l.fixed), !holds(0))
	case momentKind:
		at, _ := l.moment(nil)
		return &formula{atom: &atom{fact: r.fact, momentAt: at, moment: func(t time.Time) bool { return holds(at.Compare(t)) }}}
	}
	n, _ := l.number(nil)
	return &formula{atom: &atom{fact: r.fact, numberAt: n, number: func(v float64) bool { return holds(cmp.Compare(n, v)) }}}
}

// differ returns 0 for equal values, else 1: only == and != compare them.
func differ(a, b bool) int {
	if a == b {
		return 0
	}
	return 1
}

// ordered compares two terms of a kind.
func ordered[T any](l, r func(*Context) (T, error), compare func(a, b T) int) func(*Context) (int, error) {
	return func(f *Context) (int, error) {
		a, err := l(f)
		if err != nil {
			return 0, err
		}
		b, err := r(f)
		return compare(a, b), err
	}
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
		return c.fail(e.NameRange, problem.OneOf(e.Name, slices.Sorted(maps.Keys(signatures))), "when: there is no function %q", e.Name)
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
	case "in_network":
		return c.inNetwork(out, args)
	}
	return c.fragment(out, e.Name, args[0], args[1])
}

// fragment compiles startswith and endswith.
func (c *compiler) fragment(out term, function string, whole, part term) (term, bool) {
	has, a := strings.HasPrefix, &atom{fact: whole.fact, prefix: part.fixed}
	if function == "endswith" {
		has, a = strings.HasSuffix, &atom{fact: whole.fact, suffix: part.fixed}
	}
	out.truth = both(whole.text, part.text, has)
	switch {
	case whole.fixed != nil && part.fixed != nil:
		out.states = fixedTruth(has(*whole.fixed, *part.fixed))
	case whole.fact != "" && part.fixed != nil:
		out.states = &formula{atom: a}
		return out, c.sensiblePart(function, whole.fact, *part.fixed, part.at)
	default:
		out.states = opaque(function, name(whole), name(part))
	}
	return out, true
}

// name tells terms of texts from each other.
func name(t term) string {
	if t.fixed != nil {
		return strconv.Quote(*t.fixed)
	}
	return t.fact + strings.Join(t.fixes, "\x01")
}

// both asks something about two texts.
func both(l, r func(*Context) (string, error), f func(a, b string) bool) func(*Context) (bool, error) {
	return func(fs *Context) (bool, error) {
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
	switch {
	case list.fixes != nil && text.fixed != nil:
		out.states = fixedTruth(slices.Contains(list.fixes, *text.fixed))
	case list.fixes != nil:
		out.states = memberOf(text.fact, list.fixes...)
	default:
		out.states = opaque("contains", name(list), name(text))
	}
	out.truth = func(f *Context) (bool, error) {
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
	out.states = &formula{atom: &atom{fact: args[0].fact, networks: networks}}
	if args[0].fact == "" {
		out.states = opaque("in_network", name(args[0]), fmt.Sprint(networks))
	}
	out.truth = func(f *Context) (bool, error) {
		s, err := address(f)
		if err != nil {
			return false, err
		}
		ip, err := netip.ParseAddr(s)
		if err != nil {
			return false, unknown("the address")
		}
		return inside(ip, networks), nil
	}
	return out, true
}
