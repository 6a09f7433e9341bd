package signature

import (
	"strconv"
	"strings"
)

// Kind is the kind of a [Type].
type Kind uint8

// The kinds. The fields of Type that a kind uses are in parentheses.
const (
	Any     Kind = iota
	Nil          // the absent value
	Boolean      //
	Integer      // a number without a fraction
	Number       //
	String       // text or bytes
	Table        // any table
	Array        // a table of items (Elem)
	Map          // a table of keys and values (Key, Elem)
	Record       // a table with named fields (Fields)
	Union        // one of several types (Of)
	Literal      // one value (Value)
	Named        // a class, an enum or an alias (Name)
	Stream       // an item stream (Elem), as a result
)

// Type is the type of a parameter, a result or a field. It is immutable. Its JSON is its text, the result of String.
type Type struct {
	Kind      Kind
	Key, Elem *Type
	Fields    []Field
	Of        []*Type
	Value     any // string, float64 or bool
	Name      string
}

// Field is a named part of a table.
type Field struct {
	Name     string `json:"name"`
	Type     *Type  `json:"type"`
	Optional bool   `json:"optional,omitempty"`
	Doc      string `json:"doc,omitempty"`
}

var basic = map[string]Kind{
	"any": Any, "unknown": Any, "nil": Nil, "boolean": Boolean, "bool": Boolean, "integer": Integer, "number": Number,
	"string": String, "table": Table, "function": Any, "userdata": Any, "lightuserdata": Any, "thread": Any,
	"self": Any,
}

// streamName is the name of the type of item streams, with the type of the items as its argument.
const streamName = "hearth.stream"

var names = [...]string{"any", "nil", "boolean", "integer", "number", "string", "table"}

// String returns the type as an annotation.
func (t *Type) String() string {
	switch t.Kind {
	case Array:
		if t.Elem.Kind == Union {
			return "(" + t.Elem.String() + ")[]"
		}
		return t.Elem.String() + "[]"
	case Map:
		return "table<" + t.Key.String() + ", " + t.Elem.String() + ">"
	case Record:
		parts := make([]string, len(t.Fields))
		for i, f := range t.Fields {
			parts[i] = fieldName(f.Name) + mark(f.Optional) + ": " + f.Type.String()
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case Union:
		if inner := t.optional(); inner != nil && inner.Kind != Union {
			return inner.String() + "?"
		}
		parts := make([]string, len(t.Of))
		for i, of := range t.Of {
			parts[i] = of.String()
		}
		return strings.Join(parts, "|")
	case Literal:
		switch v := t.Value.(type) {
		case string:
			return strconv.Quote(v)
		case float64:
			return strconv.FormatFloat(v, 'g', -1, 64)
		default:
			return strconv.FormatBool(v == true)
		}
	case Named:
		return t.Name
	case Stream:
		return streamName + "<" + t.Elem.String() + ">"
	default:
		return names[t.Kind]
	}
}

// fieldName returns the name of a field in a table type: name, or ["a name"].
func fieldName(name string) string {
	p := &parser{text: name}
	if name != "" && p.identifier() == name {
		return name
	}
	return "[" + strconv.Quote(name) + "]"
}

func mark(optional bool) string {
	if optional {
		return "?"
	}
	return ""
}

// MarshalText returns the text of the type.
func (t *Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads the text of a type. The error names the place.
func (t *Type) UnmarshalText(text []byte) error {
	read, err := ParseType(string(text))
	if err == nil {
		*t = *read
	}
	return err
}

// ParseType reads a type. The error names the place.
func ParseType(text string) (*Type, error) {
	left := maxCommentTypes
	t, rest, err := parseType(text, &left)
	if err == nil && strings.TrimSpace(rest) != "" {
		err = endsBefore(rest)
	}
	return t, err
}

// optional returns T for the type T|nil, and nil for any other type.
func (t *Type) optional() *Type {
	if t.Kind != Union || len(t.Of) < 2 || t.Of[len(t.Of)-1].Kind != Nil {
		return nil
	}
	if len(t.Of) == 2 {
		return t.Of[0]
	}
	return &Type{Kind: Union, Of: t.Of[:len(t.Of)-1]}
}

// OrNil returns the type t|nil.
func (t *Type) OrNil() *Type {
	switch t.Kind {
	case Any, Nil:
		return t
	case Union:
		if t.optional() != nil {
			return t
		}
		return &Type{Kind: Union, Of: append(t.Of[:len(t.Of):len(t.Of)], &Type{Kind: Nil})}
	default:
		return &Type{Kind: Union, Of: []*Type{t, {Kind: Nil}}}
	}
}

// walk calls f for a type and its parts.
func (t *Type) walk(f func(*Type)) {
	f(t)
	for _, part := range [...]*Type{t.Key, t.Elem} {
		if part != nil {
			part.walk(f)
		}
	}
	for _, part := range t.Of {
		part.walk(f)
	}
	for _, field := range t.Fields {
		field.Type.walk(f)
	}
}
