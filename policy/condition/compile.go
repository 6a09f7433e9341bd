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

// Condition is a compiled `when`. It is immutable and safe for concurrent use.
type Condition struct {
	Source         string // text of the file, on one line
	UsesMethod     bool
	UsesObject     bool
	UsesCommonName bool
	Keys           []string // constants that object.key is compared with
	eval           func(*Context) (bool, error)
}

// Holds evaluates the condition. The error names an attribute that is not known for this call.
func (c *Condition) Holds(f *Context) (bool, error) { return c.eval(f) }

// kind is the type of a value in a condition, as messages name it.
type kind string

const (
	boolKind   kind = "a boolean"
	textKind   kind = "a string"
	numberKind kind = "a number"
	listKind   kind = "a list of strings"
	momentKind kind = "a point in time"
	clockKind  kind = "a time of day"
)

// term is a compiled part of a condition. The function of its kind is set.
type term struct {
	kind   kind
	truth  func(*Context) (bool, error)
	text   func(*Context) (string, error)
	number func(*Context) (float64, error) // seconds since midnight for a clockKind
	list   func(*Context) ([]string, error)
	moment func(*Context) (time.Time, error)

	formula *formula // formula of a boolKind

	attr     string   // name of the variable; "": not a variable
	literal  *string  // string constant; nil: not a constant
	literals []string // list constant; nil: not a constant
	at       hcl.Range
}

// Scope restricts the calls that a rule applies to. A nil list does not restrict.
type Scope struct{ Tenants, IDs, Methods []string }

// Declarations are the names that a policy declares. The Check methods report a problem unless the name is declared;
// attribute is the place of the name, for messages.
type Declarations interface {
	CheckPrincipal(name syntax.Element, attribute string)
	CheckGroup(name syntax.Element, attribute string)
	CheckTenant(t object.Tenant, name syntax.Element, attribute string)
	Principals() []string // anonymous included; sorted
	Tenants() []string    // sorted
}

// Compile compiles the condition of a rule. It adds problems to r.Problems and appends to warnings. It never returns
// nil: a condition with a problem never holds.
func Compile(r *syntax.Reader, expr hclsyntax.Expression, scope Scope, decl Declarations,
	warnings *problem.List) *Condition {
	c := &compiler{problems: &r.Problems, warnings: warnings, decl: decl}
	t, ok := c.compile(expr)
	if ok && t.kind != boolKind {
		c.problems.Add(t.at, `write a comparison, like caller.channel == "tls"`, "when: must be a boolean, not %s",
			t.kind)
		ok = false
	}
	if ok {
		c.satisfiable(t, scope.formula())
	} else {
		t.truth = func(*Context) (bool, error) { return false, nil }
	}
	text := string(expr.Range().SliceBytes(r.Src))
	return &Condition{
		Source:         strings.Join(strings.Fields(text), " "),
		UsesMethod:     c.usesMethod,
		UsesObject:     c.usesObject,
		Keys:           c.keys,
		UsesCommonName: c.usesCommonName,
		eval:           t.truth,
	}
}

// compiler compiles one condition.
type compiler struct {
	problems       *problem.List
	warnings       *problem.List
	decl           Declarations
	usesMethod     bool
	usesObject     bool
	usesCommonName bool
	keys           []string // constants that object.key is compared with
}

// fail reports a problem and returns no term.
func (c *compiler) fail(at hcl.Range, hint, format string, args ...any) (term, bool) {
	c.problems.Add(at, hint, format, args...)
	return term{}, false
}

// compile compiles an expression. The result is false after a problem.
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
			return c.fail(at, "", "when: strings must be constants")
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
			return c.fail(at, "", `when: "!" needs a boolean, and "-" is not supported`)
		}
		inner := t.truth
		return term{kind: boolKind, at: at, formula: negated(t.formula, true), truth: func(f *Context) (bool, error) {
			v, err := inner(f)
			return !v, err
		}}, true
	case *hclsyntax.BinaryOpExpr:
		return c.binary(e)
	case *hclsyntax.FunctionCallExpr:
		return c.call(e)
	}
	const valid = "valid: comparisons, && || ! ( ), strings, numbers, lists of strings, and the functions contains, " +
		"startswith, endswith, in_network"
	return c.fail(at, valid, "when: this kind of expression is not supported")
}

