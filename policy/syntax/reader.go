package syntax

import (
	"fmt"
	"math/big"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/hearthhost/hearth/internal/bytesize"
	"github.com/hearthhost/hearth/policy/problem"
)

// Reader reads the blocks and attributes of one HCL file, and collects its problems. Methods that return ok report a
// problem if the value is present and invalid; ok is false if it is missing or invalid. A Reader is not safe for
// concurrent use.
type Reader struct {
	File, Dir string // name of the file in messages; base folder of relative paths
	Src       []byte
	Problems  problem.List
}

// Attributes are the valid attributes of a body, by name.
type Attributes map[string]*hclsyntax.Attribute

// Element is one string of a list, with its position.
type Element struct {
	Text string
	At   hcl.Range
}

// Attributes returns the attributes of a body, and reports those that are not in known. where describes the body in
// messages.
func (r *Reader) Attributes(body *hclsyntax.Body, where string, known ...string) Attributes {
	out := Attributes{}
	for name, a := range body.Attributes {
		has := func(name string) bool { return slices.Contains(known, name) }
		if !has(name) {
			if r.renamed(a, has) {
				continue
			}
			r.Problems.Add(a.NameRange, problem.OneOf(name, known), "%s has no attribute %q", where, name)
			continue
		}
		out[name] = a
	}
	return out
}

// Block returns the attributes of a block without inner blocks.
func (r *Reader) Block(b *hclsyntax.Block, known ...string) Attributes {
	return r.BlockWith(b, nil, known...)
}

// BlockWith returns the attributes of a block with inner blocks of the given kinds.
func (r *Reader) BlockWith(b *hclsyntax.Block, kinds []string, known ...string) Attributes {
	where := Article(b.Type)
	for _, inner := range b.Body.Blocks {
		if slices.Contains(kinds, inner.Type) {
			continue
		}
		hint := ""
		if slices.Contains(known, inner.Type) {
			hint = "write " + inner.Type + " = …"
		} else if hint = problem.Near(inner.Type, kinds); hint == "" && len(kinds) > 0 {
			hint = "valid: " + strings.Join(kinds, ", ")
		}
		r.Problems.Add(inner.TypeRange, hint, "%s has no block %q", where, inner.Type)
	}
	return r.Attributes(b.Body, where, known...)
}

// Unnamed reports a problem if a block has a name.
func (r *Reader) Unnamed(b *hclsyntax.Block) {
	if len(b.Labels) > 0 {
		r.Problems.Add(b.LabelRanges[0], "write "+b.Type+" { … }", "%s block must not have a name", Article(b.Type))
	}
}

// Article returns a kind of block with its article.
func Article(kind string) string {
	if strings.ContainsRune("aeiou", rune(kind[0])) {
		return "an " + kind
	}
	return "a " + kind
}

// Require reports each of the named attributes that is missing.
func (r *Reader) Require(b *hclsyntax.Block, a Attributes, names ...string) {
	for _, name := range names {
		if a[name] == nil {
			r.Problems.Add(b.TypeRange, "add "+name+" = …", "%s needs %s", Article(b.Type), name)
		}
	}
}

// Value evaluates an expression without variables and functions.
func (r *Reader) Value(e hclsyntax.Expression) (cty.Value, bool) {
	v, diags := e.Value(nil)
	if diags.HasErrors() {
		r.Problems.AddDiagnostics(r.File, diags)
		return cty.NilVal, false
	}
	v, _ = v.Unmark()
	if !v.IsKnown() || v.IsNull() {
		r.Problems.Add(e.Range(), "omit the attribute for its default", "null is not a value")
		return cty.NilVal, false
	}
	return v, true
}

// TextOf evaluates an expression that must be a string. Numbers are not converted.
func (r *Reader) TextOf(e hclsyntax.Expression, name string) (string, bool) {
	v, ok := r.Value(e)
	if !ok {
		return "", false
	}
	if v.Type() != cty.String {
		r.Problems.Add(e.Range(), `write it in quotes`, "%s: must be a string, not a %s", name, v.Type().FriendlyName())
		return "", false
	}
	return v.AsString(), true
}

