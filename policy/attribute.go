package policy

import (
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/hearthhost/hearth/internal/bytesize"
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
		has := func(name string) bool { return slices.Contains(known, name) }
		if !has(name) {
			if r.renamed(a, has) {
				continue
			}
			r.problems.Add(a.NameRange, OneOf(name, known), "%s has no attribute %q", where, name)
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
	where := article(b.Type)
	for _, inner := range b.Body.Blocks {
		if slices.Contains(kinds, inner.Type) {
			continue
		}
		hint := ""
		if slices.Contains(known, inner.Type) {
			hint = "write " + inner.Type + " = …"
		} else if hint = Near(inner.Type, kinds); hint == "" && len(kinds) > 0 {
			hint = "there is: " + strings.Join(kinds, ", ")
		}
		r.problems.Add(inner.TypeRange, hint, "%s has no block %q", where, inner.Type)
	}
	return r.attributes(b.Body, where, known...)
}

// unnamed complains about the name of a block that has none.
func (r *reader) unnamed(b *hclsyntax.Block) {
	if len(b.Labels) > 0 {
		r.problems.Add(b.LabelRanges[0], "write "+b.Type+" { … }", "%s block has no name", article(b.Type))
	}
}

// single reports whether a block without a name that stands once in the file is that one,
// and notes where it is.
func (r *reader) single(b *hclsyntax.Block) bool {
	r.unnamed(b)
	if first, ok := r.p.Set[b.Type]; ok {
		r.problems.Add(b.TypeRange, "", "there is %s block already, at %s", article(b.Type), first)
		return false
	}
	r.p.Set[b.Type] = r.where(b.TypeRange)
	return true
}

// article puts the article before a kind of block.
func article(kind string) string {
	if strings.ContainsRune("aeiou", rune(kind[0])) {
		return "an " + kind
	}
	return "a " + kind
}

// require complains if one of the attributes is missing.
func (r *reader) require(b *hclsyntax.Block, a attributes, names ...string) {
	for _, name := range names {
		if a[name] == nil {
			r.problems.Add(b.TypeRange, "add "+name+" = …", "%s needs %s", article(b.Type), name)
		}
	}
}

// value evaluates an expression, in which there are no variables and no functions.
func (r *reader) value(e hclsyntax.Expression) (cty.Value, bool) {
	v, diags := e.Value(nil)
	if diags.HasErrors() {
		r.problems.AddDiagnostics(r.file, diags)
		return cty.NilVal, false
	}
	v, _ = v.Unmark()
	if !v.IsKnown() || v.IsNull() {
		r.problems.Add(e.Range(), "leave the attribute out for its default", "there is no value here")
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
		r.problems.Add(e.Range(), `write it in quotes`, "%s: want a text, not a %s", name, v.Type().FriendlyName())
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

// evaluated returns an attribute and what it is; ok is false if it is missing, or wrong, which
// has been told.
func (r *reader) evaluated(a attributes, name string) (attr *hclsyntax.Attribute, v cty.Value, ok bool) {
	if attr = a[name]; attr == nil {
		return nil, cty.NilVal, false
	}
	v, ok = r.value(attr.Expr)
	return attr, v, ok
}

// flag returns a yes-or-no attribute; ok is false if it is missing or wrong.
func (r *reader) flag(a attributes, name string) (v, ok bool) {
	attr, got, ok := r.evaluated(a, name)
	if !ok {
		return false, false
	}
	if got.Type() != cty.Bool {
		r.problems.Add(attr.Expr.Range(), "write true or false, without quotes", "%s: want true or false, not a %s", name, got.Type().FriendlyName())
		return false, false
	}
	return got.True(), true
}

// whole returns an attribute that is a whole number within bounds; ok is false if it is
// missing or wrong.
func (r *reader) whole(a attributes, name string, least, most int64, hint string) (n int64, ok bool) {
	attr, v, ok := r.evaluated(a, name)
	if !ok {
		return 0, false
	}
	if v.Type() == cty.Number {
		f := v.AsBigFloat()
		if n, accuracy := f.Int64(); f.IsInt() && accuracy == big.Exact && n >= least && n <= most {
			return n, true
		}
	}
	r.problems.Add(attr.Expr.Range(), hint, "%s: want a whole number from %d to %d, without quotes", name, least, most)
	return 0, false
}

// uid returns an attribute that is a user id; ok is false if it is missing or wrong.
func (r *reader) uid(a attributes, name string) (uid uint32, ok bool) {
	attr, v, ok := r.evaluated(a, name)
	if !ok {
		return 0, false
	}
	if v.Type() != cty.Number {
		r.problems.Add(attr.Expr.Range(), `write uid = 1000, or user = "name" for an account`, "%s: want a number, not a %s", name, v.Type().FriendlyName())
		return 0, false
	}
	f := v.AsBigFloat()
	n, accuracy := f.Uint64() // which calls some fractions exact
	// The last one is what the system says for "no user".
	if !f.IsInt() || accuracy != big.Exact || n >= 1<<32-1 {
		r.problems.Add(attr.Expr.Range(), "", "%s: a user id is a whole number from 0 to 4294967294", name)
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
		r.problems.Add(attr.Expr.Range(), `write `+name+` = ["…"]`, "%s: want a list of texts", name)
		return nil, false
	}
	if len(tuple.Exprs) == 0 {
		r.problems.Add(attr.Expr.Range(), ifEmpty, "%s: the list is empty", name)
		return nil, false
	}
	seen := map[string]bool{}
	for _, e := range tuple.Exprs {
		s, good := r.textOf(e, name)
		if good && seen[s] {
			r.problems.Add(e.Range(), "", "%s: %q stands here twice", name, s)
			good = false
		}
		if ok = ok && good; good {
			seen[s] = true
			list = append(list, element{s, e.Range()})
		}
	}
	return list, ok
}

// filePath returns an attribute that is the path of a file.
func (r *reader) filePath(a attributes, name string) string {
	s, at, ok := r.text(a, name)
	if !ok {
		return ""
	}
	return r.fileOf(element{s, at}, name)
}

func (r *reader) fileOf(e element, name string) string {
	if e.text == "" || strings.IndexByte(e.text, 0) >= 0 {
		r.problems.Add(e.at, "", "%s is the path of a file", name)
		return ""
	}
	return r.path(e.text)
}

// filePaths returns an attribute that is the path of a file or a list of them.
func (r *reader) filePaths(a attributes, name string) []string {
	attr := a[name]
	if attr == nil {
		return nil
	}
	if _, list := attr.Expr.(*hclsyntax.TupleConsExpr); !list {
		if s := r.filePath(a, name); s != "" {
			return []string{s}
		}
		return nil
	}
	var out []string
	list, _ := r.texts(a, name, "leave it out for none")
	for _, e := range list {
		if s := r.fileOf(e, name); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// bytes returns a size like "64MiB"; ok is false if it is missing or wrong.
func (r *reader) bytes(a attributes, name string, least, most int64) (n int64, ok bool) {
	s, at, ok := r.text(a, name)
	if !ok {
		return 0, false
	}
	if n, err := bytesize.Parse(s); err == nil && n >= least && n <= most {
		return n, true
	}
	r.problems.Add(at, `write "64MiB"; units are B, KiB, MiB and GiB`, "%s: %q: want a size from %s to %s",
		name, s, bytesize.Format(least), bytesize.Format(most))
	return 0, false
}

// maxCount bounds a burst and a number of concurrent calls.
const maxCount = 1_000_000

// oneIn returns the n of an attribute "1/n", 1 for "all" and 0 for "none"; ok is false if it is
// missing or none of that.
func (r *reader) oneIn(a attributes, name string, none bool) (n uint64, ok bool) {
	s, at, ok := r.text(a, name)
	if !ok {
		return 0, false
	}
	of, sampled := strings.CutPrefix(s, "1/")
	n, err := strconv.ParseUint(of, 10, 32)
	switch {
	case s == "all":
		return 1, true
	case s == "none" && none:
		return 0, true
	case sampled && err == nil && n > 0:
		return n, true
	}
	hint := `write "all" or "1/100"`
	if none {
		hint = `write "all", "none" or "1/100"`
	}
	r.problems.Add(at, hint, "%s: %q", name, s)
	return 0, false
}

// count returns a whole number from 1 up; ok is false if it is missing or wrong.
func (r *reader) count(a attributes, name string) (n int, ok bool) {
	i, ok := r.whole(a, name, 1, maxCount, "")
	return int(i), ok
}

// cpus reads a number of processors, which may be a fraction.
func (r *reader) cpus(a attributes) (float64, bool) {
	attr, v, ok := r.evaluated(a, "cpus")
	if !ok {
		return 0, false
	}
	if v.Type() == cty.Number {
		if n, _ := v.AsBigFloat().Float64(); n >= 0.01 && n <= 1024 {
			return n, true
		}
	}
	r.problems.Add(attr.Expr.Range(), "", "cpus: want a number of processors, like 0.5 or 2, without quotes")
	return 0, false
}
