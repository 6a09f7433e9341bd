package values

import (
	"math"
	"math/big"
	"strings"

	"github.com/hearthhost/hearth/sandbox/lua"
)

// MaxDigits is the limit of decimal digits of an integer, as in Python.
const MaxDigits = 4300

// maxBits is the bit length of the smallest integer with more than MaxDigits digits.
const maxBits = 14285

// ParseInteger reads decimal digits after an optional sign. ok is false for any other text, and for more than MaxDigits
// digits.
func ParseInteger(t string) (*big.Int, bool) {
	digits := strings.TrimLeft(t, "+-")
	if len(t)-len(digits) > 1 || digits == "" || len(digits) > MaxDigits || strings.Trim(digits, "0123456789") != "" {
		return nil, false
	}
	return new(big.Int).SetString(strings.TrimPrefix(t, "+"), 10)
}

// CheckInteger returns argument i as an integer, or raises an error.
func CheckInteger(L *lua.Thread, i int) *big.Int {
	v := L.Get(i)
	if f, ok := v.AsNumber(); ok {
		if f == math.Trunc(f) && math.Abs(f) <= MaxExact {
			return big.NewInt(int64(f))
		}
		L.ArgError(i, "the number %s is not an exact integer", lua.FormatNumber(f))
	}
	if t, ok := v.AsString(); ok {
		digits := min(len(t), MaxDigits+1)
		L.Charge(len(t)>>2 + digits*digits>>11)
		b, ok := ParseInteger(strings.TrimSpace(t))
		if !ok {
			L.ArgError(i, "not a decimal integer of at most %d digits", MaxDigits)
		}
		return b
	}
	switch n := Of(v).(type) {
	case *big.Int:
		return n
	case Float:
		if Integral(float64(n)) {
			return big.NewInt(int64(n))
		}
	}
	L.ArgError(i, "integer expected, got %s", v.Kind())
	return nil
}

// PushInteger pushes a result, and raises an error if it is too large.
func (ts *Types) PushInteger(L *lua.Thread, v *big.Int) int {
	if v.BitLen() > maxBits {
		L.RaiseError("integer too large (at most %d digits)", MaxDigits)
	}
	L.Charge(IntegerSteps)
	L.Push(L.NewUserData(v, ts.Integer, v.BitLen()/8))
	return 1
}

// IntegerSteps are the steps of making a small integer.
const IntegerSteps = 20

// sum and product return the steps of adding and multiplying integers.
func sum(a, b *big.Int) int { return max(a.BitLen(), b.BitLen()) >> 9 }

func product(a, b *big.Int) int { return a.BitLen()*b.BitLen()>>14 + sum(a, b) }

// IntegerTextSteps returns the steps of formatting an integer in decimal.
func IntegerTextSteps(v *big.Int) int { return IntegerSteps + v.BitLen() }

// integerMethods defines the operators of big integers. Results of any size remain integers, so that no digit is lost.
func (ts *Types) integerMethods() {
	op := func(f func(z, a, b *big.Int), cost func(a, b *big.Int) int) lua.Native {
		return func(L *lua.Thread) int {
			a, b := CheckInteger(L, 1), CheckInteger(L, 2)
			L.Charge(cost(a, b))
			z := new(big.Int)
			f(z, a, b)
			return ts.PushInteger(L, z)
		}
	}
	compare := func(f func(c int) bool) lua.Native {
		return func(L *lua.Thread) int {
			L.Push(lua.Bool(f(CheckInteger(L, 1).Cmp(CheckInteger(L, 2)))))
			return 1
		}
	}
	// Python's rounding: toward minus infinity; the remainder has the divisor's sign.
	floor := func(want func(q, r *big.Int) *big.Int) lua.Native {
		return func(L *lua.Thread) int {
			a, b := CheckInteger(L, 1), CheckInteger(L, 2)
			if b.Sign() == 0 {
				L.RaiseError("integer division by zero")
			}
			L.Charge(product(a, b))
			q, r := new(big.Int).QuoRem(a, b, new(big.Int))
			if r.Sign() != 0 && r.Sign() != b.Sign() {
				q.Sub(q, big.NewInt(1))
				r.Add(r, b)
			}
			return ts.PushInteger(L, want(q, r))
		}
	}
	quotient := floor(func(q, _ *big.Int) *big.Int { return q })
	tostring := func(L *lua.Thread) int {
		v := CheckInteger(L, 1)
		L.Charge(IntegerTextSteps(v))
		return L.PushString(v.String())
	}
	ts.methods(ts.Integer, map[string]lua.Native{
		"__add": op(func(z, a, b *big.Int) { z.Add(a, b) }, sum),
		"__sub": op(func(z, a, b *big.Int) { z.Sub(a, b) }, sum),
		"__mul": op(func(z, a, b *big.Int) { z.Mul(a, b) }, product),
		"__unm": func(L *lua.Thread) int { return ts.PushInteger(L, new(big.Int).Neg(CheckInteger(L, 1))) },
		"__div": quotient,
		"__mod": floor(func(_, r *big.Int) *big.Int { return r }),
		"__eq":  compare(func(c int) bool { return c == 0 }),
		"__lt":  compare(func(c int) bool { return c < 0 }),
		"__le":  compare(func(c int) bool { return c <= 0 }),
		"__concat": func(L *lua.Thread) int {
			a, b := L.ToString(L.Get(1)), L.ToString(L.Get(2))
			t := L.NewBuilder(len(a) + len(b))
			t.Add(a)
			t.Add(b)
			return t.Push()
		},
		"__tostring": tostring,
		"idiv":       quotient,
		"tonumber": func(L *lua.Thread) int {
			v := CheckInteger(L, 1)
			L.Charge(integerFloatSteps(v))
			L.Push(lua.Number(IntegerFloat(v)))
			return 1
		},
	})
}

// integerFloatSteps returns the steps of IntegerFloat.
func integerFloatSteps(v *big.Int) int { return IntegerSteps + v.BitLen()>>5 }

// IntegerFloat returns the float nearest to an integer.
func IntegerFloat(v *big.Int) float64 {
	f, _ := new(big.Float).SetInt(v).Float64()
	return f
}
