package sandbox

import (
	"encoding/base64"
	"math"
	"math/big"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
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
	list, tuple, set, dict, kw, exception                *lua.LTable // marks
	null, bytes, integer, float, complex, datetime, date *lua.LTable
	stream, proxy                                        *lua.LTable
}

// protectedTable makes a metatable that getmetatable shows as name and setmetatable
// refuses to replace.
func protectedTable(L *lua.LState, name string) *lua.LTable {
	mt := L.CreateTable(0, 4)
	mt.RawSetString("__metatable", lua.LString(name))
	return mt
}

func (s *State) makeMetatables() {
	L := s.l
	mt := &s.mt
	for name, to := range map[string]**lua.LTable{
		"list": &mt.list, "tuple": &mt.tuple, "set": &mt.set, "dict": &mt.dict, "kw": &mt.kw,
		"exception": &mt.exception, "null": &mt.null, "bytes": &mt.bytes, "int": &mt.integer,
		"float": &mt.float, "complex": &mt.complex, "datetime": &mt.datetime, "date": &mt.date,
		"stream": &mt.stream, "proxy": &mt.proxy,
	} {
		*to = protectedTable(L, name)
	}
	s.null = &lua.LUserData{Value: nullValue{}, Metatable: mt.null}
	mt.null.RawSetString("__tostring", L.NewFunction(func(L *lua.LState) int {
		L.Push(lua.LString("null"))
		return 1
	}))
	mt.exception.RawSetString("__tostring", L.NewFunction(func(L *lua.LState) int {
		class, _, message := s.exceptionParts(L.CheckTable(1))
		L.Push(lua.LString(joinMessage(class, message)))
		return 1
	}))
	s.bytesMethods()
	s.integerMethods()
	s.floatMethods()
	s.complexMethods()
	s.dateMethods()
	s.proxyMethods()
}

// methods adds Go functions to a metatable; those without leading underscores become
// methods of the value.
func (s *State) methods(mt *lua.LTable, fns map[string]lua.LGFunction) {
	index := s.l.CreateTable(0, 4)
	for name, fn := range fns {
		to := index
		if strings.HasPrefix(name, "__") {
			to = mt
		}
		to.RawSetString(name, s.l.NewFunction(fn))
	}
	if mt.RawGetString("__index") == lua.LNil {
		mt.RawSetString("__index", index)
	}
}

// userdata wraps a Go value.
func userdata(v any, mt *lua.LTable) *lua.LUserData {
	return &lua.LUserData{Value: v, Metatable: mt}
}

// valueOf returns the Go value in a userdata, nil if v is none.
func valueOf(v lua.LValue) any {
	if ud, ok := v.(*lua.LUserData); ok {
		return ud.Value
	}
	return nil
}

// smallNumbers are numbers that need no allocation to become a value.
var smallNumbers = func() (n [1024]lua.LValue) {
	for i := range n {
		n[i] = lua.LNumber(i)
	}
	return n
}()

// number makes an integer a Lua value.
func number(v int64) lua.LValue {
	if v >= 0 && v < int64(len(smallNumbers)) {
		return smallNumbers[v]
	}
	return lua.LNumber(v)
}

// integral reports whether f is an integer that travels as one. Negative zero does not:
// it would lose its sign.
func integral(f float64) bool {
	return f == math.Trunc(f) && math.Abs(f) <= maxExact && (f != 0 || !math.Signbit(f))
}

