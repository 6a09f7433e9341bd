package sandbox

import (
	"math/bits"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// openTable makes the table library. Raw changes to read-only tables are refused.
func (s *State) openTable() {
	fns := stockFunctions("table.", "getn", "maxn")
	fns["concat"] = s.tableConcat
	fns["insert"] = s.tableInsert
	fns["remove"] = s.tableRemove
	fns["sort"] = func(L *lua.LState) int {
		n := writable(L).Len()
		if L.GetTop() > 1 {
			L.CheckFunction(2)
		}
		s.meter.charge(L, n*bits.Len(uint(n)))
		return stock["table.sort"](L)
	}
	s.base.RawSetString("table", s.frozenTable(s.library(fns)))
}

func (s *State) tableConcat(L *lua.LState) int {
	t, sep := L.CheckTable(1), L.OptString(2, "")
	i, j := L.OptInt(3, 1), L.OptInt(4, t.Len())
	if i > j {
		L.Push(lua.LString(""))
		return 1
	}
	if i < 1 || j > t.Len() {
		L.RaiseError("invalid value (nil) at index %d in table for concat", max(j, i))
	}
	size := len(sep) * (j - i)
	s.meter.charge(L, j-i)
	for k := i; k <= j; k++ {
		switch v := t.RawGetInt(k).(type) {
		case lua.LString:
			size += len(v)
		case lua.LNumber:
			size += 24
		default:
			L.RaiseError("invalid value (%s) at index %d in table for concat", s.typeName(v), k)
		}
		if size > maxText {
			break
		}
	}
	s.meter.chargeBytes(L, size)
	var b strings.Builder
	b.Grow(size)
	for k := i; k <= j; k++ {
		if k > i {
			b.WriteString(sep)
		}
		b.WriteString(t.RawGetInt(k).String())
	}
	L.Push(lua.LString(b.String()))
	return 1
}

func (s *State) tableInsert(L *lua.LState) int {
	t := writable(L)
	switch L.GetTop() {
	case 2:
		t.Append(L.Get(2))
	case 3:
		n, pos := t.Len(), L.CheckInt(2)
		if pos < 1 || pos > n+1 {
			L.ArgError(2, "position out of bounds")
		}
		s.meter.charge(L, (n-pos)>>3)
		if pos == n+1 {
			t.RawSetInt(pos, L.Get(3))
		} else {
			t.Insert(pos, L.Get(3))
		}
	default:
		L.RaiseError("wrong number of arguments to insert")
	}
	return 0
}

func (s *State) tableRemove(L *lua.LState) int {
	t := writable(L)
	n := t.Len()
	pos := L.OptInt(2, n)
	if n == 0 || pos < 1 || pos > n {
		return 0
	}
	s.meter.charge(L, (n-pos)>>3)
	v := t.RawGetInt(pos)
	if pos == n {
		t.RawSetInt(n, lua.LNil)
	} else {
		t.Remove(pos)
	}
	L.Push(v)
	return 1
}
