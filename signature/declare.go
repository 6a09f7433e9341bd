package signature

import (
	"cmp"
	"strings"
)

// Source is a file of a program.
type Source struct {
	File string // its name in warnings
	Text string
}

// ParseTypes reads the @class, @field, @enum and @alias annotations of a program. All its files see the types. The
// first declaration of a name is used.
func ParseTypes(files ...Source) (*Types, []Warning) {
	r := &typeReader{types: &Types{byName: map[string]*Definition{}}, places: map[string]place{}, left: maxScriptTypes}
	for _, f := range files {
		r.place = place{f.File, 0}
		r.endBlock()
		for line := range strings.Lines(f.Text) {
			r.place.line++
			line = strings.TrimSpace(line)
			text, isComment := strings.CutPrefix(line, "--")
			if !isComment {
				r.code(line)
				continue
			}
			r.comment(strings.TrimSpace(strings.TrimLeft(text, "-")))
		}
	}
	r.check()
	return r.types, r.warnings
}

// place is a line of a file, from 1.
type place struct {
	file string
	line int
}

type typeReader struct {
	types  *Types
	places map[string]place // of declarations

	class    *Definition // whose @field lines are expected
	alias    *Definition // whose | lines are expected
	enum     *Definition // whose table is expected
	keys     bool        // the values of enum are the keys of its table
	inside   bool        // in the table of enum
	doc      []string
	place    place
	left     int // number of types and declarations that may follow
	warnings warnings
	uses     []use
}

// use is a type in an annotation.
type use struct {
	at place
	t  *Type
}

func (r *typeReader) warn(format string, args ...any) { r.warnings.add(r.place, format, args...) }

// endBlock ends the declaration whose further lines were expected.
func (r *typeReader) endBlock() {
	r.class, r.alias, r.enum, r.doc, r.inside = nil, nil, nil, nil, false
}

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
		r.class = r.declare(rest, "exact", "partial")
	case "field":
		r.field(rest)
	case "enum":
		r.keys = strings.HasPrefix(rest, "(key)")
		r.enum = r.declare(rest, "key")
		if r.enum != nil {
			r.enum.Type = &Type{Kind: Union}
		}
	case "alias":
		r.aliasOf(rest)
	}
	r.doc = nil
}

// declare adds the type "Name" or "Name: Parent, Parent", which may follow one of these attributes in parentheses.
func (r *typeReader) declare(rest string, attributes ...string) *Definition {
	doc := strings.TrimSpace(strings.Join(r.doc, "\n"))
	r.endBlock()
	for _, a := range attributes {
		rest = strings.TrimSpace(strings.TrimPrefix(rest, "("+a+")"))
	}
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
	case isBasic || name == streamName || r.types.byName[name] != nil:
		r.warn("the type %s exists already", name)
		return nil
	}
	d := &Definition{Doc: doc}
	for sep := ":"; p.take(sep); sep = "," {
		p.space()
		parent := p.identifier()
		if _, isBasic := basic[parent]; parent != "" && !isBasic {
			d.parents = append(d.parents, parent)
			r.uses = append(r.uses, use{r.place, &Type{Kind: Named, Name: parent}})
		}
	}
	r.types.byName[name], r.places[name] = d, r.place
	return d
}

// typeOf reads a type and returns the text behind it. A type that is not understood is any.
func (r *typeReader) typeOf(text string) (*Type, string) {
	t, rest, err := annotatedType(text, &r.left, "")
	if err != nil {
		r.warn("%v", err)
		return &Type{}, ""
	}
	r.uses = append(r.uses, use{r.place, t})
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
	name, text, ok := fieldKey(rest)
	if !ok {
		return // further keys are allowed in any case
	}
	text, optional := strings.CutPrefix(text, "?")
	switch {
	case name == "":
		r.warn("@field: a name and a type are required")
		return
	case r.left <= 0:
		r.warn("there are too many types")
		return
	}
	t, behind := r.typeOf(text)
	doc := cmp.Or(description(behind), strings.TrimSpace(strings.Join(r.doc, "\n")))
	r.class.Fields = append(r.class.Fields, Field{Name: name, Type: t, Optional: optional, Doc: doc})
}

