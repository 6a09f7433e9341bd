package signature

import (
	"maps"
	"slices"
	"strings"
)

// Types are the named types of a script.
type Types struct {
	byName map[string]*named
}

// named is a class, an enum or an alias.
type named struct {
	doc     string
	fields  []Field  // of a class
	parents []string // of a class
	is      *Type    // of an enum or alias; nil: a class
}

// Names returns the names in order.
func (ts *Types) Names() []string {
	if ts == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(ts.byName))
}

// find returns a named type, or nil.
func (ts *Types) find(name string) *named {
	if ts == nil {
		return nil
	}
	return ts.byName[name]
}

// unknown returns the names in a type that are not declared.
func (t *Type) unknown(ts *Types) (names []string) {
	t.walk(func(part *Type) {
		if part.Kind == Named && ts.find(part.Name) == nil {
			names = append(names, part.Name)
		}
	})
	return names
}

// walk calls f for a type and its parts.
func (t *Type) walk(f func(*Type)) {
	f(t)
	for _, part := range append([]*Type{t.Key, t.Elem}, t.Of...) {
		if part != nil {
			part.walk(f)
		}
	}
	for _, field := range t.Fields {
		field.Type.walk(f)
	}
}

// ParseTypes reads the @class, @field, @enum and @alias annotations in the source of a script.
func ParseTypes(source string) (*Types, []Warning) {
	r := &typeReader{types: &Types{byName: map[string]*named{}}, left: maxScriptTypes}
	for line := range strings.Lines(source) {
		r.line++
		text, isComment := strings.CutPrefix(strings.TrimSpace(line), "--")
		if !isComment {
			r.code(line)
			continue
		}
		r.comment(strings.TrimSpace(strings.TrimLeft(text, "-")))
	}
	r.check()
	return r.types, r.warnings
}

type typeReader struct {
	types    *Types
	class    *named // whose @field lines are expected
	alias    *named // whose | lines are expected
	enum     *named // whose table is expected
	inside   bool   // in the table of enum
	doc      []string
	line     int
	left     int // number of types and declarations that may follow
	warnings warnings
	uses     []use
}

// use is a name in a type.
type use struct {
	line int
	t    *Type
}

func (r *typeReader) warn(format string, args ...any) { r.warnings.add(r.line, format, args...) }

func (r *typeReader) comment(text string) {
	if rest, ok := strings.CutPrefix(text, "|"); ok && r.alias != nil {
		r.alternative(strings.TrimSpace(strings.TrimLeft(rest, ">+ ")))
		return
	}
	tag, rest, ok := annotation(text)
	if !ok {
		r.doc = append(r.doc, text)
		return
	}
	switch tag {
	case "class":
		r.class = r.declare(rest)
	case "field":
		r.field(rest)
	case "enum":
		r.enum = r.declare(rest)
		if r.enum != nil {
			r.enum.is = &Type{Kind: Union}
		}
	case "alias":
		r.aliasOf(rest)
	}
	r.doc = nil
}

// declare adds the type "Name" or "Name: Parent, Parent".
func (r *typeReader) declare(rest string) *named {
	r.class, r.alias, r.enum = nil, nil, nil
	rest = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(rest), "(exact)"))
	p := &parser{text: rest}
	name := p.identifier()
	_, isBasic := basic[name]
	switch r.left--; {
	case r.left < 0:
		r.warn("there are too many types")
		return nil
	case name == "":
		r.warn("the name of a type is required")
		return nil
	case isBasic || r.types.byName[name] != nil:
		r.warn("the type %s exists already", name)
		return nil
	}
	n := &named{doc: strings.TrimSpace(strings.Join(r.doc, "\n"))}
	for sep := ":"; p.take(sep); sep = "," {
		p.space()
		if parent := p.identifier(); parent != "" {
			n.parents = append(n.parents, parent)
		}
	}
	r.types.byName[name] = n
	return n
}

// typeOf reads a type and returns the text behind it. A type that is not understood is any.
func (r *typeReader) typeOf(text string) (*Type, string) {
	t, rest, err := parseType(text, &r.left)
	if err != nil {
		r.warn("%v", err)
		return &Type{}, ""
	}
	r.uses = append(r.uses, use{r.line, t})
	return t, rest
}

