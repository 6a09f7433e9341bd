package sandbox

import (
	"math"
	"math/big"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// maxBits is the bit length at which an integer has more than maxDigits digits.
const maxBits = 14285

// parseInteger reads decimal digits, "-" or "+" first. ok is false for anything else
// and for more than maxDigits digits.
func parseInteger(t string) (*big.Int, bool) {
	digits := strings.TrimLeft(t, "+-")
	if len(t)-len(digits) > 1 || digits == "" || len(digits) > maxDigits || strings.Trim(digits, "0123456789") != "" {
		return nil, false
	}
	return new(big.Int).SetString(strings.TrimPrefix(t, "+"), 10)
}

// checkInteger returns argument i as an integer, or raises an error.
func checkInteger(L *lua.LState, i int) *big.Int {
	switch v := L.Get(i).(type) {
	case lua.LNumber:
		f := float64(v)
		if f == math.Trunc(f) && math.Abs(f) <= maxExact {
			return big.NewInt(int64(f))
		}
		L.ArgError(i, "the number "+formatNumber(f)+" is not an exact integer")
	case *lua.LUserData:
		if b, ok := v.Value.(*big.Int); ok {
			return b
		}
		if f, ok := v.Value.(floatValue); ok && integral(float64(f)) {
			return big.NewInt(int64(f))
		}
	case lua.LString:
		b, ok := parseInteger(strings.TrimSpace(string(v)))
		if !ok {
			L.ArgError(i, "not a decimal integer of at most 4300 digits")
		}
		return b
	}
	L.ArgError(i, "integer expected, got "+L.Get(i).Type().String())
	return nil
}

// pushInteger pushes a result, or raises an error if it is too large.
func (s *State) pushInteger(L *lua.LState, v *big.Int) int {
	if v.BitLen() > maxBits {
		L.RaiseError("integer too large (at most %d digits)", maxDigits)
	}
	L.Push(userdata(v, s.mt.integer))
	return 1
}

// integerMethods gives big integers their operators. Results stay integers, whatever
// their size, so that no digit is lost on the way.
func (s *State) integerMethods() {
	op := func(f func(z, a, b *big.Int)) lua.LGFunction {
		return func(L *lua.LState) int {
			a, b := checkInteger(L, 1), checkInteger(L, 2)
			s.meter.charge(L, (a.BitLen()+64)*(b.BitLen()+64)>>14)
			z := new(big.Int)
			f(z, a, b)
			return s.pushInteger(L, z)
		}
	}
	compare := func(f func(c int) bool) lua.LGFunction {
		return func(L *lua.LState) int {
			L.Push(lua.LBool(f(checkInteger(L, 1).Cmp(checkInteger(L, 2)))))
			return 1
		}
	}
	// Python's rounding: towards minus infinity, and the remainder has the divisor's sign.
	floor := func(want func(q, r *big.Int) *big.Int) lua.LGFunction {
		return func(L *lua.LState) int {
			a, b := checkInteger(L, 1), checkInteger(L, 2)
			if b.Sign() == 0 {
				L.RaiseError("integer division by zero")
			}
			s.meter.charge(L, (a.BitLen()+64)*(b.BitLen()+64)>>14)
			q, r := new(big.Int).QuoRem(a, b, new(big.Int))
			if r.Sign() != 0 && r.Sign() != b.Sign() {
				q.Sub(q, big.NewInt(1))
				r.Add(r, b)
			}
			return s.pushInteger(L, want(q, r))
		}
	}
	quotient := floor(func(q, _ *big.Int) *big.Int { return q })
	tostring := func(L *lua.LState) int {
		v := checkInteger(L, 1)
		s.meter.charge(L, v.BitLen())
		L.Push(lua.LString(v.String()))
		return 1
	}
	s.methods(s.mt.integer, map[string]lua.LGFunction{
		"__add": op(func(z, a, b *big.Int) { z.Add(a, b) }),
		"__sub": op(func(z, a, b *big.Int) { z.Sub(a, b) }),
		"__mul": op(func(z, a, b *big.Int) { z.Mul(a, b) }),
		"__unm": func(L *lua.LState) int { return s.pushInteger(L, new(big.Int).Neg(checkInteger(L, 1))) },
		"__div": quotient,
		"__mod": floor(func(_, r *big.Int) *big.Int { return r }),
		"__eq":  compare(func(c int) bool { return c == 0 }),
		"__lt":  compare(func(c int) bool { return c < 0 }),
		"__le":  compare(func(c int) bool { return c <= 0 }),
		"__concat": func(L *lua.LState) int {
			a, b := s.text(L, L.Get(1)), s.text(L, L.Get(2))
			L.Push(lua.LString(a + b))
			return 1
		},
		"__tostring": tostring,
		"idiv":       quotient,
		"tonumber": func(L *lua.LState) int {
			L.Push(lua.LNumber(toFloat(checkInteger(L, 1))))
			return 1
		},
	})
}

// toFloat returns the nearest float of an integer.
func toFloat(v *big.Int) float64 {
	f, _ := new(big.Float).SetInt(v).Float64()
	return f
}