// fieldKey reads the name of a field: name or ["a name"]. ok is false for the type of further keys, such as [string].
func fieldKey(text string) (name, rest string, ok bool) {
	inner, bracket := strings.CutPrefix(text, "[")
	if !bracket {
		end := strings.IndexAny(text, "? \t")
		if end < 0 {
			return text, "", true
		}
		return text[:end], text[end:], true
	}
	left := 1
	t, rest, err := parseType(inner, &left)
	rest, closed := strings.CutPrefix(strings.TrimSpace(rest), "]")
	if err != nil || !closed || t.Kind != Literal {
		return "", "", false
	}
	name, ok = t.Value.(string)
	return name, rest, ok
}

// aliasOf reads "Name type", or "Name" with the alternatives below it.
func (r *typeReader) aliasOf(rest string) {
	name, text, _ := strings.Cut(rest, " ")
	d := r.declare(name)
	if d == nil {
		return
	}
	if strings.TrimSpace(text) == "" {
		d.Type, r.alias = &Type{Kind: Union}, d
		return
	}
	d.Type, _ = r.typeOf(text)
}

// alternative reads one line of an alias.
func (r *typeReader) alternative(text string) {
	t, _ := r.typeOf(text)
	r.alias.Type.Of = flat(r.alias.Type.Of, t)
}

// code reads a line of code: the values of an enum's table.
func (r *typeReader) code(line string) {
	r.class, r.alias, r.doc = nil, nil, nil
	if r.enum == nil || line == "" {
		return
	}
	if !r.inside {
		_, after, ok := strings.Cut(line, "{")
		if !ok {
			r.warn("@enum belongs above a table")
			r.enum.Type = &Type{}
			r.enum = nil
			return
		}
		r.inside, line = true, after
	}
	r.items(line)
}

// items reads the items of an enum's table in a line. An enum with an item that is not understood is any.
func (r *typeReader) items(line string) {
	p := &parser{text: line, left: &r.left}
	for {
		p.space()
		rest := line[p.at:]
		switch {
		case rest == "" || strings.HasPrefix(rest, "--"):
			return
		case rest[0] == '}':
			r.enum, r.inside = nil, false
			return
		case rest[0] == ',' || rest[0] == ';':
			p.at++
			continue
		}
		t, err := p.item(r.keys)
		if err != nil {
			r.warn("@enum: an item must be NAME = a text or a number, not %q", clip(rest))
			r.enum.Type = &Type{}
			r.enum, r.inside = nil, false
			return
		}
		r.enum.Type.Of = append(r.enum.Type.Of, t)
	}
}

// item reads an item of a table: NAME = value, ["text"] = value, or a value. It returns the literal type of the value,
// or of the key.
func (p *parser) item(key bool) (t *Type, err error) {
	defer p.recovered(&err)
	name := &Type{Kind: Literal}
	begin := p.at
	named := false
	switch {
	case p.take("["):
		p.space()
		name = p.literal()
		p.want("]")
		p.want("=")
		named = true
	default:
		name.Value = p.identifier()
		if named = name.Value != "" && p.take("="); !named {
			p.at = begin
		}
	}
	p.space()
	value := p.literal()
	p.space()
	if c := p.peek(); c != 0 && c != ',' && c != ';' && c != '}' && !strings.HasPrefix(p.text[p.at:], "--") {
		p.fail("an operator")
	}
	if key && named {
		return name, nil
	}
	return value, nil
}

// literal reads a text or a number.
func (p *parser) literal() *Type {
	t := p.primary()
	if t.Kind != Literal {
		p.fail("a text or a number is required")
	}
	return t
}

// check completes the types. A type that is used and not declared is any.
func (r *typeReader) check() {
	for _, d := range r.types.byName {
		if d.Type != nil && d.Type.Kind == Union {
			if len(d.Type.Of) == 0 {
				d.Type = &Type{}
			} else {
				d.Type = d.Type.normal()
			}
		}
	}
	cyclic, tooLarge := r.types.resolve()
	for _, name := range cyclic {
		r.warnings.add(r.places[name], "the type %s stands for itself; it is any", name)
	}
	for _, name := range tooLarge {
		r.warnings.add(r.places[name], "the type %s inherits too many fields; it is table", name)
	}
	for _, u := range r.uses {
		for _, name := range r.types.unknown(u.t) {
			r.warnings.add(u.at, "the type %s is not declared; it is any", name)
		}
	}
	for _, d := range r.types.byName {
		for i, f := range d.Fields {
			d.Fields[i].Optional = f.Optional || r.types.Nillable(f.Type)
		}
	}
}
