package values

import (
	"encoding/base64"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/hearthhost/hearth/internal/unsafestr"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/stdlib"
)

// Go types of the userdata for values that Lua lacks, beside *big.Int and complex128.
type (
	Null     struct{} // the absent value of other languages
	Bytes    string
	Float    float64 // sent as a float even if it is a whole number
	DateTime float64 // seconds since 1970, in no particular time zone
	Date     int64   // proleptic Gregorian day number; 1 is 0001-01-01
	// Proxy refers to another object.
	Proxy struct{ To object.ID }
	// Stream is an item stream that a script has made.
	Stream struct {
		Next *lua.Function // returns one item per call, and nil at the end
		Sent bool          // it was the result of a call, which is allowed once
	}
)

// MaxExact is the limit up to which Lua numbers represent every integer.
const MaxExact = 1 << 53

// Types holds the metatables of the values, and null. After Share any number of VMs may use them.
type Types struct {
	Null lua.Value // hearth.null

	// Marks are the metatables of plain tables with a declared kind. They are protected from scripts.
	List, Tuple, Set, Dict, Keywords, Exception *lua.Table
	// Metatables of userdata, protected from scripts.
	Bytes, Integer, Float, Complex, DateTime, Date, Stream, Proxy *lua.Table
}

// Protected makes a metatable for which getmetatable returns name. setmetatable does not replace it.
func Protected(name string) *lua.Table {
	mt := lua.NewTable(0, 4)
	mt.SetString("__metatable", lua.String(name))
	return mt
}

// New makes metatables. The caller adds the methods of proxies.
func New() *Types {
	ts := &Types{}
	for name, to := range ts.metatables() {
		*to = Protected(name)
	}
	null := Protected("null")
	SetNative(null, "__tostring", func(L *lua.Thread) int { return L.PushString("null") })
	ts.Null = lua.NewUserData(Null{}, null)
	SetNative(ts.Exception, "__tostring", func(L *lua.Thread) int {
		class, _, message := ts.ExceptionParts(L.CheckTable(1))
		return L.PushString(JoinMessage(class, message))
	})
	ts.bytesMethods()
	ts.integerMethods()
	ts.floatMethods()
	ts.complexMethods()
	ts.dateMethods()
	return ts
}

// Share makes the metatables immutable.
func (ts *Types) Share() {
	for _, mt := range ts.metatables() {
		lua.Share(*mt)
	}
	lua.ShareValue(ts.Null)
}

// metatables returns the metatables by the names of their types.
func (ts *Types) metatables() map[string]**lua.Table {
	return map[string]**lua.Table{
		"list":      &ts.List,
		"tuple":     &ts.Tuple,
		"set":       &ts.Set,
		"dict":      &ts.Dict,
		"kw":        &ts.Keywords,
		"exception": &ts.Exception,
		"bytes":     &ts.Bytes,
		"int":       &ts.Integer,
		"float":     &ts.Float,
		"complex":   &ts.Complex,
		"datetime":  &ts.DateTime,
		"date":      &ts.Date,
		"stream":    &ts.Stream,
		"proxy":     &ts.Proxy,
	}
}

// SetNative puts a native function into a table.
func SetNative(t *lua.Table, name string, f lua.Native) { t.SetString(name, lua.NewNative(f).Value()) }

// methods adds Go functions to a metatable. Functions without leading underscores become methods of the value.
func (ts *Types) methods(mt *lua.Table, fns map[string]lua.Native) {
	index := lua.NewTable(0, 4)
	for _, name := range slices.Sorted(maps.Keys(fns)) {
		to := index
		if strings.HasPrefix(name, "__") {
			to = mt
		}
		SetNative(to, name, fns[name])
	}
	if mt.GetString("__index").IsNil() {
		mt.SetString("__index", index.Value())
	}
}

// Of returns the Go value in a userdata, or nil for any other value.
func Of(v lua.Value) any {
	if ud := v.AsUserData(); ud != nil {
		return ud.Value
	}
	return nil
}

// AsFloat returns the number nearest to a big integer or a float.
func AsFloat(v any) (f float64, ok bool) {
	switch n := v.(type) {
	case *big.Int:
		return IntegerFloat(n), true
	case Float:
		return float64(n), true
	}
	return 0, false
}

