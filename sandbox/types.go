package sandbox

import (
	"encoding/base64"
	"fmt"
	"math/big"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/hearthhost/hearth/object"
)

// nullValue is hearth.null: None inside a container.
type nullValue struct{}

// metatables are the state's own; scripts cannot reach or change them.
type metatables struct {
	kinds                                      [5]*lua.LTable // by object.Kind
	null, integer, float, complex, bytes, time *lua.LTable
	stream, exception, proxy, kwargs           *lua.LTable
}

// maxDigits bounds what arithmetic on big integers may produce, in bits.
const maxBits = 14_300 // 4300 digits

func (s *State) newMetatables() {
	l := s.l
	protected := func() *lua.LTable {
		t := l.CreateTable(0, 0)
		t.RawSetString("__metatable", lua.LString("protected"))
		return t
	}
	for k := object.ListKind; k <= object.DictKind; k++ {
		s.mt.kinds[k] = protected()
	}
	m := &s.mt
	m.null, m.integer, m.float, m.complex = protected(), protected(), protected(), protected()
	m.bytes, m.time, m.stream, m.exception = protected(), protected(), protected(), protected()
	m.proxy, m.kwargs = protected(), protected()

	s.null = s.typed(nullValue{}, m.null)
	tostring := func(t *lua.LTable, f func(any) string) {
		t.RawSetString("__tostring", l.NewFunction(func(l *lua.LState) int {
			l.Push(lua.LString(f(l.CheckUserData(1).Value)))
			return 1
		}))
	}
	tostring(m.null, func(any) string { return "null" })
	tostring(m.integer, func(v any) string { return v.(*big.Int).String() })
	tostring(m.float, func(v any) string { return fmt.Sprint(float64(v.(floatValue))) })
	tostring(m.complex, func(v any) string { return fmt.Sprint(v) })
	tostring(m.bytes, func(v any) string { return string(v.(bytesValue)) })
	tostring(m.time, func(v any) string {
		if d, ok := v.(dateValue); ok {
			return time.Date(1, 1, int(d), 0, 0, 0, 0, time.UTC).Format("2006-01-02")
		}
		f := float64(v.(datetimeValue))
		return time.UnixMicro(int64(f * 1e6)).UTC().Format("2006-01-02T15:04:05.999999")
	})
	m.exception.RawSetString("__tostring", l.NewFunction(func(l *lua.LState) int {
		t := l.CheckTable(1)
		l.Push(lua.LString(lua.LVAsString(t.RawGetString("class")) + ": " + t.RawGetInt(1).String()))
		return 1
	}))
	s.integerOperators()
	s.complexOperators()
	s.bytesOperators()
}

func (s *State) typed(v any, mt *lua.LTable) *lua.LUserData {
	return &lua.LUserData{Value: v, Env: s.l.Env, Metatable: mt}
}

func (s *State) newInt(v *big.Int) lua.LValue { return s.typed(v, s.mt.integer) }

// integer reads an operand: a big integer or a whole number.
func integer(l *lua.LState, n int) *big.Int {
	switch v := l.Get(n).(type) {
	case lua.LNumber:
		if isWhole(float64(v)) {
			return big.NewInt(int64(v))
		}
		l.ArgError(n, "a whole number is wanted with big integers")
	case *lua.LUserData:
		if i, ok := v.Value.(*big.Int); ok {
			return i
		}
	}
	l.ArgError(n, "an integer is wanted")
	return nil
}

// pushInt pushes an integer: as a number if a number holds it.
func (s *State) pushInt(l *lua.LState, v *big.Int) int {
	if v.IsInt64() && v.Int64() >= -exact && v.Int64() <= exact {
		l.Push(lua.LNumber(v.Int64()))
	} else {
		l.Push(s.newInt(v))
	}
	return 1
}

func (s *State) integerOperators() {
	l, t := s.l, s.mt.integer
	op := func(name string, f func(z, a, b *big.Int)) {
		t.RawSetString(name, l.NewFunction(func(l *lua.LState) int {
			a, b := integer(l, 1), integer(l, 2)
			if a.BitLen()+b.BitLen() > maxBits {
				l.RaiseError("integer too large")
			}
			z := new(big.Int)
			f(z, a, b)
			return s.pushInt(l, z)
		}))
	}
	op("__add", func(z, a, b *big.Int) { z.Add(a, b) })
	op("__sub", func(z, a, b *big.Int) { z.Sub(a, b) })
	op("__mul", func(z, a, b *big.Int) { z.Mul(a, b) })
	divide := func(f func(z, a, b *big.Int)) func(z, a, b *big.Int) {
		return func(z, a, b *big.Int) {
			if b.Sign() == 0 {
				l.RaiseError("division by zero")
			}
			f(z, a, b)
		}
	}
	// Division of integers rounds down, as Lua's modulo wants it.
	op("__div", divide(func(z, a, b *big.Int) { floorDiv(z, new(big.Int), a, b) }))
	op("__mod", divide(func(z, a, b *big.Int) { floorDiv(new(big.Int), z, a, b) }))
	t.RawSetString("__unm", l.NewFunction(func(l *lua.LState) int { return s.pushInt(l, new(big.Int).Neg(integer(l, 1))) }))
	compare := func(name string, ok func(int) bool) {
		t.RawSetString(name, l.NewFunction(func(l *lua.LState) int {
			l.Push(lua.LBool(ok(integer(l, 1).Cmp(integer(l, 2)))))
			return 1
		}))
	}
	compare("__eq", func(c int) bool { return c == 0 })
	compare("__lt", func(c int) bool { return c < 0 })
	compare("__le", func(c int) bool { return c <= 0 })
}