// literal compiles a constant.
func (c *compiler) literal(v cty.Value, at hcl.Range) (term, bool) {
	t := term{at: at}
	switch {
	case v.IsNull():
		return c.fail(at, "omit the comparison: an unknown attribute denies", "when: null is not supported")
	case v.Type() == cty.String:
		s := v.AsString()
		t.kind, t.literal, t.text = textKind, &s, func(*Context) (string, error) { return s, nil }
	case v.Type() == cty.Bool:
		b := v.True()
		t.kind, t.formula, t.truth = boolKind, fixedTruth(b), func(*Context) (bool, error) { return b, nil }
	default:
		n, _ := v.AsBigFloat().Float64()
		t.kind, t.number = numberKind, func(*Context) (float64, error) { return n, nil }
	}
	return t, true
}

// fixedList compiles a list of string constants.
func (c *compiler) fixedList(e *hclsyntax.TupleConsExpr) (term, bool) {
	if len(e.Exprs) == 0 {
		return c.fail(e.Range(), "", "when: the list is empty")
	}
	var list []string
	for _, inner := range e.Exprs {
		t, ok := c.compile(inner)
		if !ok {
			return t, false
		}
		if t.literal == nil {
			return c.fail(t.at, `write it in quotes`, "when: elements of a list must be string constants, not %s",
				t.kind)
		}
		list = append(list, *t.literal)
	}
	return term{kind: listKind, at: e.Range(), literals: list,
		list: func(*Context) ([]string, error) { return list, nil }}, true
}

// variable compiles the name of a variable.
func (c *compiler) variable(e *hclsyntax.ScopeTraversalExpr) (term, bool) {
	var parts []string
	for i, step := range e.Traversal {
		switch step := step.(type) {
		case hcl.TraverseRoot:
			parts = append(parts, step.Name)
		case hcl.TraverseAttr:
			parts = append(parts, step.Name)
		case hcl.TraverseIndex:
			if i != 2 || len(e.Traversal) != 3 || strings.Join(parts, ".")+"." != claimPrefix ||
				step.Key.Type() != cty.String {
				return c.fail(e.Range(), "", `when: [ ] is supported in caller.claims["name"] only`)
			}
			parts = append(parts, step.Key.AsString())
		default:
			return c.fail(e.Range(), "", "when: this kind of variable is not supported")
		}
	}
	name := strings.Join(parts, ".")
	v, ok := lookupVariable(name)
	if len(e.Traversal) > 3 && strings.HasPrefix(name, claimPrefix) {
		return c.fail(e.Range(), `write caller.claims["name"] for a name with a dot`,
			"when: claims inside of claims are not supported")
	}
	if current := renamedVariables[name]; current != "" {
		return c.fail(e.Range(), "write "+current, "when: %s is now %s", name, current)
	}
	if !ok {
		if name == strings.TrimSuffix(claimPrefix, ".") {
			return c.fail(e.Range(), "write caller.claims.sub", "when: caller.claims needs the name of a claim")
		}
		return c.fail(e.Range(), problem.OneOf(name, slices.Sorted(maps.Keys(variables))),
			"when: unknown variable %q", name)
	}
	c.usesMethod = c.usesMethod || name == "method"
	c.usesObject = c.usesObject || name == "object.id" || name == "object.name" || name == "object.key"
	c.usesCommonName = c.usesCommonName || name == "caller.cert.common_name"
	return term{kind: v.kind, text: v.text, number: v.number, list: v.list, moment: v.when, attr: name,
		at: e.Range()}, true
}

