package sandbox

import (
	"encoding/base64"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/hearthhost/hearth/internal/unsafestr"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/stdlib"
)

// What Lua cannot hold natively is a userdata whose Value is one of these types or a
// *big.Int, complex128, *Stream or *proxyValue. A userdata's metatable comes from its state.
type (
	nullValue  struct{}
	bytesValue string
	floatValue float64 // a number that is a float on the wire even if it is integral
	dateTime   float64 // seconds since 1970 of an unnamed zone
	dateValue  int64   // proleptic Gregorian day number, 1 being 0001-01-01
)

// maxExact is the largest integer up to which every integer is a Lua number.
const maxExact = 1 << 53

// metatables are the metatables of one state for the values that need one. The marks
// stand on plain tables to say which container they are; all are closed to scripts.
type metatables struct {
	list, tuple, set, dict, kw, exception                *lua.Table // marks
	null, bytes, integer, float, complex, datetime, date *lua.Table
	stream, proxy                                        *lua.Table
}

// protectedTable makes a metatable that getmetatable shows as name and setmetatable
// refuses to replace.
func protectedTable(L *lua.Thread, name string) *lua.Table {
	mt := L.NewTable(0, 4)
	mt.SetString("__metatable", lua.String(name))
	return mt
}

func (s *State) makeMetatables() {
	L := s.l
	mt := &s.mt
	for name, to := range map[string]**lua.Table{
		"list": &mt.list, "tuple": &mt.tuple, "set": &mt.set, "dict": &mt.dict, "kw": &mt.kw,
		"exception": &mt.exception, "null": &mt.null, "bytes": &mt.bytes, "int": &mt.integer,
		"float": &mt.float, "complex": &mt.complex, "datetime": &mt.datetime, "date": &mt.date,
		"stream": &mt.stream, "proxy": &mt.proxy,
	} {
		*to = protectedTable(L, name)
	}
	s.null = lua.NewUserData(nullValue{}, mt.null)
	s.loading = lua.NewUserData(loadingValue{}, nil)
	setNative(mt.null, "__tostring", func(L *lua.Thread) int { return L.PushString("null") })
	setNative(mt.exception, "__tostring", func(L *lua.Thread) int {
		class, _, message := s.exceptionParts(L.CheckTable(1))
		return L.PushString(joinMessage(class, message))
	})
	s.bytesMethods()
	s.integerMethods()
	s.floatMethods()
	s.complexMethods()
	s.dateMethods()
	s.proxyMethods()
}

// setNative puts a native function into a table.
func setNative(t *lua.Table, name string, f lua.Native) { t.SetString(name, lua.NewNative(f).Value()) }

// methods adds Go functions to a metatable; those without leading underscores become methods of the value.
func (s *State) methods(mt *lua.Table, fns map[string]lua.Native) {
	index := s.l.NewTable(0, 4)
	for _, name := range slices.Sorted(maps.Keys(fns)) {
		to := index
		if strings.HasPrefix(name, "__") {
			to = mt
		}
		setNative(to, name, fns[name])
	}
	if mt.GetString("__index").IsNil() {
		mt.SetString("__index", index.Value())
	}
}

// userdata wraps a Go value.
func userdata(v any, mt *lua.Table) lua.Value { return lua.NewUserData(v, mt) }

// valueOf returns the Go value in a userdata, nil if v is none.
func valueOf(v lua.Value) any {
	if ud := v.AsUserData(); ud != nil {
		return ud.Value
	}
	return nil
}

// asFloat returns the nearest number to one of hearth's own.
func asFloat(v any) (f float64, ok bool) {
	switch n := v.(type) {
	case *big.Int:
		return toFloat(n), true
	case floatValue:
		return float64(n), true
	}
	return 0, false
}

// integral reports whether f is an integer that travels as one. Negative zero does not:
// it would lose its sign.
func integral(f float64) bool {
	return f == math.Trunc(f) && math.Abs(f) <= maxExact && (f != 0 || !math.Signbit(f))
}

// typeName says what a value is, in the words of hearth's own values.
func (s *State) typeName(v lua.Value) string {
	if t := v.AsTable(); t != nil {
		if mark := s.mark(t); mark != "" {
			return mark
		}
	}
	switch valueOf(v).(type) {
	case nullValue:
		return "null"
	case bytesValue:
		return "bytes"
	case *big.Int:
		return "int"
	case floatValue:
		return "float"
	case complex128:
		return "complex"
	case dateTime:
		return "datetime"
	case dateValue:
		return "date"
	case *Stream:
		return "stream"
	case *proxyValue:
		return "proxy"
	}
	return v.Kind().String()
}

// mark returns the name of a table's mark, "" for a table without.
func (s *State) mark(t *lua.Table) string {
	switch t.Meta {
	case nil:
		return ""
	case s.mt.list:
		return "list"
	case s.mt.tuple:
		return "tuple"
	case s.mt.set:
		return "set"
	case s.mt.dict:
		return "dict"
	case s.mt.kw:
		return "kw"
	case s.mt.exception:
		return "exception"
	}
	return ""
}

// sequence reports whether a table is marked as a list, a tuple or a set.
func (s *State) sequence(t *lua.Table) bool {
	return t.Meta == s.mt.list || t.Meta == s.mt.tuple || t.Meta == s.mt.set
}

// bytesMethods gives bytes their operators.
func (s *State) bytesMethods() {
	mt := s.mt.bytes
	text := func(L *lua.Thread, i int) string {
		if b, ok := valueOf(L.Get(i)).(bytesValue); ok {
			return string(b)
		}
		return L.CheckString(i)
	}
	s.methods(mt, map[string]lua.Native{
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
			return s.pushBuilt(L, &t)
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
			return s.pushBytes(L, part)
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

// pushBytes pushes a value of hearth.bytes.
func (s *State) pushBytes(L *lua.Thread, b string) int {
	L.Push(L.NewUserData(bytesValue(b), s.mt.bytes, len(b)))
	return 1
}

// pushBuilt pushes bytes that a builder made.
func (s *State) pushBuilt(L *lua.Thread, t *lua.Builder) int {
	t.Push()
	b, _ := L.Get(-1).AsString()
	L.Pop(1)
	return s.pushBytes(L, b)
}

// floatMethods lets a forced float calculate: results are ordinary numbers.
func (s *State) floatMethods() {
	get := func(L *lua.Thread, i int) float64 {
		if f, ok := valueOf(L.Get(i)).(floatValue); ok {
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
	s.methods(s.mt.float, map[string]lua.Native{
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

// complexMethods gives complex numbers their operators.
func (s *State) complexMethods() {
	get := func(L *lua.Thread, i int) complex128 {
		switch v := valueOf(L.Get(i)).(type) {
		case complex128:
			return v
		case floatValue:
			return complex(float64(v), 0)
		}
		return complex(float64(L.CheckNumber(i)), 0)
	}
	op := func(f func(a, b complex128) complex128) lua.Native {
		return func(L *lua.Thread) int {
			L.Push(L.NewUserData(f(get(L, 1), get(L, 2)), s.mt.complex, 16))
			return 1
		}
	}
	s.methods(s.mt.complex, map[string]lua.Native{
		"__add": op(func(a, b complex128) complex128 { return a + b }),
		"__sub": op(func(a, b complex128) complex128 { return a - b }),
		"__mul": op(func(a, b complex128) complex128 { return a * b }),
		"__div": op(func(a, b complex128) complex128 { return a / b }),
		"__unm": func(L *lua.Thread) int {
			L.Push(L.NewUserData(-get(L, 1), s.mt.complex, 16))
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
