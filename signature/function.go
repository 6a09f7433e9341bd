package signature

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Function is the signature of a function.
type Function struct {
	Doc      string   `json:"-"` // the comment without annotations
	Params   []Param  `json:"params,omitempty"`
	Variadic *Param   `json:"variadic,omitempty"` // further positional arguments; nil: none
	Keywords *Param   `json:"keywords,omitempty"` // each other keyword argument; nil: none
	Returns  []Return `json:"returns,omitempty"`
	// Annotated reports that an annotation declares a parameter or a result. Without one, every type is any, every
	// parameter is optional, and the results are not known.
	Annotated  bool `json:"annotated,omitempty"`
	Deprecated bool `json:"deprecated,omitempty"`
}

// Param is a parameter of a function.
type Param struct {
	Name     string `json:"name"`
	Type     *Type  `json:"type"`
	Optional bool   `json:"optional,omitempty"`
	Doc      string `json:"doc,omitempty"`
}

// Return is a result of a function.
type Return struct {
	Name string `json:"name,omitempty"`
	Type *Type  `json:"type"`
	Doc  string `json:"doc,omitempty"`
}

// KeywordsName is the name of a last parameter that receives other keyword arguments. It is not in Function.Params.
const KeywordsName = "kwargs"

// Warning is an annotation that is not understood, or that contradicts the function.
type Warning struct {
	File string
	Line int // from 1
	Text string
}

func (w Warning) String() string { return fmt.Sprintf("%s:%d: %s", w.File, w.Line, w.Text) }

// ignored are the annotations without meaning for a caller.
var ignored = map[string]bool{
	"async": true, "cast": true, "diagnostic": true, "generic": true, "meta": true, "module": true, "nodiscard": true,
	"operator": true, "overload": true, "package": true, "private": true, "protected": true, "public": true,
	"see": true, "source": true, "type": true, "version": true, "vararg": true, "readonly": true,
	"class": true, "field": true, "enum": true, "alias": true, // see ParseTypes
}

// Comment is the comment above a function, and the function's parameters.
type Comment struct {
	Text     string // lines without their leading dashes
	File     string // for warnings
	Line     int    // of the first line of Text
	Params   []string
	Variadic bool // the function has a parameter ...
}

// Parse reads the annotations in a comment. types has the named types of the program.
func Parse(c Comment, types *Types) (*Function, []Warning) {
	r := &functionReader{types: types, at: place{file: c.File}, seen: map[string]bool{}, left: maxCommentTypes}
	for _, name := range c.Params {
		r.fn.Params = append(r.fn.Params, Param{Name: name, Type: &Type{}, Optional: true})
	}
	if n := len(c.Params); n > 0 && c.Params[n-1] == KeywordsName {
		r.fn.Keywords, r.fn.Params = &r.fn.Params[n-1], r.fn.Params[:n-1:n-1]
	}
	if c.Variadic {
		r.fn.Variadic = &Param{Name: "...", Type: &Type{}, Optional: true}
	}
	var doc []string
	for i, line := range strings.Split(c.Text, "\n") {
		r.at.line = c.Line + i
		tag, rest, ok := annotation(line)
		if !ok {
			doc = append(doc, line)
			continue
		}
		r.annotation(tag, rest)
	}
	r.fn.Doc = strings.Trim(strings.Join(doc, "\n"), "\n \t")
	return &r.fn, r.warnings
}

// annotation returns the parts of a line such as "@param k integer".
func annotation(line string) (tag, rest string, ok bool) {
	text, ok := strings.CutPrefix(strings.TrimSpace(line), "@")
	if !ok {
		return "", "", false
	}
	tag, rest, _ = strings.Cut(text, " ")
	if tag == "" || strings.ContainsFunc(tag, func(c rune) bool { return c < 'a' || c > 'z' }) {
		return "", "", false // an address or a decorator in a sentence
	}
	return tag, strings.TrimSpace(rest), true
}

type functionReader struct {
	fn       Function
	types    *Types
	at       place
	seen     map[string]bool // parameters with an annotation
	left     int             // number of types that may follow
	warnings warnings
}

// warnings is a bounded list.
type warnings []Warning

func (w *warnings) add(at place, format string, args ...any) {
	if len(*w) < maxWarnings {
		*w = append(*w, Warning{at.file, at.line, fmt.Sprintf(format, args...)})
	}
}

func (r *functionReader) warn(format string, args ...any) { r.warnings.add(r.at, format, args...) }

func (r *functionReader) annotation(tag, rest string) {
	switch {
	case tag == "param":
		r.param(rest)
	case tag == "return":
		r.returns(rest)
	case tag == "deprecated":
		r.fn.Deprecated = true
	case !ignored[tag]:
		r.warn("@%s is not known", tag)
	}
}

// typeOf reads a type and returns the text behind it. A type that is not understood is any.
func (r *functionReader) typeOf(tag, text string) (t *Type, rest string) {
	ends := ""
	if tag == "return" {
		ends = ","
	}
	t, rest, err := annotatedType(text, &r.left, ends)
	if err != nil {
		r.warn("@%s: %v", tag, err)
		return &Type{}, ""
	}
	for _, name := range r.types.unknown(t) {
		r.warn("@%s: the type %s is not declared; it is any", tag, name)
	}
	return t, strings.TrimSpace(rest)
}

// description returns a description, which may begin with a hash or a dash.
func description(rest string) string {
	rest = strings.TrimSpace(rest)
	for _, mark := range []string{"#", "@", "--", "-", ":"} {
		if text, ok := strings.CutPrefix(rest, mark); ok {
			return strings.TrimSpace(text)
		}
	}
	return rest
}

