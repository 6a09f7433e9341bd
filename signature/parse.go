package signature

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds. A script of 1 MiB could otherwise take a hundred times its size.
const (
	maxDepth        = 32     // nesting of a type
	maxCommentTypes = 1000   // types and their parts in the comment of a function
	maxScriptTypes  = 20_000 // types, their parts, and declarations in a script
	maxWarnings     = 100
)

// parser reads one type from the beginning of a text.
type parser struct {
	text  string
	at    int
	depth int
	left  *int // number of types that may follow
}

// syntaxError is the value of the parser's panics. parseType returns it as an error.
type syntaxError string

// parseType reads a type and returns the text behind it. It decreases left by the number of parts, and fails at 0.
func parseType(text string, left *int) (t *Type, rest string, err error) {
	p := &parser{text: text, left: left}
	defer p.recovered(&err)
	t = p.union()
	return t, text[p.at:], nil
}

// annotatedType reads the type of an annotation and returns the text behind it. A description begins behind a space or
// with #, @ or :, and ends has further characters that may follow the type. Other text, such as the bracket in
// "integer[", is an error: the type in front of it is not what the author means, and would reject valid calls.
func annotatedType(text string, left *int, ends string) (t *Type, rest string, err error) {
	t, rest, err = parseType(text, left)
	if err != nil {
		return nil, "", err
	}
	behind := strings.TrimSpace(rest)
	if rest != "" && !strings.ContainsRune(" \t#@:"+ends, rune(rest[0])) || strings.HasPrefix(behind, "[]") {
		return nil, "", endsBefore(behind)
	}
	return t, rest, nil
}

// endsBefore returns the error of a type with other text behind it.
func endsBefore(rest string) error { return fmt.Errorf("the type ends before %q", clip(rest)) }

// recovered sets err after a panic of fail. It is deferred.
func (p *parser) recovered(err *error) {
	r := recover()
	if r == nil {
		return
	}
	msg, ok := r.(syntaxError)
	if !ok {
		panic(r)
	}
	*err = fmt.Errorf("%s at %q", string(msg), clip(p.text[min(p.at, len(p.text)):]))
}

// clip shortens a text for a message.
func clip(s string) string {
	if r := []rune(s); len(r) > 30 {
		return string(r[:30]) + "..."
	}
	return s
}

func (p *parser) fail(msg string) { panic(syntaxError(msg)) }

// peek returns the next byte, 0 at the end.
func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) space() {
	for p.peek() == ' ' || p.peek() == '\t' {
		p.at++
	}
}

// take skips spaces and a token, and reports whether it was there. Without the token nothing is skipped.
func (p *parser) take(token string) bool {
	at := p.at
	p.space()
	if strings.HasPrefix(p.text[p.at:], token) {
		p.at += len(token)
		return true
	}
	p.at = at
	return false
}

func (p *parser) want(token string) {
	if !p.take(token) {
		p.space()
		p.fail(token + " is missing")
	}
}

// union reads A|B|C.
func (p *parser) union() *Type {
	if p.depth++; p.depth > maxDepth {
		p.fail("the type is nested too deeply")
	}
	defer func() { p.depth-- }()
	first := p.suffixed()
	if !p.take("|") {
		return first
	}
	t := &Type{Kind: Union, Of: flat(nil, first)}
	for {
		t.Of = flat(t.Of, p.suffixed())
		if !p.take("|") {
			return t.normal()
		}
	}
}

// flat appends a type, or its parts if it is a union.
func flat(of []*Type, t *Type) []*Type {
	if t.Kind == Union {
		return append(of, t.Of...)
	}
	return append(of, t)
}

// normal returns a union with nil as its last part, or any if that is one of the parts.
func (t *Type) normal() *Type {
	var of []*Type
	null := false
	for _, part := range t.Of {
		switch part.Kind {
		case Any:
			return part
		case Nil:
			null = true
		default:
			of = append(of, part)
		}
	}
	if null {
		of = append(of, &Type{Kind: Nil})
	}
	if len(of) == 1 {
		return of[0]
	}
	return &Type{Kind: Union, Of: of}
}

// suffixed reads a type with [] and ? behind it.
func (p *parser) suffixed() *Type {
	t := p.primary()
	for n := 0; ; n++ {
		if n > maxDepth {
			p.fail("the type is nested too deeply")
		}
		switch {
		case strings.HasPrefix(p.text[p.at:], "[]"):
			p.at += 2
			t = &Type{Kind: Array, Elem: t}
		case p.peek() == '?':
			p.at++
			t = t.OrNil()
		default:
			return t
		}
	}
}

func (p *parser) primary() *Type {
	if *p.left--; *p.left < 0 {
		p.fail("there are too many types")
	}
	p.space()
	switch c := p.peek(); {
	case c == '(':
		p.at++
		t := p.union()
		p.want(")")
		return t
	case c == '{':
		return p.table()
	case c == '"' || c == '\'' || c == '`':
		return p.quoted(c)
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	default:
		return p.named()
	}
}