// binary compiles a comparison, && or ||.
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
			return c.fail(at, "", `when: "&&" and "||" need booleans, not %s and %s`, l.kind, r.kind)
		}
		decided := e.Op == hclsyntax.OpLogicalOr // value of l that decides the result
		a, b := l.truth, r.truth
		states := allOf(l.formula, r.formula)
		if decided {
			states = anyOf(l.formula, r.formula)
		}
		return term{kind: boolKind, at: at, formula: states, truth: func(f *Context) (bool, error) {
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
	return c.fail(at, "", "when: arithmetic is not supported")
}

// comparison compiles l op r. A string constant is converted to the kind of the other side.
func (c *compiler) comparison(op *hclsyntax.Operation, l, r term, at hcl.Range) (term, bool) {
	if !c.coerce(&l, &r) || !c.coerce(&r, &l) {
		return term{}, false
	}
	if l.kind != r.kind || l.kind == listKind {
		hint := ""
		if strings.HasPrefix(l.attr+r.attr, claimPrefix) {
			hint = `write claims as strings: "true", "7"`
		} else if l.kind == listKind || r.kind == listKind {
			hint = "write contains(list, string)"
		}
		return c.fail(at, hint, "when: %s and %s cannot be compared", l.kind, r.kind)
	}
	equality := op == hclsyntax.OpEqual || op == hclsyntax.OpNotEqual
	if !equality && (l.kind == textKind || l.kind == boolKind) {
		return c.fail(at, "", "when: %s has no order", l.kind)
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
	return term{kind: boolKind, at: at, formula: comparisonFormula(&l, &r, holds, order),
		truth: func(f *Context) (bool, error) {
			n, err := order(f)
			return err == nil && holds(n), err
		}}, true
}

// comparisonFormula returns the formula of a comparison. holds maps the order of the sides to the truth of the
// comparison.
func comparisonFormula(l, r *term, holds func(int) bool, order func(*Context) (int, error)) *formula {
	if l.attr != "" && r.attr == "" {
		l, r = r, l
		inner := holds
		holds = func(n int) bool { return inner(-n) }
	}
	switch {
	case l.kind == boolKind:
		equal := anyOf(allOf(l.formula, r.formula), allOf(negated(l.formula, true), negated(r.formula, true)))
		return negated(equal, !holds(0))
	case l.attr == r.attr && l.attr != "":
		return fixedTruth(holds(0))
	case l.attr == "" && r.attr == "":
		n, err := order(nil)
		return fixedTruth(err == nil && holds(n))
	case l.attr != "":
		sides := []string{l.attr, r.attr}
		slices.Sort(sides)
		return negated(opaque("==", sides[0], sides[1]), !holds(0))
	}
	// The left side is a constant.
	switch l.kind { //nolint:exhaustive // other kinds need no conversion
	case textKind:
		return negated(memberOf(r.attr, *l.literal), !holds(0))
	case momentKind:
		at, _ := l.moment(nil)
		return &formula{atom: &atom{attr: r.attr, momentAt: at,
			moment: func(t time.Time) bool { return holds(at.Compare(t)) }}}
	}
	n, _ := l.number(nil)
	return &formula{atom: &atom{attr: r.attr, numberAt: n,
		number: func(v float64) bool { return holds(cmp.Compare(n, v)) }}}
}

// differ returns 0 for equal values and 1 otherwise: only == and != compare booleans.
func differ(a, b bool) int {
	if a == b {
		return 0
	}
	return 1
}

// ordered returns a function that compares two terms of one kind.
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

// signatures are the parameter kinds of the functions. The last parameter of in_network may be repeated.
var signatures = map[string][]kind{
	"contains":   {listKind, textKind},
	"startswith": {textKind, textKind},
	"endswith":   {textKind, textKind},
	"in_network": {textKind, textKind},
}

// call compiles a function call.
func (c *compiler) call(e *hclsyntax.FunctionCallExpr) (term, bool) {
	want, ok := signatures[e.Name]
	if !ok {
		hint := problem.OneOf(e.Name, slices.Sorted(maps.Keys(signatures)))
		return c.fail(e.NameRange, hint, "when: unknown function %q", e.Name)
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
		return c.fail(e.Range(), "", "when: %s needs %d arguments", e.Name, len(want))
	}
	for i, t := range args {
		w := want[min(i, len(want)-1)]
		if w == listKind && strings.HasPrefix(t.attr, claimPrefix) {
			args[i].kind = listKind
			continue
		}
		if t.kind != w {
			return c.fail(t.at, "", "when: %s: argument must be %s, not %s", e.Name, w, t.kind)
		}
	}
	out := term{kind: boolKind, at: e.Range()}
	switch e.Name {
	case "contains":
		return c.contains(out, args[0], args[1])
	case "in_network":
		return c.inNetwork(out, args)
	}
	return c.affix(out, e.Name, args[0], args[1])
}

// affix compiles startswith and endswith.
func (c *compiler) affix(out term, function string, whole, part term) (term, bool) {
	has, a := strings.HasPrefix, &atom{attr: whole.attr, prefix: part.literal}
	if function == "endswith" {
		has, a = strings.HasSuffix, &atom{attr: whole.attr, suffix: part.literal}
	}
	out.truth = bothTexts(whole.text, part.text, has)
	switch {
	case whole.literal != nil && part.literal != nil:
		out.formula = fixedTruth(has(*whole.literal, *part.literal))
	case whole.attr != "" && part.literal != nil:
		out.formula = &formula{atom: a}
		return out, c.checkPart(function, whole.attr, *part.literal, part.at)
	default:
		out.formula = opaque(function, name(whole), name(part))
	}
	return out, true
}

// name returns a key of a string or list term, for formulas.
func name(t term) string {
	if t.literal != nil {
		return strconv.Quote(*t.literal)
	}
	return t.attr + strings.Join(t.literals, "\x01")
}

// bothTexts returns a predicate on two string terms.
func bothTexts(l, r func(*Context) (string, error), f func(a, b string) bool) func(*Context) (bool, error) {
	return func(fs *Context) (bool, error) {
		a, err := l(fs)
		if err != nil {
			return false, err
		}
		b, err := r(fs)
		return err == nil && f(a, b), err
	}
}

// contains compiles contains(list, string).
func (c *compiler) contains(out, list, text term) (term, bool) {
	if text.literal != nil && !c.checkLiteral(list.attr, *text.literal, text.at) {
		return out, false
	}
	for _, s := range list.literals {
		if !c.checkLiteral(text.attr, s, list.at) {
			return out, false
		}
	}
	switch {
	case list.literals != nil && text.literal != nil:
		out.formula = fixedTruth(slices.Contains(list.literals, *text.literal))
	case list.literals != nil:
		out.formula = memberOf(text.attr, list.literals...)
	default:
		out.formula = opaque("contains", name(list), name(text))
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
		if t.literal == nil {
			return c.fail(t.at, `write "192.0.2.0/24"`, "when: in_network: a network must be a constant")
		}
		p, err := netip.ParsePrefix(*t.literal)
		if err != nil || p != p.Masked() || p.Addr().Is4In6() {
			return c.fail(t.at, `write "192.0.2.0/24" or "2001:db8::/32", with no bit set beyond its length`,
				"when: in_network: %q is not a network", *t.literal)
		}
		networks = append(networks, p)
	}
	address := args[0].text
	out.formula = &formula{atom: &atom{attr: args[0].attr, networks: networks}}
	if args[0].attr == "" {
		out.formula = opaque("in_network", name(args[0]), fmt.Sprint(networks))
	}
	out.truth = func(f *Context) (bool, error) {
		s, err := address(f)
		if err != nil {
			return false, err
		}
		ip, err := netip.ParseAddr(s)
		if err != nil {
			return false, unknownError("caller.address")
		}
		return inside(ip, networks), nil
	}
	return out, true
}
