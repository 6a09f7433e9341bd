package signature

import (
	"fmt"
	"slices"
	"strings"
)

// Function is the signature of a function.
type Function struct {
	Doc        string // the comment without annotations
	Params     []Param
	Variadic   *Type // type of further arguments; nil: no further arguments
	Returns    []Return
	Deprecated bool
	// Annotated reports that the comment has an annotation of a parameter or result. Without one, every type is any and
	// every parameter optional.
	Annotated bool
}

// Param is a parameter of a function.
type Param struct {
	Name     string
	Type     *Type
	Optional bool
	Doc      string
}

// Return is a result of a function.
type Return struct {
	Name string // may be empty
	Type *Type
	Doc  string
}

// Warning is an annotation that is not understood, or that contradicts the function.
type Warning struct {
	Line int // of the comment, from 1
	Text string
}

// ignored are the annotations without meaning for a caller.
var ignored = map[string]bool{
	"async": true, "cast": true, "diagnostic": true, "generic": true, "meta": true, "module": true, "nodiscard": true,
	"operator": true, "overload": true, "package": true, "private": true, "protected": true, "public": true,
	"see": true, "source": true, "type": true, "version": true, "vararg": true, "readonly": true,
	"class": true, "field": true, "enum": true, "alias": true, // see ParseTypes
}

// Parse reads the comment above a function with the given parameters. types has the named types of the script; nil
// means none. The lines of the comment are without their leading dashes.
func Parse(comment string, params []string, variadic bool, types *Types) (*Function, []Warning) {
	r := &functionReader{types: types, variadic: variadic, seen: map[string]bool{}, left: maxCommentTypes}
	for _, name := range params {
		r.fn.Params = append(r.fn.Params, Param{Name: name, Type: &Type{}, Optional: true})
	}
	if variadic {
		r.fn.Variadic = &Type{}
	}
	var doc []string
	for i, line := range strings.Split(comment, "\n") {
		r.line = i + 1
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
	variadic bool
	seen     map[string]bool // parameters with an annotation
	line     int
	left     int // number of types that may follow
	warnings warnings
}

// warnings is a bounded list.
type warnings []Warning

func (w *warnings) add(line int, format string, args ...any) {
	if len(*w) < maxWarnings {
		*w = append(*w, Warning{line, fmt.Sprintf(format, args...)})
	}
}

func (r *functionReader) warn(format string, args ...any) { r.warnings.add(r.line, format, args...) }

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
	t, rest, err := parseType(text, &r.left)
	if err != nil {
		r.warn("@%s: %v", tag, err)
		return &Type{}, ""
	}
	for _, name := range t.unknown(r.types) {
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
		r.warn("@param: %s has two annotations; the first one holds", name)
		return
	}
	r.seen[name] = true
	if name == "..." {
		t, _ := r.typeOf("param", text)
		if !r.variadic {
			r.warn("@param: the function has no ... parameter")
			return
		}
		r.fn.Variadic, r.fn.Annotated = t, true
		return
	}
	i := slices.IndexFunc(r.fn.Params, func(p Param) bool { return p.Name == name })
	if i < 0 {
		r.warn("@param: the function has no parameter %s", name)
		return
	}
	t, behind := r.typeOf("param", text)
	r.fn.Params[i] = Param{Name: name, Type: t, Optional: optional || t.Nillable(), Doc: description(behind)}
	r.fn.Annotated = true
}

// returns reads "type name description", several of them separated by commas.
func (r *functionReader) returns(rest string) {
	for {
		t, after := r.typeOf("return", rest)
		r.fn.Annotated = true
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

// String returns the signature, for example "(k: integer, note?: string): integer".
func (f *Function) String() string {
	var b strings.Builder
	b.WriteByte('(')
	for i, p := range f.Params {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.Name)
		if !f.Annotated {
			continue
		}
		t := p.Type
		if inner := t.optional(); inner != nil {
			t = inner
		}
		b.WriteString(mark(p.Optional) + ": " + t.String())
	}
	if f.Variadic != nil {
		if len(f.Params) > 0 {
			b.WriteString(", ")
		}
		b.WriteString("...")
		if f.Variadic.Kind != Any {
			b.WriteString(": " + f.Variadic.String())
		}
	}
	b.WriteByte(')')
	for i, ret := range f.Returns {
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString(", ")
		}
		b.WriteString(ret.Type.String())
	}
	return b.String()
}
