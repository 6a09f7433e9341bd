package arguments

import (
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
}

// path is the position of a value, for messages: a parameter's name, or a part of the value at outer.
type path struct {
	outer *path
	name  string
	index int // of an element, from 1; 0 for a field
}

func (p *path) String() string {
	var parts []string
	for ; p != nil; p = p.outer {
		text := values.Clip(p.name, maxShown)
		switch {
		case p.index > 0:
			text = "[" + strconv.Itoa(p.index) + "]"
		case p.outer != nil:
			text = "." + text
		}
		if parts = append(parts, text); len(parts) == maxPath {
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

// maxPath bounds the parts of a path in a message.
const maxPath = 10

// checkSteps is the charge for checking one value by one type.
const checkSteps = 4

// value checks a value, which is not absent.
func (c *checker) value(v lua.Value, t *signature.Type, at path) error {
	if t.Kind == signature.Any {
		return nil
	}
	if err := c.Spend(checkSteps); err != nil {
		return err
	}
	switch t.Kind {
	case signature.Any:
		return nil
	case signature.Named:
		if is := c.named.Is(t.Name); is != nil {
			return c.value(v, is, at)
		}
		fields, ok := c.named.Fields(t.Name)
		if !ok {
			return nil // not declared: any
		}
		return c.record(v, t, fields, at)
	case signature.Record:
		return c.record(v, t, t.Fields, at)
	case signature.Array:
		return c.array(v, t, at)
	case signature.Map:
		return c.entries(v, t, at)
	case signature.Union:
		return c.union(v, t, at)
	case signature.Nil, signature.Boolean, signature.Integer, signature.Number, signature.String, signature.Table,
		signature.Literal:
		if !c.basic(v, t) {
			return c.mismatch(v, t, at)
		}
	}
	return nil
}

func (c *checker) mismatch(v lua.Value, t *signature.Type, at path) error {
	return mismatch("%s: expected %s, got %s", at.String(), values.Clip(t.String(), 5*maxShown), c.got(v))
}

// got describes a value that does not fit.
func (c *checker) got(v lua.Value) string {
	if text, ok := v.AsString(); ok {
		return "string " + strconv.Quote(values.Clip(text, maxShown))
	}
	if f, ok := v.AsNumber(); ok {
		return "number " + lua.FormatNumber(f)
	}
	if v == c.Types.Null {
		return "None"
	}
	return c.Types.TypeName(v)
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

// union checks that a value is of one of several types.
func (c *checker) union(v lua.Value, t *signature.Type, at path) error {
	var last error
	parts := 0 // types with parts that v could be
	for _, of := range t.Of {
		err := c.value(v, of, at)
		if err == nil {
			return nil
		}
		if _, ok := err.(Mismatch); !ok { //nolint:errorlint // Spend's errors are passed on
			return err
		}
		if of.Kind >= signature.Array && of.Kind != signature.Literal && v.AsTable() != nil {
			last = err
			parts++
		}
	}
	if parts == 1 { // its message names the part
		return last
	}
	return c.mismatch(v, t, at)
}

// array checks a table of items. A dict is not an array unless it is empty.
func (c *checker) array(v lua.Value, t *signature.Type, at path) error {
	table := v.AsTable()
	if table == nil || c.Types.Mark(table) == "dict" && table.Count() > 0 {
		return c.mismatch(v, t, at)
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
	for k, e := range table.All() {
		name := c.Types.TypeName(k)
		if text, ok := k.AsString(); ok {
			name = text
		} else if f, ok := k.AsNumber(); ok {
			name = lua.FormatNumber(f)
		}
		inner := path{outer: &at, name: name}
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
	if table == nil {
		return c.mismatch(v, t, at)
	}
	for _, f := range fields {
		inner := path{outer: &at, name: f.Name}
		e := table.GetString(f.Name)
		switch {
		case c.null(e) && (f.Optional || f.Type.Nillable()):
		case e.IsNil():
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
	if v == c.Types.Null && t.Nillable() {
		return nil
	}
	return c.value(v, t, at)
}