// field reads "name type description" of the class above it.
func (r *typeReader) field(rest string) {
	if r.class == nil {
		r.warn("@field belongs under a @class")
		return
	}
	for _, scope := range []string{"private", "protected", "package"} {
		if strings.HasPrefix(rest, scope+" ") {
			return // callers do not see it
		}
	}
	rest = strings.TrimSpace(strings.TrimPrefix(rest, "public "))
	if strings.HasPrefix(rest, "[") {
		return // further keys are allowed in any case
	}
	name, text, _ := strings.Cut(rest, " ")
	name, optional := strings.CutSuffix(name, "?")
	switch {
	case name == "":
		r.warn("@field: a name and a type are required")
		return
	case r.left <= 0:
		r.warn("there are too many types")
		return
	}
	t, behind := r.typeOf(text)
	r.class.fields = append(r.class.fields,
		Field{Name: name, Type: t, Optional: optional || t.Nillable(), Doc: description(behind)})
}

// aliasOf reads "Name type", or "Name" with the alternatives below it.
func (r *typeReader) aliasOf(rest string) {
	name, text, _ := strings.Cut(rest, " ")
	n := r.declare(name)
	if n == nil {
		return
	}
	if strings.TrimSpace(text) == "" {
		n.is, r.alias = &Type{Kind: Union}, n
		return
	}
	n.is, _ = r.typeOf(text)
}

// alternative reads one line of an alias.
func (r *typeReader) alternative(text string) {
	t, _ := r.typeOf(text)
	r.alias.is.Of = append(r.alias.is.Of, t)
}

// code reads a line of code: the values of an enum's table.
func (r *typeReader) code(line string) {
	r.class, r.alias, r.doc = nil, nil, nil
	if r.enum == nil || strings.TrimSpace(line) == "" {
		return
	}
	if !r.inside {
		_, after, ok := strings.Cut(line, "{")
		if !ok {
			r.warn("@enum belongs above a table")
			r.enum = nil
			return
		}
		r.inside, line = true, after
	}
	body, _, end := strings.Cut(line, "}")
	for _, item := range strings.FieldsFunc(body, func(c rune) bool { return c == ',' || c == ';' }) {
		_, value, ok := strings.Cut(item, "=")
		if item = strings.TrimSpace(item); item == "" || strings.HasPrefix(item, "--") {
			continue
		}
		t, _, err := parseType(strings.TrimSpace(value), &r.left)
		if !ok || err != nil || t.Kind != Literal {
			r.warn("@enum: an item must be NAME = a text or a number, not %q", clip(item))
			continue
		}
		r.enum.is.Of = append(r.enum.is.Of, t)
	}
	if end {
		r.enum, r.inside = nil, false
	}
}

// check completes the types. A type that is used and not declared is any.
func (r *typeReader) check() {
	for _, n := range r.types.byName {
		if n.is != nil && n.is.Kind == Union && len(n.is.Of) < 2 {
			if len(n.is.Of) == 0 {
				n.is = &Type{}
			} else {
				n.is = n.is.Of[0]
			}
		}
	}
	for _, u := range r.uses {
		for _, name := range u.t.unknown(r.types) {
			r.warnings.add(u.line, "the type %s is not declared; it is any", name)
		}
	}
}

// Is returns the type for which the name of an enum or alias stands, or nil for another name.
func (ts *Types) Is(name string) *Type {
	if n := ts.find(name); n != nil {
		return n.is
	}
	return nil
}

// Fields returns the fields of a class, those of its parents included, and whether name is a class.
func (ts *Types) Fields(name string) ([]Field, bool) {
	n := ts.find(name)
	if n == nil || n.is != nil {
		return nil, false
	}
	var fields []Field
	seen, has := map[string]bool{}, map[string]bool{} // classes, fields
	var collect func(name string)
	collect = func(name string) {
		n := ts.find(name)
		if n == nil || n.is != nil || seen[name] {
			return
		}
		seen[name] = true
		for _, f := range n.fields {
			if !has[f.Name] {
				has[f.Name] = true
				fields = append(fields, f)
			}
		}
		for _, parent := range n.parents {
			collect(parent)
		}
	}
	collect(name)
	return fields, true
}