// param reads "name type description", "name? type", "... type".
func (r *functionReader) param(rest string) {
	name, text, _ := strings.Cut(rest, " ")
	name, optional := strings.CutSuffix(name, "?")
	if name == "" {
		r.warn("@param: a name and a type are required")
		return
	}
	if r.seen[name] {
		r.warn("@param: %s has two annotations; the first one is used", clip(name))
		return
	}
	r.seen[name] = true
	to := r.paramOf(name)
	if to == nil {
		if name == "..." {
			r.warn("@param: the function has no ... parameter")
		} else if name != "self" {
			r.warn("@param: the function has no parameter %s", clip(name))
		}
		return
	}
	t, behind := r.typeOf("param", text)
	if to == r.fn.Keywords { // the annotation declares the table
		if t.Kind == Map {
			t = t.Elem
		} else {
			t = &Type{}
		}
		optional = true
	}
	*to = Param{Name: name, Type: t, Doc: description(behind), Optional: optional || r.types.Nillable(t)}
	r.fn.Annotated = true
}

// paramOf returns the parameter with a name, or nil.
func (r *functionReader) paramOf(name string) *Param {
	switch {
	case name == "...":
		return r.fn.Variadic
	case name == KeywordsName && r.fn.Keywords != nil:
		return r.fn.Keywords
	}
	i := slices.IndexFunc(r.fn.Params, func(p Param) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &r.fn.Params[i]
}

// returns reads "type name description", several of them separated by commas.
func (r *functionReader) returns(rest string) {
	r.fn.Annotated = true
	for {
		t, after := r.typeOf("return", rest)
		if next, ok := strings.CutPrefix(after, ","); ok {
			r.fn.Returns = append(r.fn.Returns, Return{Type: t})
			rest = next
			continue
		}
		p := &parser{text: after}
		name := p.identifier()
		behind := strings.TrimSpace(after[p.at:])
		if next, ok := strings.CutPrefix(behind, ","); ok && name != "" {
			r.fn.Returns = append(r.fn.Returns, Return{Name: name, Type: t})
			rest = next
			continue
		}
		r.fn.Returns = append(r.fn.Returns, Return{Name: name, Type: t, Doc: description(behind)})
		return
	}
}

// Others returns the type of keyword arguments that are not parameters, or nil if they are not allowed. A function with
// ... of any type receives them in a last table.
func (f *Function) Others() *Type {
	switch {
	case f.Keywords != nil:
		return f.Keywords.Type
	case f.Variadic != nil && f.Variadic.Type.Kind == Any:
		return f.Variadic.Type
	}
	return nil
}

// Items returns the type of the items of the stream that the function returns, or nil if it declares no stream.
func (f *Function) Items() *Type {
	if len(f.Returns) > 0 && f.Returns[0].Type.Kind == Stream {
		return f.Returns[0].Type.Elem
	}
	return nil
}

// Types returns the types of the parameters and results.
func (f *Function) Types() []*Type {
	var all []*Type
	for _, p := range f.Params {
		all = append(all, p.Type)
	}
	for _, p := range [...]*Param{f.Variadic, f.Keywords} {
		if p != nil {
			all = append(all, p.Type)
		}
	}
	for _, r := range f.Returns {
		all = append(all, r.Type)
	}
	return all
}

// ArgumentCount describes a number of arguments, for messages: "2 arguments".
func ArgumentCount(n int) string {
	switch n {
	case 0:
		return "no arguments"
	case 1:
		return "1 argument"
	default:
		return fmt.Sprintf("%d arguments", n)
	}
}

// String returns the signature, for example "(k: integer, note?: string): integer".
func (f *Function) String() string {
	var parts []string
	for _, p := range f.Params {
		parts = append(parts, f.paramText(p))
	}
	if p := f.Keywords; p != nil {
		shown := *p
		if p.Type.Kind != Any {
			shown.Type = &Type{Kind: Map, Key: &Type{Kind: String}, Elem: p.Type}
		}
		parts = append(parts, f.paramText(shown))
	}
	if f.Variadic != nil {
		text := "..."
		if f.Variadic.Type.Kind != Any {
			text += ": " + f.Variadic.Type.String()
		}
		parts = append(parts, text)
	}
	var returns []string
	for _, r := range f.Returns {
		returns = append(returns, r.Type.String())
	}
	text := "(" + strings.Join(parts, ", ") + ")"
	if len(returns) > 0 {
		text += ": " + strings.Join(returns, ", ")
	}
	return text
}

func (f *Function) paramText(p Param) string {
	if !f.Annotated {
		return p.Name
	}
	t := p.Type
	if inner := t.optional(); inner != nil {
		t = inner
	}
	return p.Name + mark(p.Optional) + ": " + t.String()
}

// UnmarshalJSON decodes a signature. A type that is missing is any.
func (f *Function) UnmarshalJSON(doc []byte) error {
	type plain Function
	if err := json.Unmarshal(doc, (*plain)(f)); err != nil {
		return fmt.Errorf("reading a signature: %w", err)
	}
	for i := range f.Params {
		f.Params[i].complete()
	}
	for _, p := range [...]*Param{f.Variadic, f.Keywords} {
		if p != nil {
			p.complete()
		}
	}
	for i := range f.Returns {
		f.Returns[i].Type = f.Returns[i].Type.orAny()
	}
	return nil
}

func (p *Param) complete() { p.Type = p.Type.orAny() }

// orAny returns t, or any for nil.
func (t *Type) orAny() *Type {
	if t == nil {
		return &Type{}
	}
	return t
}