// Integral reports whether f is sent as an integer. Negative zero is not, because it would lose its sign.
func Integral(f float64) bool {
	return f == math.Trunc(f) && math.Abs(f) <= MaxExact && (f != 0 || !math.Signbit(f))
}

// TypeName returns the type of a value. Values of this package have their own type names.
func (ts *Types) TypeName(v lua.Value) string {
	if t := v.AsTable(); t != nil {
		if mark := ts.Mark(t); mark != "" {
			return mark
		}
	}
	switch Of(v).(type) {
	case Null:
		return "null"
	case Bytes:
		return "bytes"
	case *big.Int:
		return "int"
	case Float:
		return "float"
	case complex128:
		return "complex"
	case DateTime:
		return "datetime"
	case Date:
		return "date"
	case *Stream:
		return "stream"
	case *Proxy:
		return "proxy"
	}
	return v.Kind().String()
}

// Mark returns the name of a table's mark, or "".
func (ts *Types) Mark(t *lua.Table) string {
	switch t.Meta {
	case nil:
		return ""
	case ts.List:
		return "list"
	case ts.Tuple:
		return "tuple"
	case ts.Set:
		return "set"
	case ts.Dict:
		return "dict"
	case ts.Keywords:
		return "kw"
	case ts.Exception:
		return "exception"
	}
	return ""
}

// IsSequence reports whether a table is marked as a list, a tuple or a set.
func (ts *Types) IsSequence(t *lua.Table) bool {
	return t.Meta == ts.List || t.Meta == ts.Tuple || t.Meta == ts.Set
}

// bytesMethods defines the operators of bytes.
func (ts *Types) bytesMethods() {
	mt := ts.Bytes
	text := func(L *lua.Thread, i int) string {
		if b, ok := Of(L.Get(i)).(Bytes); ok {
			return string(b)
		}
		return L.CheckString(i)
	}
	ts.methods(mt, map[string]lua.Native{
		"__len": func(L *lua.Thread) int {
			L.Push(lua.Int(len(text(L, 1))))
			return 1
		},
		"__tostring": func(L *lua.Thread) int {
			return L.PushShared(text(L, 1))
		},
		"__concat": func(L *lua.Thread) int {
			a, b := text(L, 1), text(L, 2)
			t := L.NewBuilder(len(a) + len(b))
			t.Add(a)
			t.Add(b)
			return ts.pushBuilt(L, &t)
		},
		"__eq": func(L *lua.Thread) int {
			a, b := text(L, 1), text(L, 2)
			L.ChargeBytes(min(len(a), len(b)))
			L.Push(lua.Bool(a == b))
			return 1
		},
		"__lt": func(L *lua.Thread) int {
			a, b := text(L, 1), text(L, 2)
			L.ChargeBytes(min(len(a), len(b)))
			L.Push(lua.Bool(a < b))
			return 1
		},
		"__le": func(L *lua.Thread) int {
			a, b := text(L, 1), text(L, 2)
			L.ChargeBytes(min(len(a), len(b)))
			L.Push(lua.Bool(a <= b))
			return 1
		},
		"len": func(L *lua.Thread) int {
			L.Push(lua.Int(len(text(L, 1))))
			return 1
		},
		"sub": func(L *lua.Thread) int {
			b := text(L, 1)
			i, j := stdlib.Range(len(b), L.OptInt(2, 1), L.OptInt(3, -1))
			part, _ := stdlib.Part(L, b, i, j).AsString()
			return ts.PushBytes(L, part)
		},
		"byte": func(L *lua.Thread) int { return stdlib.PushBytes(L, text(L, 1)) },
		"base64": func(L *lua.Thread) int {
			b := text(L, 1)
			L.Charge(len(b) >> 2)
			t := L.NewBuilder(base64.StdEncoding.EncodedLen(len(b)))
			t.B = base64.StdEncoding.AppendEncode(t.B, unsafestr.Bytes(b))
			return t.Push()
		},
	})
}

// PushBytes pushes a bytes value.
func (ts *Types) PushBytes(L *lua.Thread, b string) int {
	L.Push(L.NewUserData(Bytes(b), ts.Bytes, len(b)))
	return 1
}

