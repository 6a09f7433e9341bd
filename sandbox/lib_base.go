package sandbox

import (
	"math/big"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// openBase makes the basic functions.
func (s *State) openBase() {
	L := s.l
	fns := stockFunctions("", "error", "next", "rawequal", "rawget", "select", "type", "getmetatable")
	fns["assert"] = baseAssert
	fns["pcall"] = s.basePCall
	fns["xpcall"] = s.baseXPCall
	fns["print"] = s.logger("info")
	fns["rawset"] = baseRawSet
	fns["setmetatable"] = baseSetMetatable
	fns["tonumber"] = baseToNumber
	fns["tostring"] = func(L *lua.LState) int {
		L.Push(lua.LString(s.text(L, L.CheckAny(1))))
		return 1
	}
	fns["unpack"] = s.baseUnpack
	fns["require"] = s.require
	for name, fn := range fns {
		s.base.RawSetString(name, L.NewFunction(fn))
	}
	next := L.NewFunction(func(L *lua.LState) int {
		k, v := L.CheckTable(1).Next(L.Get(2))
		if k == lua.LNil {
			L.Push(k)
			return 1
		}
		L.Push(k)
		L.Push(v)
		return 2
	})
	s.base.RawSetString("pairs", L.NewFunction(func(L *lua.LState) int {
		t := L.CheckTable(1)
		L.Push(next)
		L.Push(t)
		L.Push(lua.LNil)
		return 3
	}))
	inext := L.NewFunction(func(L *lua.LState) int {
		i := L.CheckInt(2) + 1
		v := L.CheckTable(1).RawGetInt(i)
		if v == lua.LNil {
			return 0
		}
		L.Push(number(int64(i)))
		L.Push(v)
		return 2
	})
	s.base.RawSetString("ipairs", L.NewFunction(func(L *lua.LState) int {
		t := L.CheckTable(1)
		L.Push(inext)
		L.Push(t)
		L.Push(number(0))
		return 3
	}))
}

// baseAssert raises its second argument as it is, so that an exception stays one.
func baseAssert(L *lua.LState) int {
	if lua.LVAsBool(L.CheckAny(1)) {
		return L.GetTop()
	}
	switch msg := L.Get(2).(type) {
	case *lua.LNilType:
		L.RaiseError("assertion failed!")
	case lua.LString:
		L.Error(msg, 0)
	default:
		L.Error(msg, 1)
	}
	return 0
}

func baseRawSet(L *lua.LState) int {
	L.RawSet(writable(L), L.CheckAny(2), L.CheckAny(3))
	L.SetTop(1)
	return 1
}

// baseSetMetatable sets metatables of tables only, and never one that is protected.
func baseSetMetatable(L *lua.LState) int {
	t := L.CheckTable(1)
	L.CheckTypes(2, lua.LTNil, lua.LTTable)
	if mt, ok := t.Metatable.(*lua.LTable); ok && mt.RawGetString("__metatable") != lua.LNil {
		L.RaiseError("cannot change a protected metatable")
	}
	t.Metatable = L.Get(2)
	L.SetTop(1)
	return 1
}

// baseToNumber is tonumber, which also takes hearth's own numbers.
func baseToNumber(L *lua.LState) int {
	result := lua.LNil
	switch v := L.CheckAny(1).(type) {
	case lua.LNumber:
		result = v
	case lua.LString:
		if base := L.OptInt(2, 10); base != 10 {
			if base < 2 || base > 36 {
				L.ArgError(2, "base out of range")
			}
			t := strings.ToLower(strings.TrimSpace(string(v)))
			if base == 16 {
				t = strings.TrimPrefix(t, "0x")
			}
			if n, err := strconv.ParseInt(t, base, 64); err == nil {
				result = lua.LNumber(n)
			}
		} else if f, ok := parseNumber(string(v)); ok {
			result = lua.LNumber(f)
		}
	case *lua.LUserData:
		switch n := v.Value.(type) {
		case *big.Int:
			result = lua.LNumber(toFloat(n))
		case floatValue:
			result = lua.LNumber(n)
		}
	}
	L.Push(result)
	return 1
}

// parseNumber reads a number as Lua writes them.
func parseNumber(t string) (float64, bool) {
	t = strings.TrimSpace(t)
	digits := strings.ToLower(strings.TrimLeft(t, "+-"))
	if len(t)-len(digits) > 1 || strings.ContainsAny(digits, "_pin") {
		return 0, false // what Go reads and Lua does not: 1_000, 0x1p3, inf, nan
	}
	if hex, ok := strings.CutPrefix(digits, "0x"); ok {
		n, err := strconv.ParseUint(hex, 16, 64)
		if strings.HasPrefix(t, "-") {
			return -float64(n), err == nil
		}
		return float64(n), err == nil
	}
	f, err := strconv.ParseFloat(t, 64)
	return f, err == nil
}

// baseUnpack is unpack, bounded by what the registers hold.
func (s *State) baseUnpack(L *lua.LState) int {
	t := L.CheckTable(1)
	i, j := L.OptInt(2, 1), L.OptInt(3, t.Len())
	if i > j {
		return 0
	}
	n := j - i + 1
	if n <= 0 || n > maxArguments {
		L.RaiseError("too many results to unpack (at most %d)", maxArguments)
	}
	s.meter.charge(L, n)
	for k := i; k <= j; k++ {
		L.Push(t.RawGetInt(k))
	}
	return n
}

// protect runs a function and its n arguments, which stand on top of [State.quiet], and
// leaves the results in their place. ok is false if it raised, with the value.
func (s *State) protect(L *lua.LState, n int) (raised lua.LValue, ok bool) {
	if s.protected >= maxProtected {
		L.RaiseError("stack overflow: more than %d pcalls inside each other", maxProtected)
	}
	s.protected++
	err := L.PCall(n+1, lua.MultRet, nil)
	s.protected--
	if err == nil {
		return nil, true
	}
	e, isOurs := err.(*lua.ApiError) //nolint:errorlint // PCall returns nothing else
	if isOurs {
		raised = s.caught(e)
	}
	if raised == nil {
		L.RaiseError("broken") // the meter says so before the next instruction, too
	}
	return raised, false
}

func (s *State) basePCall(L *lua.LState) int {
	fn := L.CheckAny(1)
	if fn.Type() != lua.LTFunction && L.GetMetaField(fn, "__call").Type() != lua.LTFunction {
		L.Push(lua.LFalse)
		L.Push(lua.LString("attempt to call a " + fn.Type().String() + " value"))
		return 2
	}
	L.Insert(s.quiet, 1)
	raised, ok := s.protect(L, L.GetTop()-2)
	if !ok {
		L.SetTop(0)
		L.Push(lua.LFalse)
		L.Push(raised)
		return 2
	}
	L.Insert(lua.LTrue, 1)
	return L.GetTop()
}

// baseXPCall is xpcall. The handler runs after the stack was unwound: there is nothing
// in the sandbox by which it could tell.
func (s *State) baseXPCall(L *lua.LState) int {
	fn, handler := L.CheckFunction(1), L.CheckAny(2)
	args := make([]lua.LValue, 0, 4)
	for i := 3; i <= L.GetTop(); i++ {
		args = append(args, L.Get(i))
	}
	L.SetTop(0)
	L.Push(s.quiet)
	L.Push(fn)
	for _, a := range args {
		L.Push(a)
	}
	raised, ok := s.protect(L, len(args))
	if ok {
		L.Insert(lua.LTrue, 1)
		return L.GetTop()
	}
	L.SetTop(0)
	L.Push(s.quiet)
	L.Push(handler)
	L.Push(raised)
	if raised, ok = s.protect(L, 1); !ok {
		L.SetTop(0)
		L.Push(raised)
	}
	L.Insert(lua.LFalse, 1)
	return L.GetTop()
}
