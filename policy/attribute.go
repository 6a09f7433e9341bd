package policy

import (
	"math/big"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// attributes are a body's attributes by name, those that the language has.
type attributes map[string]*hclsyntax.Attribute

// element is one text of a list.
type element struct {
	text string
	at   hcl.Range
}

// attributes returns what a body sets, and complains about what it may not. where is
// what the body belongs to, for messages.
func (r *reader) attributes(body *hclsyntax.Body, where string, known ...string) attributes {
	out := attributes{}
	for name, a := range body.Attributes {
		if !slices.Contains(known, name) {
			r.problems.add(a.NameRange, oneOf(name, known), "%s has no attribute %q", where, name)
			continue
		}
		out[name] = a
	}
	return out
}

// block returns the attributes of a block that holds no other blocks.
func (r *reader) block(b *hclsyntax.Block, known ...string) attributes {
	return r.blockWith(b, nil, known...)
}

// blockWith is block for one that holds others of the given kinds.
func (r *reader) blockWith(b *hclsyntax.Block, kinds []string, known ...string) attributes {
	where := "a " + b.Type
	if strings.ContainsRune("aeiou", rune(b.Type[0])) {
		where = "an " + b.Type
	}
	for _, inner := range b.Body.Blocks {
		if slices.Contains(kinds, inner.Type) {
			continue
		}
		hint := ""
		if slices.Contains(known, inner.Type) {
			hint = "write " + inner.Type + " = …"
		} else if hint = near(inner.Type, kinds); hint == "" && len(kinds) > 0 {
			hint = "there is: " + strings.Join(kinds, ", ")
		}
		r.problems.add(inner.TypeRange, hint, "%s has no block %q", where, inner.Type)
	}
	return r.attributes(b.Body, where, known...)
}

// require complains if one of the attributes is missing.
func (r *reader) require(b *hclsyntax.Block, a attributes, names ...string) {
	for _, name := range names {
		if a[name] == nil {
			r.problems.add(b.TypeRange, "add "+name+" = …", "a %s needs %s", b.Type, name)
		}
	}
}

// value evaluates an expression, in which there are no variables and no functions.
func (r *reader) value(e hclsyntax.Expression) (cty.Value, bool) {
	v, diags := e.Value(nil)
	if diags.HasErrors() {
		r.problems.addDiagnostics(r.file, diags)
		return cty.NilVal, false
	}
	v, _ = v.Unmark()
	if !v.IsKnown() || v.IsNull() {
		r.problems.add(e.Range(), "leave the attribute out for its default", "there is no value here")
		return cty.NilVal, false
	}
	return v, true
}

// textOf evaluates an expression that must be a text; numbers are not taken for one.
func (r *reader) textOf(e hclsyntax.Expression, name string) (string, bool) {
	v, ok := r.value(e)
	if !ok {
		return "", false
	}
	if v.Type() != cty.String {
		r.problems.add(e.Range(), `write it in quotes`, "%s: want a text, not a %s", name, v.Type().FriendlyName())
		return "", false
	}
	return v.AsString(), true
}

// text returns a text attribute and its place; ok is false if it is missing or wrong.
func (r *reader) text(a attributes, name string) (s string, at hcl.Range, ok bool) {
	attr := a[name]
	if attr == nil {
		return "", at, false
	}
	s, ok = r.textOf(attr.Expr, name)
	return s, attr.Expr.Range(), ok
}

// flag returns a yes-or-no attribute; ok is false if it is missing or wrong.
func (r *reader) flag(a attributes, name string) (v, ok bool) {
	attr := a[name]
	if attr == nil {
		return false, false
	}
	got, ok := r.value(attr.Expr)
	if !ok {
		return false, false
	}
	if got.Type() != cty.Bool {
		r.problems.add(attr.Expr.Range(), "write true or false, without quotes", "%s: want true or false, not a %s", name, got.Type().FriendlyName())
		return false, false
	}
	return got.True(), true
}

// whole returns an attribute that is a whole number within bounds; ok is false if it is
// missing or wrong.
func (r *reader) whole(a attributes, name string, least, most int64, hint string) (n int64, ok bool) {
	attr := a[name]
	if attr == nil {
		return 0, false
	}
	v, ok := r.value(attr.Expr)
	if !ok {
		return 0, false
	}
	if v.Type() == cty.Number {
		f := v.AsBigFloat()
		if n, accuracy := f.Int64(); f.IsInt() && accuracy == big.Exact && n >= least && n <= most {
			return n, true
		}
	}
	r.problems.add(attr.Expr.Range(), hint, "%s: want a whole number from %d to %d, without quotes", name, least, most)
	return 0, false
}

// uid returns an attribute that is a user id; ok is false if it is missing or wrong.
func (r *reader) uid(a attributes, name string) (uid uint32, ok bool) {
	attr := a[name]
	if attr == nil {
		return 0, false
	}
	v, ok := r.value(attr.Expr)
	if !ok {
		return 0, false
	}
	if v.Type() != cty.Number {
		r.problems.add(attr.Expr.Range(), `write uid = 1000, or user = "name" for an account`, "%s: want a number, not a %s", name, v.Type().FriendlyName())
		return 0, false
	}
	f := v.AsBigFloat()
	n, accuracy := f.Uint64() // which calls some fractions exact
	// The last one is what the system says for "no user".
	if !f.IsInt() || accuracy != big.Exact || n >= 1<<32-1 {
		r.problems.add(attr.Expr.Range(), "", "%s: a user id is a whole number from 0 to 4294967294", name)
		return 0, false
	}
	return uint32(n), true
}

// texts returns the elements of an attribute that is a list of texts, written out and
// not empty; ok is false if it is missing or wrong in any part.
func (r *reader) texts(a attributes, name, ifEmpty string) (list []element, ok bool) {
	attr := a[name]
	if attr == nil {
		return nil, false
	}
	tuple, ok := attr.Expr.(*hclsyntax.TupleConsExpr)
	if !ok {
		r.problems.add(attr.Expr.Range(), `write `+name+` = ["…"]`, "%s: want a list of texts", name)
		return nil, false
	}
	if len(tuple.Exprs) == 0 {
		r.problems.add(attr.Expr.Range(), ifEmpty, "%s: the list is empty", name)
		return nil, false
	}
	seen := map[string]bool{}
	for _, e := range tuple.Exprs {
		s, good := r.textOf(e, name)
		if good && seen[s] {
			r.problems.add(e.Range(), "", "%s: %q stands here twice", name, s)
			good = false
		}
		if ok = ok && good; good {
			seen[s] = true
			list = append(list, element{s, e.Range()})
		}
	}
	return list, ok
}