// Text returns a string attribute and its position.
func (r *Reader) Text(a Attributes, name string) (s string, at hcl.Range, ok bool) {
	attr := a[name]
	if attr == nil {
		return "", at, false
	}
	s, ok = r.TextOf(attr.Expr, name)
	return s, attr.Expr.Range(), ok
}

// Evaluated returns an attribute and its value.
func (r *Reader) Evaluated(a Attributes, name string) (attr *hclsyntax.Attribute, v cty.Value, ok bool) {
	if attr = a[name]; attr == nil {
		return nil, cty.NilVal, false
	}
	v, ok = r.Value(attr.Expr)
	return attr, v, ok
}

// Flag returns a boolean attribute.
func (r *Reader) Flag(a Attributes, name string) (v, ok bool) {
	attr, got, ok := r.Evaluated(a, name)
	if !ok {
		return false, false
	}
	if got.Type() != cty.Bool {
		r.Problems.Add(attr.Expr.Range(), "write true or false, without quotes", "%s: must be true or false, not a %s",
			name, got.Type().FriendlyName())
		return false, false
	}
	return got.True(), true
}

// Whole returns an integer attribute from least to most.
func (r *Reader) Whole(a Attributes, name string, least, most int64, hint string) (n int64, ok bool) {
	attr, v, ok := r.Evaluated(a, name)
	if !ok {
		return 0, false
	}
	if v.Type() == cty.Number {
		f := v.AsBigFloat()
		if n, accuracy := f.Int64(); f.IsInt() && accuracy == big.Exact && n >= least && n <= most {
			return n, true
		}
	}
	r.Problems.Add(attr.Expr.Range(), hint, "%s: must be an integer from %d to %d, without quotes", name, least, most)
	return 0, false
}

// UID returns a user id attribute.
func (r *Reader) UID(a Attributes, name string) (uid uint32, ok bool) {
	attr, v, ok := r.Evaluated(a, name)
	if !ok {
		return 0, false
	}
	if v.Type() != cty.Number {
		r.Problems.Add(attr.Expr.Range(), `write uid = 1000, or user = "name" for an account`,
			"%s: must be a number, not a %s", name, v.Type().FriendlyName())
		return 0, false
	}
	f := v.AsBigFloat()
	n, accuracy := f.Uint64() // Uint64 reports some fractions as exact
	// The largest number stands for "no user".
	if !f.IsInt() || accuracy != big.Exact || n >= 1<<32-1 {
		r.Problems.Add(attr.Expr.Range(), "", "%s: must be an integer from 0 to 4294967294", name)
		return 0, false
	}
	return uint32(n), true
}

// Texts returns the elements of a list attribute: string literals, not empty, without duplicates.
func (r *Reader) Texts(a Attributes, name, ifEmpty string) (list []Element, ok bool) {
	attr := a[name]
	if attr == nil {
		return nil, false
	}
	tuple, ok := attr.Expr.(*hclsyntax.TupleConsExpr)
	if !ok {
		r.Problems.Add(attr.Expr.Range(), `write `+name+` = ["…"]`, "%s: must be a list of strings", name)
		return nil, false
	}
	if len(tuple.Exprs) == 0 {
		r.Problems.Add(attr.Expr.Range(), ifEmpty, "%s: the list is empty", name)
		return nil, false
	}
	seen := map[string]bool{}
	for _, e := range tuple.Exprs {
		s, good := r.TextOf(e, name)
		if good && seen[s] {
			r.Problems.Add(e.Range(), "", "%s: %q is listed twice", name, s)
			good = false
		}
		if ok = ok && good; good {
			seen[s] = true
			list = append(list, Element{s, e.Range()})
		}
	}
	return list, ok
}

// FilePath returns an attribute that is the path of a file, made absolute; "" if it is missing or invalid.
func (r *Reader) FilePath(a Attributes, name string) string {
	s, at, ok := r.Text(a, name)
	if !ok {
		return ""
	}
	return r.FileOf(Element{s, at}, name)
}