func floorDiv(q, m, a, b *big.Int) {
	q.QuoRem(a, b, m)
	if m.Sign() != 0 && m.Sign() != b.Sign() {
		m.Add(m, b)
		q.Sub(q, big.NewInt(1))
	}
}

func (s *State) complexOperators() {
	l, t := s.l, s.mt.complex
	operand := func(l *lua.LState, n int) complex128 {
		switch v := l.Get(n).(type) {
		case lua.LNumber:
			return complex(float64(v), 0)
		case *lua.LUserData:
			if c, ok := v.Value.(complex128); ok {
				return c
			}
		}
		l.ArgError(n, "a number is wanted")
		return 0
	}
	for name, f := range map[string]func(a, b complex128) complex128{
		"__add": func(a, b complex128) complex128 { return a + b },
		"__sub": func(a, b complex128) complex128 { return a - b },
		"__mul": func(a, b complex128) complex128 { return a * b },
		"__div": func(a, b complex128) complex128 { return a / b },
	} {
		t.RawSetString(name, l.NewFunction(func(l *lua.LState) int {
			l.Push(s.typed(f(operand(l, 1), operand(l, 2)), t))
			return 1
		}))
	}
	t.RawSetString("__eq", l.NewFunction(func(l *lua.LState) int {
		l.Push(lua.LBool(operand(l, 1) == operand(l, 2)))
		return 1
	}))
	t.RawSetString("__index", l.NewFunction(func(l *lua.LState) int {
		c := operand(l, 1)
		switch l.CheckString(2) {
		case "re":
			l.Push(lua.LNumber(real(c)))
		case "im":
			l.Push(lua.LNumber(imag(c)))
		default:
			l.Push(lua.LNil)
		}
		return 1
	}))
}

// bytesOf reads bytes: a bytes value or a string.
func bytesOf(l *lua.LState, n int) string {
	switch v := l.Get(n).(type) {
	case lua.LString:
		return string(v)
	case *lua.LUserData:
		if b, ok := v.Value.(bytesValue); ok {
			return string(b)
		}
	}
	l.ArgError(n, "bytes or a string are wanted")
	return ""
}

func (s *State) bytesOperators() {
	l, t := s.l, s.mt.bytes
	t.RawSetString("__len", l.NewFunction(func(l *lua.LState) int {
		l.Push(lua.LNumber(len(bytesOf(l, 1))))
		return 1
	}))
	t.RawSetString("__eq", l.NewFunction(func(l *lua.LState) int {
		l.Push(lua.LBool(bytesOf(l, 1) == bytesOf(l, 2)))
		return 1
	}))
	t.RawSetString("__concat", l.NewFunction(func(l *lua.LState) int {
		a, b := bytesOf(l, 1), bytesOf(l, 2)
		if len(a)+len(b) > maxStringBytes {
			l.RaiseError("bytes longer than %d", maxStringBytes)
		}
		l.Push(s.typed(bytesValue(a+b), t))
		return 1
	}))
	methods := l.CreateTable(0, 0)
	methods.RawSetString("sub", l.NewFunction(func(l *lua.LState) int {
		b := bytesOf(l, 1)
		i, j := l.CheckInt(2), l.OptInt(3, -1)
		if i < 0 {
			i = max(len(b)+i+1, 1)
		}
		if j < 0 {
			j = len(b) + j + 1
		}
		i, j = max(i, 1), min(j, len(b))
		if i > j {
			l.Push(s.typed(bytesValue(""), t))
		} else {
			l.Push(s.typed(bytesValue(b[i-1:j]), t))
		}
		return 1
	}))
	methods.RawSetString("base64", l.NewFunction(func(l *lua.LState) int {
		l.Push(lua.LString(base64.StdEncoding.EncodeToString([]byte(bytesOf(l, 1)))))
		return 1
	}))
	t.RawSetString("__index", methods)
}