// quoted reads a literal text. Between quotes, escapes with a backslash are those of Go without octal numbers. Between
// backquotes, there are no escapes.
func (p *parser) quoted(quote byte) *Type {
	p.at++
	if quote == '`' {
		value, _, closed := strings.Cut(p.text[p.at:], "`")
		if !closed {
			p.fail("the text has no end")
		}
		p.at += len(value) + 1
		return &Type{Kind: Literal, Value: value}
	}
	var value []byte
	for p.peek() != quote {
		rest := p.text[p.at:]
		if rest == "" {
			p.fail("the text has no end")
		}
		if rest[0] != '\\' {
			value = append(value, rest[0])
			p.at++
			continue
		}
		c, wide, tail, err := strconv.UnquoteChar(rest, quote)
		if err != nil || rest[1] >= '0' && rest[1] <= '9' {
			p.fail("the escape is not known")
		}
		if wide || c < utf8.RuneSelf {
			value = utf8.AppendRune(value, c)
		} else {
			value = append(value, byte(c)) // of \xHH
		}
		p.at = len(p.text) - len(tail)
	}
	p.at++
	return &Type{Kind: Literal, Value: string(value)}
}

func (p *parser) number() *Type {
	end := p.at
	for end < len(p.text) && strings.IndexByte("+-.0123456789abcdefABCDEFxX", p.text[end]) >= 0 {
		end++
	}
	n, err := strconv.ParseFloat(p.text[p.at:end], 64)
	if err != nil {
		i, intErr := strconv.ParseInt(p.text[p.at:end], 0, 64)
		if intErr != nil {
			p.fail("a number is required")
		}
		n = float64(i)
	}
	p.at = end
	return &Type{Kind: Literal, Value: n}
}

// identifier reads a name with dots and, behind the first character, hyphens, or returns "".
func (p *parser) identifier() string {
	begin := p.at
	for p.at < len(p.text) && nameByte(p.text[p.at], p.at > begin) {
		p.at++
	}
	return p.text[begin:p.at]
}

func nameByte(c byte, inside bool) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80 ||
		inside && (c == '.' || c == '-' || c >= '0' && c <= '9')
}

// named reads a name, table<K, V> or a function type.
func (p *parser) named() *Type {
	name := p.identifier()
	switch {
	case name == "":
		p.fail("a type is required")
	case name == "true" || name == "false":
		return &Type{Kind: Literal, Value: name == "true"}
	case name == "fun" && p.peek() == '(':
		p.function()
		return &Type{Kind: Any}
	}
	args := p.arguments()
	kind, known := basic[name]
	switch {
	case name == "table" && len(args) == 2:
		return &Type{Kind: Map, Key: args[0], Elem: args[1]}
	case name == "table" && len(args) == 1:
		return &Type{Kind: Array, Elem: args[0]}
	case name == streamName && len(args) <= 1:
		return &Type{Kind: Stream, Elem: append(args, &Type{})[0]}
	case len(args) > 0:
		p.fail(name + " has no type arguments")
	case known:
		return &Type{Kind: kind}
	}
	return &Type{Kind: Named, Name: name}
}

// arguments reads <A, B>, or nothing.
func (p *parser) arguments() (args []*Type) {
	if p.peek() != '<' {
		return nil
	}
	p.at++
	for {
		args = append(args, p.union())
		if p.take(">") {
			return args
		}
		p.want(",")
	}
}

// function skips the parameters and results of a function type.
func (p *parser) function() {
	p.at++
	for !p.take(")") {
		p.space()
		if !p.take("...") && p.identifier() == "" {
			p.fail("a parameter is required")
		}
		p.take("?")
		if p.take(":") {
			p.union()
		}
		if !p.take(",") {
			p.want(")")
			break
		}
	}
	for sep := ":"; p.take(sep); sep = "," {
		p.union()
	}
}

// table reads {name: T, name?: T, ["a name"]: T, [K]: T}. With both names and a [K] it is any table.
func (p *parser) table() *Type {
	p.at++
	record, mapped := &Type{Kind: Record}, (*Type)(nil)
	for !p.take("}") {
		p.space()
		if p.peek() == '[' {
			p.at++
			key := p.union()
			p.want("]")
			if name, ok := key.Value.(string); ok {
				record.Fields = append(record.Fields, p.fieldType(name))
			} else {
				p.want(":")
				mapped = &Type{Kind: Map, Key: key, Elem: p.union()}
			}
		} else {
			name := p.identifier()
			if name == "" {
				p.fail("the name of a field is required")
			}
			record.Fields = append(record.Fields, p.fieldType(name))
		}
		if !p.take(",") && !p.take(";") {
			p.want("}")
			break
		}
	}
	switch {
	case mapped == nil:
		return record
	case len(record.Fields) == 0:
		return mapped
	default:
		return &Type{Kind: Table}
	}
}

// fieldType reads the rest of a field: "?: T" or ": T".
func (p *parser) fieldType(name string) Field {
	optional := p.take("?")
	p.want(":")
	return Field{Name: name, Type: p.union(), Optional: optional}
}
