package values

import (
	"math/big"

	"github.com/hearthhost/hearth/sandbox/lua"
)

// NewException implements hearth.exception(class, …). It returns a table with class, message and args, for error().
func (ts *Types) NewException(L *lua.Thread) int {
	class := L.CheckString(1)
	if class == "" || len(class) > 200 {
		L.ArgError(1, "class name expected")
	}
	args := L.NewTable(L.Top(), 0)
	for i := 2; i <= L.Top(); i++ {
		v := L.Get(i)
		if v.IsNil() {
			v = ts.Null
		}
		args.Append(v)
	}
	if n, ok := Of(args.GetInt(1)).(*big.Int); ok {
		L.Charge(IntegerTextSteps(n))
	}
	L.Push(ts.ExceptionTable(L, class, args).Value())
	return 1
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