// formatNumber writes a number as Lua shows it.
func formatNumber(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return strconv.FormatInt(int64(f), 10)
	}
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// typeName says what a value is, in the words of hearth's own values.
func (s *State) typeName(v lua.LValue) string {
	switch v := v.(type) {
	case *lua.LTable:
		if mark := s.mark(v); mark != "" {
			return mark
		}
	case *lua.LUserData:
		switch v.Value.(type) {
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
	}
	return v.Type().String()
}

// mark returns the name of a table's mark, "" for a table without.
func (s *State) mark(t *lua.LTable) string {
	switch t.Metatable {
	case lua.LNil:
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

// bytesMethods gives bytes their operators.
func (s *State) bytesMethods() {
	mt := s.mt.bytes
	text := func(L *lua.LState, i int) string {
		if b, ok := valueOf(L.Get(i)).(bytesValue); ok {
			return string(b)
		}
		return L.CheckString(i)
	}
	s.methods(mt, map[string]lua.LGFunction{
		"__len": func(L *lua.LState) int {
			L.Push(number(int64(len(text(L, 1)))))
			return 1
		},
		"__tostring": func(L *lua.LState) int {
			L.Push(lua.LString(text(L, 1)))
			return 1
		},
		"__concat": func(L *lua.LState) int {
			a, b := text(L, 1), text(L, 2)
			s.meter.chargeBytes(L, len(a)+len(b))
			L.Push(userdata(bytesValue(a+b), mt))
			return 1
		},
		"__eq": func(L *lua.LState) int {
			L.Push(lua.LBool(text(L, 1) == text(L, 2)))
			return 1
		},
		"__lt": func(L *lua.LState) int {
			L.Push(lua.LBool(text(L, 1) < text(L, 2)))
			return 1
		},
		"__le": func(L *lua.LState) int {
			L.Push(lua.LBool(text(L, 1) <= text(L, 2)))
			return 1
		},
		"len": func(L *lua.LState) int {
			L.Push(number(int64(len(text(L, 1)))))
			return 1
		},
		"sub": func(L *lua.LState) int {
			b := text(L, 1)
			i, j := textRange(len(b), L.OptInt(2, 1), L.OptInt(3, -1))
			L.Push(userdata(bytesValue(s.part(L, b, i, j)), mt))
			return 1
		},
		"byte": func(L *lua.LState) int { return pushBytes(L, s, text(L, 1)) },
		"base64": func(L *lua.LState) int {
			s.meter.chargeBytes(L, 2*len(text(L, 1)))
			L.Push(lua.LString(base64.StdEncoding.EncodeToString([]byte(text(L, 1)))))
			return 1
		},
	})
}

// textRange turns Lua's inclusive, 1-based, possibly negative positions into a Go
// range inside n bytes.
func textRange(n, i, j int) (int, int) {
	if i < 0 {
		i = max(n+i+1, 1)
	} else if i == 0 {
		i = 1
	}
	if j < 0 {
		j = n + j + 1
	}
	j = min(j, n)
	if i > j {
		return 0, 0
	}
	return i - 1, j
}

// floatMethods lets a forced float calculate: results are ordinary numbers.
func (s *State) floatMethods() {
	get := func(L *lua.LState, i int) float64 {
		if f, ok := valueOf(L.Get(i)).(floatValue); ok {
			return float64(f)
		}
		return float64(L.CheckNumber(i))
	}
	op := func(f func(a, b float64) float64) lua.LGFunction {
		return func(L *lua.LState) int {
			L.Push(lua.LNumber(f(get(L, 1), get(L, 2))))
			return 1
		}
	}
	compare := func(f func(a, b float64) bool) lua.LGFunction {
		return func(L *lua.LState) int {
			L.Push(lua.LBool(f(get(L, 1), get(L, 2))))
			return 1
		}
	}
	s.methods(s.mt.float, map[string]lua.LGFunction{
		"__add": op(func(a, b float64) float64 { return a + b }),
		"__sub": op(func(a, b float64) float64 { return a - b }),
		"__mul": op(func(a, b float64) float64 { return a * b }),
		"__div": op(func(a, b float64) float64 { return a / b }),
		"__pow": op(math.Pow),
		"__mod": op(func(a, b float64) float64 { return a - math.Floor(a/b)*b }),
		"__unm": func(L *lua.LState) int {
			L.Push(lua.LNumber(-get(L, 1)))
			return 1
		},
		"__eq": compare(func(a, b float64) bool { return a == b }),
		"__lt": compare(func(a, b float64) bool { return a < b }),
		"__le": compare(func(a, b float64) bool { return a <= b }),
		"__tostring": func(L *lua.LState) int {
			t := formatNumber(get(L, 1))
			if strings.Trim(t, "-0123456789") == "" {
				t += ".0"
			}
			L.Push(lua.LString(t))
			return 1
		},
		"tonumber": func(L *lua.LState) int {
			L.Push(lua.LNumber(get(L, 1)))
			return 1
		},
	})
}

// complexMethods gives complex numbers their operators.
func (s *State) complexMethods() {
	get := func(L *lua.LState, i int) complex128 {
		switch v := valueOf(L.Get(i)).(type) {
		case complex128:
			return v
		case floatValue:
			return complex(float64(v), 0)
		}
		return complex(float64(L.CheckNumber(i)), 0)
	}
	op := func(f func(a, b complex128) complex128) lua.LGFunction {
		return func(L *lua.LState) int {
			L.Push(userdata(f(get(L, 1), get(L, 2)), s.mt.complex))
			return 1
		}
	}
	s.methods(s.mt.complex, map[string]lua.LGFunction{
		"__add": op(func(a, b complex128) complex128 { return a + b }),
		"__sub": op(func(a, b complex128) complex128 { return a - b }),
		"__mul": op(func(a, b complex128) complex128 { return a * b }),
		"__div": op(func(a, b complex128) complex128 { return a / b }),
		"__unm": func(L *lua.LState) int {
			L.Push(userdata(-get(L, 1), s.mt.complex))
			return 1
		},
		"__eq": func(L *lua.LState) int {
			L.Push(lua.LBool(get(L, 1) == get(L, 2)))
			return 1
		},
		"__tostring": func(L *lua.LState) int {
			L.Push(lua.LString(strings.Replace(strconv.FormatComplex(get(L, 1), 'g', -1, 128), "i)", "j)", 1)))
			return 1
		},
		"__index": func(L *lua.LState) int {
			switch L.CheckString(2) {
			case "re":
				L.Push(lua.LNumber(real(get(L, 1))))
			case "im":
				L.Push(lua.LNumber(imag(get(L, 1))))
			default:
				L.Push(lua.LNil)
			}
			return 1
		},
	})
}
