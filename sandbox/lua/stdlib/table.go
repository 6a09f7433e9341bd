package stdlib

import (
	"math"

	"github.com/hearthhost/hearth/sandbox/lua"
)

func (t *Template) openTable() {
	t.Add("table", map[string]lua.Native{
		"concat": tableConcat, "insert": tableInsert, "remove": tableRemove, "sort": tableSort,
		"foreach": tableForeach, "foreachi": tableForeachI,
		"getn": func(L *lua.Thread) int {
			L.Push(lua.Int(L.Len(L.CheckTable(1))))
			return 1
		},
		"maxn": func(L *lua.Thread) int {
			t := L.CheckTable(1)
			L.Charge(t.Room() >> 1)
			most := 0.0
			for k := range t.All() {
				if n, ok := k.AsNumber(); ok {
					most = math.Max(most, n)
				}
			}
			L.Push(lua.Number(most))
			return 1
		},
		"setn": func(L *lua.Thread) int {
			L.CheckTable(1)
			L.RaiseError("'setn' is obsolete")
			return 0
		},
	})
}

func tableConcat(L *lua.Thread) int {
	sep := L.OptString(2, "")
	t := L.CheckTable(1)
	i, j := 1, 0
	if !L.Get(3).IsNil() {
		i = L.CheckInt32(3)
	}
	if L.Get(4).IsNil() {
		j = L.Len(t)
	} else {
		j = L.CheckInt32(4)
	}
	if i > j {
		return L.PushString("")
	}
	// The first pass checks the elements and the size, so that an error allocates nothing.
	size := 0
	for k := i; k <= j; k++ {
		L.Charge(1)
		v := t.GetInt(k)
		switch v.Kind() {
		case lua.StringKind:
			s, _ := v.AsString()
			size += len(s)
		case lua.NumberKind:
			f, _ := v.AsNumber()
			L.Charge(lua.NumberSteps(f))
			size += 8 // an estimate: Room below extends the builder
		default:
			L.RaiseError("invalid value (%s) at index %d in table for 'concat'", v.Kind(), k)
		}
		if k < j {
			size += len(sep)
		}
		checkSize(L, size)
	}
	b := L.NewBuilder(size)
	for k := i; k <= j; k++ {
		if v := t.GetInt(k); v.IsNumber() {
			f, _ := v.AsNumber()
			b.Room(32)
			b.B = lua.AppendNumber(b.B, f)
		} else {
			s, _ := v.AsString()
			b.Room(len(s))
			b.B = append(b.B, s...)
		}
		if k < j {
			b.Room(len(sep))
			b.B = append(b.B, sep...)
		}
	}
	return b.Push()
}

func checkSize(L *lua.Thread, n int) {
	if n > lua.MaxString {
		L.RaiseError("resulting string too large")
	}
}

func tableInsert(L *lua.Thread) int {
	t := L.CheckTable(1)
	e := L.Len(t) + 1
	switch L.Top() {
	case 2:
		L.RawSetInt(t, e, L.Get(2))
	case 3:
		pos := L.CheckInt32(2)
		e = max(e, pos)
		if n := e - pos; n > 0 {
			L.Charge(n >> 2)
		}
		if !t.Shift(pos, e) {
			for i := e; i > pos; i-- {
				L.Charge(1)
				L.RawSetInt(t, i, t.GetInt(i-1))
			}
		}
		L.RawSetInt(t, pos, L.Get(3))
	default:
		L.RaiseError("wrong number of arguments to 'insert'")
	}
	return 0
}

func tableRemove(L *lua.Thread) int {
	t := L.CheckTable(1)
	e := L.Len(t)
	pos := e
	if !L.Get(2).IsNil() {
		pos = L.CheckInt32(2)
	}
	if pos < 1 || pos > e {
		return 0
	}
	L.Charge((e - pos) >> 2)
	v := t.GetInt(pos)
	if !t.Unshift(pos, e) {
		for i := pos; i < e; i++ {
			L.Charge(1)
			L.RawSetInt(t, i, t.GetInt(i+1))
		}
	}
	L.RawSetInt(t, e, lua.Nil)
	L.Push(v)
	return 1
}

func tableForeach(L *lua.Thread) int {
	t, f := L.CheckTable(1), L.CheckFunction(2)
	for k, v := L.Next(t, lua.Nil); !k.IsNil(); k, v = L.Next(t, k) {
		if r := L.Call(f.Value(), k, v); !r.IsNil() {
			L.Push(r)
			return 1
		}
	}
	return 0
}

func tableForeachI(L *lua.Thread) int {
	t := L.CheckTable(1)
	n := L.Len(t)
	f := L.CheckFunction(2)
	for i := 1; i <= n; i++ {
		if r := L.Call(f.Value(), lua.Int(i), t.GetInt(i)); !r.IsNil() {
			L.Push(r)
			return 1
		}
	}
	return 0
}

// tableSort is a quicksort that makes the same comparisons as PUC's. A script can observe them, and the order of equal
// elements depends on them. It can take quadratic time; each comparison is charged.
func tableSort(L *lua.Thread) int {
	t := L.CheckTable(1)
	n := L.Len(t)
	s := sorter{L: L, t: t}
	if !L.Get(2).IsNil() {
		s.less = L.CheckFunction(2).Value()
	}
	L.SetTop(2)
	s.sort(1, n)
	return 0
}

type sorter struct {
	L    *lua.Thread
	t    *lua.Table
	less lua.Value // nil: the operator
}

func (s *sorter) before(a, b lua.Value) bool {
	s.L.Charge(2)
	if s.less.IsNil() {
		return s.L.Less(a, b)
	}
	return s.L.Call(s.less, a, b).Truth()
}

func (s *sorter) set(i int, v lua.Value) { s.L.RawSetInt(s.t, i, v) }

// order swaps the elements i < j if they are in the wrong order.
func (s *sorter) order(i, j int) (swapped bool) {
	a, b := s.t.GetInt(i), s.t.GetInt(j)
	if !s.before(b, a) {
		return false
	}
	s.set(i, b)
	s.set(j, a)
	return true
}

func (s *sorter) sort(lo, hi int) {
	for lo < hi {
		s.order(lo, hi)
		if hi-lo == 1 {
			return
		}
		mid := (lo + hi) / 2
		if !s.order(lo, mid) {
			s.order(mid, hi)
		}
		if hi-lo == 2 {
			return
		}
		i := s.partition(lo, mid, hi)
		// Recurse into the smaller part, and loop over the larger one.
		if i-lo < hi-i {
			s.sort(lo, i-1)
			lo = i + 1
		} else {
			s.sort(i+1, hi)
			hi = i - 1
		}
	}
}

// partition moves elements less than the middle element to its left, and returns the new position of that element.
func (s *sorter) partition(lo, mid, hi int) int {
	pivot := s.t.GetInt(mid)
	s.set(mid, s.t.GetInt(hi-1))
	s.set(hi-1, pivot)
	i, j := lo, hi-1
	for {
		for i++; s.before(s.t.GetInt(i), pivot); i++ {
			if i > hi {
				s.L.RaiseError("invalid order function for sorting")
			}
		}
		for j--; s.before(pivot, s.t.GetInt(j)); j-- {
			if j < lo {
				s.L.RaiseError("invalid order function for sorting")
			}
		}
		if j < i {
			break
		}
		a, b := s.t.GetInt(i), s.t.GetInt(j)
		s.set(i, b)
		s.set(j, a)
	}
	a, b := s.t.GetInt(hi-1), s.t.GetInt(i)
	s.set(hi-1, b)
	s.set(i, a)
	return i
}
