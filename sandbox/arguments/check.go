package arguments

import (
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/values"
	"github.com/hearthhost/hearth/signature"
)

// checker checks values of calls by their types. It reads tables without metamethods, so no code of the script runs.
type checker struct {
	Binder
	named *signature.Types
	// quiet is the number of unions whose alternatives are tried. A value that does not fit is then errQuiet, which has
	// no text.
	quiet int
}

// errQuiet is the error of a value that does not fit while the checker is quiet.
var errQuiet = errors.New("the value does not fit")

// path is the position of a value, for messages: a parameter, or a part of the value at outer.
type path struct {
	outer *path
	name  string    // of a parameter or a field; "": see key
	key   lua.Value // of an entry, if name is "" and index is 0
	index int       // of an element or an argument, from 1
}

func (p *path) String() string {
	var parts []string
	for ; p != nil; p = p.outer {
		if parts = append(parts, p.part()); len(parts) == maxPath {
			parts = append(parts, "…")
			break
		}
	}
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		b.WriteString(parts[i])
	}
	return b.String()
}

// part returns the last part of a path.
func (p *path) part() string {
	if p.index > 0 {
		if p.outer == nil {
			return "argument " + strconv.Itoa(p.index)
		}
		return "[" + strconv.Itoa(p.index) + "]"
	}
	text := p.name
	if text == "" {
		if f, ok := p.key.AsNumber(); ok {
			return "[" + lua.FormatNumber(f) + "]"
		}
		text, _ = p.key.AsString()
	}
	text = values.Clip(text, maxShown)
	if p.outer != nil {
		return "." + text
	}
	return text
}

// maxPath bounds the parts of a path in a message.
const maxPath = 10

// checkSteps is the charge for checking one value by one type.
const checkSteps = 4

// value checks a value, which is not absent.
func (c *checker) value(v lua.Value, t *signature.Type, at path) error {
	if t.Kind == signature.Any || t.Kind == signature.Stream {
		return nil
	}
	if err := c.Spend(checkSteps); err != nil {
		return err
	}
	switch t.Kind {
	case signature.Named:
		d := c.named.Find(t.Name)
		switch {
		case d == nil:
			return nil // not declared: any
		case d.Type != nil:
			return c.value(v, d.Type, at)
		}
		return c.record(v, t, d.Fields, at)
	case signature.Record:
		return c.record(v, t, t.Fields, at)
	case signature.Array:
		return c.array(v, t, at)
	case signature.Map:
		return c.entries(v, t, at)
	case signature.Union:
		return c.union(v, t, at)
	case signature.Any, signature.Stream, signature.Nil, signature.Boolean, signature.Integer, signature.Number,
		signature.String, signature.Table, signature.Literal:
		if !c.basic(v, t) {
			return c.mismatch(v, t, at)
		}
	}
	return nil
}

// mismatch returns the error for a value that is not of a type.
func (c *checker) mismatch(v lua.Value, t *signature.Type, at path) error {
	if c.quiet > 0 {
		return errQuiet
	}
	return mismatch("%s: expected %s, got %s", at.String(), values.Clip(t.String(), 5*maxShown), c.got(v, t))
}

// got describes a value that is not of type t. A text may be confidential. It is shown only if t allows certain texts.
func (c *checker) got(v lua.Value, t *signature.Type) string {
	if text, ok := v.AsString(); ok && c.literals(t, 0) {
		return strconv.Quote(values.Clip(text, maxShown))
	}
	if f, ok := v.AsNumber(); ok {
		return "number " + lua.FormatNumber(f)
	}
	if c.null(v) {
		return "None"
	}
	return c.Types.TypeName(v)
}

// literals reports whether literal texts are among the alternatives of a type.
func (c *checker) literals(t *signature.Type, depth int) bool {
	switch t.Kind {
	case signature.Literal:
		_, ok := t.Value.(string)
		return ok
	case signature.Named:
		d := c.named.Find(t.Name)
		return depth < maxPath && d != nil && d.Type != nil && c.literals(d.Type, depth+1)
	case signature.Union:
		return len(t.Of) > 0 && c.literals(t.Of[0], depth)
	}
	return false
}