// FileOf returns the absolute path of a file; "" if it is invalid.
func (r *Reader) FileOf(e Element, name string) string {
	if e.Text == "" || strings.IndexByte(e.Text, 0) >= 0 {
		r.Problems.Add(e.At, "", "%s: must be the path of a file", name)
		return ""
	}
	return r.Path(e.Text)
}

// FilePaths returns an attribute that is the path of a file or a list of paths, made absolute.
func (r *Reader) FilePaths(a Attributes, name string) []string {
	attr := a[name]
	if attr == nil {
		return nil
	}
	if _, list := attr.Expr.(*hclsyntax.TupleConsExpr); !list {
		if s := r.FilePath(a, name); s != "" {
			return []string{s}
		}
		return nil
	}
	var out []string
	list, _ := r.Texts(a, name, "leave it out for none")
	for _, e := range list {
		if s := r.FileOf(e, name); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// Bytes returns a size attribute like "64MiB", in bytes.
func (r *Reader) Bytes(a Attributes, name string, least, most int64) (n int64, ok bool) {
	s, at, ok := r.Text(a, name)
	if !ok {
		return 0, false
	}
	if n, err := bytesize.Parse(s); err == nil && n >= least && n <= most {
		return n, true
	}
	r.Problems.Add(at, `write "64MiB"; units are B, KiB, MiB and GiB`, "%s: %q: must be a size from %s to %s",
		name, s, bytesize.Format(least), bytesize.Format(most))
	return 0, false
}

// MaxCount bounds a burst and a number of concurrent calls.
const MaxCount = 1_000_000

// OneIn returns the n of an attribute "1/n", 1 for "all", and 0 for "none" if none is valid.
func (r *Reader) OneIn(a Attributes, name string, none bool) (n uint64, ok bool) {
	s, at, ok := r.Text(a, name)
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
	r.Problems.Add(at, hint, "%s: %q is not a valid fraction", name, s)
	return 0, false
}

// Count returns an integer attribute from 1 to MaxCount.
func (r *Reader) Count(a Attributes, name string) (n int, ok bool) {
	i, ok := r.Whole(a, name, 1, MaxCount, "")
	return int(i), ok
}

// CPUs returns the attribute cpus, a number of processors that may be a fraction.
func (r *Reader) CPUs(a Attributes) (float64, bool) {
	attr, v, ok := r.Evaluated(a, "cpus")
	if !ok {
		return 0, false
	}
	if v.Type() == cty.Number {
		if n, _ := v.AsBigFloat().Float64(); n >= 0.01 && n <= 1024 {
			return n, true
		}
	}
	r.Problems.Add(attr.Expr.Range(), "", "cpus: must be a number of processors like 0.5 or 2, without quotes")
	return 0, false
}

// Folder returns an attribute that is the path of a folder, or fallback; made absolute.
func (r *Reader) Folder(a Attributes, name, fallback string) string {
	s, at, ok := r.Text(a, name)
	if !ok {
		s = fallback
	} else if s == "" || strings.IndexByte(s, 0) >= 0 {
		r.Problems.Add(at, "", "%s: must be the path of a folder", name)
	}
	return r.Path(s)
}

// Path returns an absolute path. Relative paths are relative to the folder of the file.
func (r *Reader) Path(s string) string {
	if filepath.IsAbs(s) {
		return filepath.Clean(s)
	}
	return filepath.Join(r.Dir, s)
}

// Where formats a position as "file:line" for later messages.
func (r *Reader) Where(at hcl.Range) string { return fmt.Sprintf("%s:%d", r.File, at.Start.Line) }

// Position formats a position as "file:line:column" for later messages.
func (r *Reader) Position(at hcl.Range) string {
	return fmt.Sprintf("%s:%d:%d", r.File, at.Start.Line, at.Start.Column)
}

// Reason formats a block for messages and the log, as `policy.hcl:14 permit "staff may read"`.
func (r *Reader) Reason(name string, b *hclsyntax.Block) string {
	return fmt.Sprintf("%s:%d %s %q", r.File, b.TypeRange.Start.Line, b.Type, name)
}