// pushBuilt pushes the bytes of a builder as a bytes value.
func (ts *Types) pushBuilt(L *lua.Thread, t *lua.Builder) int {
	t.Push()
	b, _ := L.Get(-1).AsString()
	L.Pop(1)
	return ts.PushBytes(L, b)
}

// floatMethods defines the operators of floats. Results are ordinary numbers.
func (ts *Types) floatMethods() {
	get := func(L *lua.Thread, i int) float64 {
		if f, ok := Of(L.Get(i)).(Float); ok {
			return float64(f)
		}
		return float64(L.CheckNumber(i))
	}
	op := func(f func(a, b float64) float64) lua.Native {
		return func(L *lua.Thread) int {
			L.Push(lua.Number(f(get(L, 1), get(L, 2))))
			return 1
		}
	}
	compare := func(f func(a, b float64) bool) lua.Native {
		return func(L *lua.Thread) int {
			L.Push(lua.Bool(f(get(L, 1), get(L, 2))))
			return 1
		}
	}
	ts.methods(ts.Float, map[string]lua.Native{
		"__add": op(func(a, b float64) float64 { return a + b }),
		"__sub": op(func(a, b float64) float64 { return a - b }),
		"__mul": op(func(a, b float64) float64 { return a * b }),
		"__div": op(func(a, b float64) float64 { return a / b }),
		"__pow": op(math.Pow),
		"__mod": op(func(a, b float64) float64 { return a - math.Floor(a/b)*b }),
		"__unm": func(L *lua.Thread) int {
			L.Push(lua.Number(-get(L, 1)))
			return 1
		},
		"__eq": compare(func(a, b float64) bool { return a == b }),
		"__lt": compare(func(a, b float64) bool { return a < b }),
		"__le": compare(func(a, b float64) bool { return a <= b }),
		"__tostring": func(L *lua.Thread) int {
			t := lua.FormatNumber(get(L, 1))
			if strings.Trim(t, "-0123456789") == "" {
				t += ".0"
			}
			return L.PushString(t)
		},
		"tonumber": func(L *lua.Thread) int {
			L.Push(lua.Number(get(L, 1)))
			return 1
		},
	})
}

// complexMethods defines the operators of complex numbers.
func (ts *Types) complexMethods() {
	get := func(L *lua.Thread, i int) complex128 {
		switch v := Of(L.Get(i)).(type) {
		case complex128:
			return v
		case Float:
			return complex(float64(v), 0)
		}
		return complex(float64(L.CheckNumber(i)), 0)
	}
	op := func(f func(a, b complex128) complex128) lua.Native {
		return func(L *lua.Thread) int {
			L.Push(L.NewUserData(f(get(L, 1), get(L, 2)), ts.Complex, 16))
			return 1
		}
	}
	ts.methods(ts.Complex, map[string]lua.Native{
		"__add": op(func(a, b complex128) complex128 { return a + b }),
		"__sub": op(func(a, b complex128) complex128 { return a - b }),
		"__mul": op(func(a, b complex128) complex128 { return a * b }),
		"__div": op(func(a, b complex128) complex128 { return a / b }),
		"__unm": func(L *lua.Thread) int {
			L.Push(L.NewUserData(-get(L, 1), ts.Complex, 16))
			return 1
		},
		"__eq": func(L *lua.Thread) int {
			L.Push(lua.Bool(get(L, 1) == get(L, 2)))
			return 1
		},
		"__tostring": func(L *lua.Thread) int {
			return L.PushString(strings.Replace(strconv.FormatComplex(get(L, 1), 'g', -1, 128), "i)", "j)", 1))
		},
		"__index": func(L *lua.Thread) int {
			switch L.CheckString(2) {
			case "re":
				L.Push(lua.Number(real(get(L, 1))))
			case "im":
				L.Push(lua.Number(imag(get(L, 1))))
			default:
				L.Push(lua.Nil)
			}
			return 1
		},
	})
}

// ToNumber implements tonumber, with support for integers and floats of hearth.
func ToNumber(L *lua.Thread) int {
	switch n := Of(L.Get(1)).(type) {
	case nil:
		return stdlib.ToNumber(L)
	default:
		if i, ok := n.(*big.Int); ok {
			L.Charge(integerFloatSteps(i))
		}
		if f, ok := AsFloat(n); ok {
			L.Push(lua.Number(f))
		} else {
			L.Push(lua.Nil)
		}
	}
	return 1
}
