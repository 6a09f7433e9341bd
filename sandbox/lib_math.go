package sandbox

import (
	"math"
	"math/rand/v2"

	lua "github.com/yuin/gopher-lua"
)

// openMath makes the math library. Each state has random numbers of its own, so that
// one script learns nothing about another's.
func (s *State) openMath() {
	fns := stockFunctions("math.", "abs", "acos", "asin", "atan", "atan2", "ceil", "cos", "cosh", "deg", "exp", "floor",
		"fmod", "frexp", "ldexp", "log", "log10", "max", "min", "modf", "pow", "rad", "sin", "sinh", "sqrt", "tan", "tanh")
	fns["random"] = s.mathRandom
	fns["randomseed"] = func(L *lua.LState) int {
		s.seeded = true
		s.random = rand.New(rand.NewPCG(math.Float64bits(float64(L.CheckNumber(1))), 0)) //nolint:gosec // not for secrets
		return 0
	}
	t := s.library(fns)
	t.RawSetString("pi", lua.LNumber(math.Pi))
	t.RawSetString("huge", lua.LNumber(math.Inf(1)))
	s.base.RawSetString("math", s.frozenTable(t))
}

func (s *State) mathRandom(L *lua.LState) int {
	low, high := int64(1), int64(0)
	switch L.GetTop() {
	case 0:
		L.Push(lua.LNumber(s.random.Float64()))
		return 1
	case 1:
		high = L.CheckInt64(1)
	default:
		low, high = L.CheckInt64(1), L.CheckInt64(2)
	}
	if low > high || uint64(high)-uint64(low) >= maxExact {
		L.ArgError(L.GetTop(), "interval is empty or too large")
	}
	L.Push(number(low + s.random.Int64N(high-low+1)))
	return 1
}
