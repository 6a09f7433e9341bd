package values

import "github.com/hearthhost/hearth/sandbox/lua"

// Functions returns the constructors of the values, for the global table hearth.
func (ts *Types) Functions() map[string]lua.Native {
	return map[string]lua.Native{
		"exception": ts.NewException,
		"typeof": func(L *lua.Thread) int {
			return L.PushString(ts.TypeName(L.CheckAny(1)))
		},
		"list":  ts.SequenceMarker(ts.List),
		"dict":  ts.Marker(ts.Dict),
		"kw":    ts.Marker(ts.Keywords),
		"tuple": ts.SequenceMarker(ts.Tuple),
		"set":   ts.SequenceMarker(ts.Set),
		"bytes": func(L *lua.Thread) int {
			if _, ok := Of(L.CheckAny(1)).(Bytes); ok {
				L.SetTop(1)
				return 1
			}
			return ts.PushBytes(L, L.CheckString(1))
		},
		"int": func(L *lua.Thread) int {
			L.CheckAny(1)
			return ts.PushInteger(L, CheckInteger(L, 1))
		},
		"float": func(L *lua.Thread) int {
			if _, ok := Of(L.CheckAny(1)).(Float); ok {
				L.SetTop(1)
				return 1
			}
			L.Push(L.NewUserData(Float(L.CheckNumber(1)), ts.Float, 8))
			return 1
		},
		"complex": func(L *lua.Thread) int {
			L.Push(L.NewUserData(complex(L.CheckNumber(1), L.OptNumber(2, 0)), ts.Complex, 16))
			return 1
		},
		"datetime": ts.NewDateTime,
		"date":     ts.NewDate,
	}
}

// Marker returns a function that copies a table and marks the copy.
func (ts *Types) Marker(mark *lua.Table) lua.Native {
	return func(L *lua.Thread) int {
		t := L.NewTable(0, 0)
		if L.Top() > 0 {
			from := L.CheckTable(1)
			if from.Meta != nil && ts.Mark(from) == "" {
				L.ArgError(1, "the table has a metatable")
			}
			L.Allocate(from.Size())
			t = from.Clone()
		}
		t.SetMeta(mark)
		L.Push(t.Value())
		return 1
	}
}

// SequenceMarker is like Marker for a single argument that is a sequence, or a table without mark and metatable.
// Otherwise the function makes a table of all its arguments.
func (ts *Types) SequenceMarker(mark *lua.Table) lua.Native {
	marked := ts.Marker(mark)
	return func(L *lua.Thread) int {
		if t := L.Get(1).AsTable(); t != nil && L.Top() == 1 && (t.Meta == nil || ts.IsSequence(t)) {
			return marked(L)
		}
		t := L.NewTable(L.Top(), 0)
		for i := 1; i <= L.Top(); i++ {
			v := L.Get(i)
			if v.IsNil() {
				v = ts.Null
			}
			t.SetInt(i, v)
		}
		t.SetMeta(mark)
		L.Push(t.Value())
		return 1
	}
}