// basic reports whether a value is of a type without parts.
func (c *checker) basic(v lua.Value, t *signature.Type) bool {
	f, isNumber := v.AsNumber()
	text, isText := v.AsString()
	switch t.Kind {
	case signature.Nil:
		return c.null(v)
	case signature.Boolean:
		return v.Kind() == lua.BoolKind
	case signature.Integer:
		_, big := values.Of(v).(*big.Int)
		return big || isNumber && f == math.Trunc(f) && !math.IsInf(f, 0)
	case signature.Number:
		switch values.Of(v).(type) {
		case *big.Int, values.Float:
			return true
		}
		return isNumber
	case signature.String:
		_, isBytes := values.Of(v).(values.Bytes)
		return isText || isBytes
	case signature.Table:
		return v.AsTable() != nil
	case signature.Literal:
		switch want := t.Value.(type) {
		case string:
			return isText && text == want
		case float64:
			return isNumber && f == want
		case bool:
			return v == lua.Bool(want)
		}
	}
	return false
}

func (c *checker) null(v lua.Value) bool { return v.IsNil() || v == c.Types.Null }

// union checks that a value is of one of several types. If one of them has parts that the value could have, its error
// names the wrong part.
func (c *checker) union(v lua.Value, t *signature.Type, at path) error {
	var parts []*signature.Type // with parts
	c.quiet++
	for _, of := range t.Of {
		err := c.value(v, of, at)
		if err == nil || !errors.Is(err, errQuiet) { // it is of this type, or a limit is exceeded
			c.quiet--
			return err
		}
		if c.quiet == 1 && c.hasParts(of) && v.AsTable() != nil {
			parts = append(parts, of)
		}
	}
	c.quiet--
	if len(parts) == 1 {
		return c.value(v, parts[0], at)
	}
	return c.mismatch(v, t, at)
}

// hasParts reports whether values of a type are tables with declared parts.
func (c *checker) hasParts(t *signature.Type) bool {
	if t.Kind == signature.Named {
		d := c.named.Find(t.Name)
		if d == nil || d.Type == nil {
			return d != nil
		}
		t = d.Type
	}
	return t.Kind == signature.Array || t.Kind == signature.Map || t.Kind == signature.Record
}

// array checks a table of items. A dict is not an array unless it is empty.
func (c *checker) array(v lua.Value, t *signature.Type, at path) error {
	table := v.AsTable()
	if table == nil || c.Types.Mark(table) == "dict" && table.Count() > 0 {
		return c.mismatch(v, t, at)
	}
	if t.Elem.Kind == signature.Any {
		return nil
	}
	for i := range table.Len() {
		if err := c.part(table.GetInt(i+1), t.Elem, path{outer: &at, index: i + 1}); err != nil {
			return err
		}
	}
	return nil
}

// entries checks a table of keys and values.
func (c *checker) entries(v lua.Value, t *signature.Type, at path) error {
	table := v.AsTable()
	if table == nil || c.Types.Mark(table) != "dict" && table.Len() > 0 && t.Key.Kind == signature.String {
		return c.mismatch(v, t, at)
	}
	if t.Key.Kind == signature.Any && t.Elem.Kind == signature.Any {
		return nil
	}
	if err := c.Spend(table.Room()); err != nil {
		return err
	}
	for k, e := range table.All() {
		inner := path{outer: &at, key: k}
		if err := c.part(k, t.Key, inner); err != nil {
			return err
		}
		if err := c.part(e, t.Elem, inner); err != nil {
			return err
		}
	}
	return nil
}

// record checks a table with named fields. It may have further ones.
func (c *checker) record(v lua.Value, t *signature.Type, fields []signature.Field, at path) error {
	table := v.AsTable()
	if table == nil || c.Types.IsSequence(table) && table.Len() > 0 {
		return c.mismatch(v, t, at)
	}
	if err := c.Spend(len(fields)); err != nil {
		return err
	}
	for i := range fields {
		f := &fields[i]
		inner := path{outer: &at, name: f.Name}
		e := table.GetString(f.Name)
		switch {
		case c.null(e) && f.Optional:
		case e.IsNil() && !c.named.Nillable(f.Type):
			if c.quiet > 0 {
				return errQuiet
			}
			return mismatch("%s: expected %s, got nothing", inner.String(), f.Type)
		default:
			if err := c.part(e, f.Type, inner); err != nil {
				return err
			}
		}
	}
	return nil
}

// part checks a value in a table, in which hearth.null is an absent value.
func (c *checker) part(v lua.Value, t *signature.Type, at path) error {
	if c.null(v) && c.named.Nillable(t) {
		return nil
	}
	return c.value(v, t, at)
}
