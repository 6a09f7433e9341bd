package syntax

import (
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/hearthhost/hearth/object"
)

// Claims reads an attribute with claims: strings, numbers, booleans and lists of strings by name.
func (r *Reader) Claims(a Attributes, name string) map[string]object.Claim {
	attr := a[name]
	if attr == nil {
		return nil
	}
	const form = `write { sub = "…", groups = ["…"] }`
	expr, ok := attr.Expr.(*hclsyntax.ObjectConsExpr)
	if !ok {
		r.Problems.Add(attr.Expr.Range(), form, "%s: must be claims by name", name)
		return nil
	}
	out := map[string]object.Claim{}
	for _, item := range expr.Items {
		key, ok := r.Value(item.KeyExpr)
		if !ok {
			continue
		}
		at := item.KeyExpr.Range()
		if key.Type() != cty.String || key.IsNull() || key.AsString() == "" {
			r.Problems.Add(at, form, "%s: the name of a claim must be a string", name)
			continue
		}
		if _, ok := out[key.AsString()]; ok {
			r.Problems.Add(at, "", "%s: %q is there twice", name, key.AsString())
			continue
		}
		value, ok := r.Value(item.ValueExpr)
		if !ok {
			continue
		}
		c, ok := claim(value)
		if !ok {
			r.Problems.Add(item.ValueExpr.Range(), form, "%s: %q must be a string, a number, a boolean or a list of "+
				"strings", name, key.AsString())
		}
		out[key.AsString()] = c
	}
	return out
}

// claim returns the value of a claim in the policy.
func claim(v cty.Value) (object.Claim, bool) {
	switch {
	case v.IsNull() || !v.IsWhollyKnown():
		return object.Claim{}, false
	case v.Type() == cty.String:
		return object.Claim{Text: v.AsString()}, true
	case v.Type() == cty.Bool && v.True():
		return object.Claim{Text: "true"}, true
	case v.Type() == cty.Bool:
		return object.Claim{Text: "false"}, true
	case v.Type() == cty.Number && v.AsBigFloat().IsInt():
		return object.Claim{Text: v.AsBigFloat().Text('f', 0)}, true
	case v.Type().IsTupleType() && v.LengthInt() > 0:
		list := []string{}
		for _, e := range v.AsValueSlice() {
			if e.IsNull() || e.Type() != cty.String || slices.Contains(list, e.AsString()) {
				return object.Claim{}, false
			}
			list = append(list, e.AsString())
		}
		return object.Claim{List: list}, true
	}
	return object.Claim{}, false
}
