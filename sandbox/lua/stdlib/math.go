package stdlib

import (
	"math"
	"math/rand/v2"

	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/arith"
)

func (t *Template) openMath() {
	fns := map[string]lua.Native{
		"random": mathRandom, "randomseed": mathRandomSeed, "frexp": mathFrexp, "modf": mathModf,
		"ldexp": func(L *lua.Thread) int {
			e := L.CheckInt32(2) // compiled PUC reads the second argument first
			x := L.CheckNumber(1)
			L.Push(lua.Number(math.Ldexp(x, e)))
			return 1
		},
		"max": extreme(func(a, b float64) bool { return a > b }),
		"min": extreme(func(a, b float64) bool { return a < b }),
	}
	for name, f := range map[string]func(float64) float64{
		"abs": math.Abs, "acos": arith.Acos, "asin": arith.Asin, "atan": arith.Atan, "ceil": math.Ceil,
		"cos": arith.Cos, "cosh": math.Cosh, "exp": arith.Exp, "floor": math.Floor, "log": arith.Log,
		"log10": arith.Log10, "sin": arith.Sin,
		"sinh": math.Sinh, "sqrt": math.Sqrt, "tan": arith.Tan, "tanh": math.Tanh,
		"deg": func(x float64) float64 { return x / (math.Pi / 180) },
		"rad": func(x float64) float64 { return x * (math.Pi / 180) },
	} {
		invalid := math.Copysign(math.NaN(), -1) // as in the C library
		if name == "acos" || name == "asin" || name == "log10" {
			invalid = math.NaN()
		}
		steps := functionSteps[name]
		fns[name] = func(L *lua.Thread) int {
			x := L.CheckNumber(1)
			L.Charge(steps)
			r := f(x)
			switch {
			case r == r:
			case x == x:
				r = invalid
			case name != "abs":
				r = x
			}
			L.Push(lua.Number(r))
			return 1
		}
	}
	for name, f := range map[string]func(a, b float64) float64{
		"atan2": angle, "pow": arith.Power,
	} {
		steps := functionSteps[name]
		fns[name] = func(L *lua.Thread) int {
			b := L.CheckNumber(2) // compiled PUC reads the second argument first
			a := L.CheckNumber(1)
			L.Charge(steps)
			L.Push(lua.Number(f(a, b)))
			return 1
		}
	}
	fns["fmod"] = func(L *lua.Thread) int {
		b := L.CheckNumber(2)
		a := L.CheckNumber(1)
		_, i := math.Frexp(a)
		_, j := math.Frexp(b)
		L.Charge(max(i-j, 0) * 4) // a remainder takes time per bit
		L.Push(lua.Number(remainder(a, b)))
		return 1
	}
	t.Add("math", fns)
	lib := t.tables["math"]
	lib.SetString("mod", lib.GetString("fmod"))
	lib.SetString("pi", lua.Number(math.Pi))
	lib.SetString("huge", lua.Number(math.Inf(1)))
}

// functionSteps are the steps of functions in addition to the call.
var functionSteps = map[string]int{
	"acos": 130, "asin": 130, "atan": 110, "cos": 40, "exp": 35, "log": 55, "log10": 60, "sin": 40, "tan": 80,
	"cosh": 5, "sinh": 5, "tanh": 5, "atan2": 110, "pow": 90,
}

func extreme(better func(a, b float64) bool) lua.Native {
	return func(L *lua.Thread) int {
		best := L.CheckNumber(1)
		for i := 2; i <= L.Top(); i++ {
			if v := L.CheckNumber(i); better(v, best) {
				best = v
			}
		}
		L.Charge(L.Top() >> 2)
		L.Push(lua.Number(best))
		return 1
	}
}

func mathFrexp(L *lua.Thread) int {
	f, e := math.Frexp(L.CheckNumber(1))
	L.Push(lua.Number(f))
	L.Push(lua.Int(e))
	return 2
}

func mathModf(L *lua.Thread) int {
	x := L.CheckNumber(1)
	whole := math.Trunc(x)
	part := math.Copysign(x-whole, x)
	if math.IsInf(x, 0) {
		part = math.Copysign(0, x)
	}
	L.Push(lua.Number(whole))
	L.Push(lua.Number(part))
	return 2
}

// mathRandomSeed makes the random numbers of this run repeatable.
func mathRandomSeed(L *lua.Thread) int {
	n := L.CheckInt32(1)
	l := of(L)
	l.seeded = true
	l.random = rand.New(rand.NewPCG(uint64(n), 0)) //nolint:gosec // not for secrets
	return 0
}

func mathRandom(L *lua.Thread) int {
	r := of(L).random.Float64()
	switch L.Top() {
	case 0:
		L.Push(lua.Number(r))
	case 1:
		high := L.CheckInt32(1)
		if high < 1 {
			L.ArgError(1, "interval is empty")
		}
		L.Push(lua.Number(math.Floor(r*float64(high)) + 1))
	case 2:
		low, high := L.CheckInt32(1), L.CheckInt32(2)
		if low > high {
			L.ArgError(2, "interval is empty")
		}
		L.Push(lua.Number(math.Floor(r*float64(high-low+1)) + float64(low)))
	default:
		L.RaiseError("wrong number of arguments")
	}
	return 1
}

// angle is C's atan2. It returns a nan operand, the second argument first.
func angle(y, x float64) float64 {
	switch {
	case x != x:
		return x
	case y != y:
		return y
	}
	return arith.Atan2(y, x)
}

// remainder is C's fmod. It returns a nan operand. Where the remainder is not defined it returns a negative nan, as the
// processor does.
func remainder(a, b float64) float64 {
	switch r := math.Mod(a, b); {
	case r == r:
		return r
	case a != a:
		return a
	case b != b:
		return b
	default:
		return math.Copysign(r, -1)
	}
}
