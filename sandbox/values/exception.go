package values

import (
	"math/big"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/lua"
)

// MaxFields is the limit of fields of an exception.
const MaxFields = 100

// NewException implements hearth.exception(class, …, fields). It returns a table with class, message, args and fields
// for error(). The fields are optional: a last argument behind the message that is a plain table with text keys only.
func (ts *Types) NewException(L *lua.Thread) int {
	class := L.CheckString(1)
	if !validClass(class) {
		L.ArgError(1, "class name expected, such as ValueError or shop.OutOfStock")
	}
	last := L.Top()
	var fields *lua.Table
	if t := L.Get(last).AsTable(); last > 2 && t != nil && t.Meta == nil && namesOnly(L, t) {
		fields = ts.copyFields(L, last, t)
		last--
	}
	args := L.NewTable(last, 0)
	for i := 2; i <= last; i++ {
		v := L.Get(i)
		if v.IsNil() {
			v = ts.Null
		}
		args.Append(v)
	}
	if n, ok := Of(args.GetInt(1)).(*big.Int); ok {
		L.Charge(IntegerTextSteps(n))
	}
	t := ts.ExceptionTable(L, class, args)
	SetFields(t, fields)
	L.Push(t.Value())
	return 1
}

// validClass reports whether a script may raise a class: the bare or qualified name of an exception of Python or Pyro,
// or the class of an application.
func validClass(name string) bool {
	bare := object.BareClass(name)
	return object.ValidClass(name) || object.ValidField(bare)
}

// fieldsKey is the key of the fields in an exception's table.
const fieldsKey = "fields"

// namesOnly reports whether a table has keys, and all of them are texts.
func namesOnly(L *lua.Thread, t *lua.Table) bool {
	L.Charge(t.Room() >> 1)
	found := false
	for k := range t.All() {
		if k.Kind() != lua.StringKind {
			return false
		}
		found = true
	}
	return found
}

// copyFields returns a copy of the fields of an exception, argument i of the function.
func (ts *Types) copyFields(L *lua.Thread, i int, t *lua.Table) *lua.Table {
	n := 0
	for k := range t.All() {
		name, _ := k.AsString()
		if !object.ValidField(name) {
			L.ArgError(i, "%.40q cannot be a field of an exception: use a letter, then letters, digits and '_'; "+
				"hearth.dict makes an argument of the table", name)
		}
		if n++; n > MaxFields {
			L.ArgError(i, "an exception has at most %d fields", MaxFields)
		}
	}
	L.Allocate(t.Size())
	return t.Clone()
}

// ExceptionTable makes an exception in Lua from a class and its arguments.
func (ts *Types) ExceptionTable(L *lua.Thread, class string, args *lua.Table) *lua.Table {
	t := L.NewTable(0, 3)
	t.SetString("class", lua.String(class))
	args.SetMeta(ts.Tuple)
	t.SetString("args", args.Value())
	message := ""
	if args.Len() > 0 {
		message = ts.PlainText(args.GetInt(1))
	}
	t.SetString("message", lua.String(message))
	t.SetMeta(ts.Exception)
	return t
}

// SetFields sets the fields of an exception's table, nil for none.
func SetFields(t, fields *lua.Table) {
	if fields != nil {
		t.SetString(fieldsKey, fields.Value())
	}
}

// ExceptionFields returns the fields of an exception's table, nil for none. Scripts may have changed them.
func ExceptionFields(t *lua.Table) *lua.Table { return t.GetString(fieldsKey).AsTable() }

// ExceptionParts reads an exception's table. Scripts may have changed its fields.
func (ts *Types) ExceptionParts(t *lua.Table) (class string, args []lua.Value, message string) {
	class = "RuntimeError"
	if c, ok := t.GetString("class").AsString(); ok && c != "" {
		class = c
	}
	if m, ok := t.GetString("message").AsString(); ok {
		message = m
	}
	if list := t.GetString("args").AsTable(); list != nil {
		n := min(list.Len(), 100)
		args = make([]lua.Value, 0, n)
		for i := 1; i <= n; i++ {
			args = append(args, list.GetInt(i))
		}
	}
	return class, args, message
}

// JoinMessage formats class and message of an exception, as Python does in a traceback.
func JoinMessage(class, message string) string {
	if message == "" {
		return class
	}
	return class + ": " + message
}

// PlainText formats a value without running any code of the script.
func (ts *Types) PlainText(v lua.Value) string {
	switch v.Kind() { //nolint:exhaustive // the others need nothing
	case lua.StringKind, lua.NumberKind, lua.BoolKind, lua.NilKind:
		return lua.Describe(v)
	case lua.TableKind:
		if t := v.AsTable(); t.Meta == ts.Exception {
			class, _, message := ts.ExceptionParts(t)
			return JoinMessage(class, message)
		}
	}
	switch v := Of(v).(type) {
	case Null:
		return "None"
	case Bytes:
		return string(v)
	case *big.Int:
		return v.String()
	case Float:
		return lua.FormatNumber(float64(v))
	case DateTime:
		return isoDateTime(float64(v))
	case Date:
		return isoDate(int64(v))
	}
	return "(error object is a " + ts.TypeName(v) + ")"
}
