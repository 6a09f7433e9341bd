package stdlib

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/sandbox/lua"
)

// sorted returns the keys of a map in order. Tables are filled in this order, which scripts can observe.
func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func (t *Template) openBase() {
	next := lua.NewNative(baseNext)
	t.next = next
	t.globals.SetString("next", next.Value())
	inext := lua.NewNative(func(L *lua.Thread) int {
		i := L.CheckInt32(2) + 1
		v := L.CheckTable(1).GetInt(i)
		if v.IsNil() {
			return 0
		}
		L.Push(lua.Int(i))
		L.Push(v)
		return 2
	}).Value()
	t.Add("", map[string]lua.Native{
		"assert": baseAssert, "error": baseError, "getmetatable": baseGetMetatable, "setmetatable": baseSetMetatable,
		"rawequal": func(L *lua.Thread) int {
			a, b := L.CheckAny(1), L.CheckAny(2)
			if s, ok := a.AsString(); ok {
				L.ChargeBytes(len(s))
			}
			L.Push(lua.Bool(a.Equals(b)))
			return 1
		},
		"rawget": func(L *lua.Thread) int {
			L.Push(rawGet(L, L.CheckTable(1), L.CheckAny(2)))
			return 1
		},
		"rawset": func(L *lua.Thread) int {
			t := L.CheckTable(1)
			k := L.CheckAny(2)
			v := L.CheckAny(3)
			chargeKey(L, k)
			L.RawSet(t, k, v)
			L.SetTop(1)
			return 1
		},
		"pcall": basePCall, "xpcall": baseXPCall,
		"print": func(L *lua.Thread) int {
			of(L).print(L, "\t")
			return 0
		},
		"select": baseSelect, "tonumber": ToNumber, "tostring": baseToString,
		"type": func(L *lua.Thread) int {
			L.Push(kindNames[L.CheckAny(1).Kind()])
			return 1
		},
		"unpack": baseUnpack, "newproxy": newProxy,
		"pairs": func(L *lua.Thread) int {
			t := L.CheckTable(1)
			L.Push(next.Value())
			L.Push(t.Value())
			L.Push(lua.Nil)
			return 3
		},
		"ipairs": func(L *lua.Thread) int {
			t := L.CheckTable(1)
			L.Push(inext)
			L.Push(t.Value())
			L.Push(lua.Int(0))
			return 3
		},
		"collectgarbage": collectGarbage,
		"gcinfo": func(L *lua.Thread) int {
			L.Push(lua.Int(int(L.VM().Allocated >> 10)))
			return 1
		},
	})
}

// kindNames are the names of the types, allocated once.
var kindNames = func() (names [8]lua.Value) {
	for k := range names {
		names[k] = lua.SharedString(lua.Kind(k).String())
	}
	return names
}()

func chargeKey(L *lua.Thread, k lua.Value) {
	if s, ok := k.AsString(); ok {
		L.ChargeBytes(len(s))
	}
}

func rawGet(L *lua.Thread, t *lua.Table, k lua.Value) lua.Value {
	chargeKey(L, k)
	return t.Get(k)
}

func baseNext(L *lua.Thread) int {
	k, v := L.Next(L.CheckTable(1), L.Get(2))
	L.Push(k)
	if k.IsNil() {
		return 1
	}
	L.Push(v)
	return 2
}

// baseAssert raises the message with the position of its caller, as 5.1.5 does. It does not change an exception of the
// host.
func baseAssert(L *lua.Thread) int {
	if L.CheckAny(1).Truth() {
		return L.Top()
	}
	v := L.Get(2)
	if exception := of(L).cfg.Exception; exception != nil && exception(v) {
		L.Raise(v)
	}
	msg, _, _ := strings.Cut(L.OptString(2, "assertion failed!"), "\x00") // as in PUC
	L.Allocate(2 * len(msg))                                              // the message is made in two steps
	L.RaiseError("%s", msg)
	return 0
}

func baseError(L *lua.Thread) int {
	level := L.OptInt32(2, 1)
	v := L.Get(1)
	if s, ok := v.ToString(); ok && level > 0 {
		where := L.Where(level)
		L.Allocate(len(where) + len(s))
		v = lua.String(where + s)
	}
	L.Raise(v)
	return 0
}

func baseGetMetatable(L *lua.Thread) int {
	v := L.CheckAny(1)
	mt := L.Metatable(v)
	if mt == nil {
		L.Push(lua.Nil)
		return 1
	}
	if shown := mt.GetString("__metatable"); !shown.IsNil() {
		L.Push(shown)
		return 1
	}
	L.Push(mt.Value())
	return 1
}

func baseSetMetatable(L *lua.Thread) int {
	t := L.CheckTable(1)
	mt := L.Get(2)
	if L.Top() < 2 || !mt.IsNil() && mt.AsTable() == nil {
		L.ArgError(2, "nil or table expected")
	}
	if t.Meta != nil && !t.Meta.GetString("__metatable").IsNil() {
		L.RaiseError("cannot change a protected metatable")
	}
	t.SetMeta(mt.AsTable())
	L.SetTop(1)
	return 1
}

func basePCall(L *lua.Thread) int {
	L.CheckAny(1)
	if err := L.Try(L.Top()-1, -1, lua.Nil); err != nil {
		L.Push(lua.False)
		L.Push(err.Value)
		return 2
	}
	L.Insert(lua.True, 1)
	return L.Top()
}

// baseXPCall calls its handler before the stack is unwound, so that the handler can make a traceback.
func baseXPCall(L *lua.Thread) int {
	handler := L.CheckAny(2)
	if handler.IsNil() {
		handler = lua.False // a handler that cannot be called
	}
	L.SetTop(2) // the handler remains on the stack, as memory in use
	L.Push(L.Get(1))
	if err := L.Try(0, -1, handler); err != nil {
		L.Push(lua.False)
		L.Push(err.Value)
		return 2
	}
	L.Insert(lua.True, 3)
	return L.Top() - 2
}

func baseSelect(L *lua.Thread) int {
	n := L.Top()
	if s, ok := L.Get(1).AsString(); ok && strings.HasPrefix(s, "#") {
		L.Push(lua.Int(n - 1))
		return 1
	}
	i := L.CheckInt32(1)
	if i < 0 {
		i += n
	} else if i > n {
		i = n
	}
	if i < 1 {
		L.ArgError(1, "index out of range")
	}
	L.Charge((n - i) >> 3)
	return n - i
}

// ToNumber implements tonumber.
func ToNumber(L *lua.Thread) int {
	base := L.OptInt32(2, 10)
	if base == 10 {
		v := L.CheckAny(1)
		if f, ok := L.ToNumber(v); ok {
			L.Push(lua.Number(f))
			return 1
		}
		L.Push(lua.Nil)
		return 1
	}
	t := L.CheckString(1)
	if base < 2 || base > 36 {
		L.ArgError(2, "base out of range")
	}
	L.Charge(len(t) >> 2)
	if f, ok := parseBase(t, uint64(base)); ok {
		L.Push(lua.Number(f))
	} else {
		L.Push(lua.Nil)
	}
	return 1
}

const whiteSpace = " \t\n\v\f\r"

// parseBase reads an integer as C's strtoul does: a negative one wraps around, and one out of range is the largest.
func parseBase(t string, base uint64) (float64, bool) {
	t, _, _ = strings.Cut(t, "\x00") // C strings end at NUL
	t = strings.Trim(t, whiteSpace)
	negative := false
	if t != "" && (t[0] == '-' || t[0] == '+') {
		negative = t[0] == '-'
		t = t[1:]
	}
	if base == 16 && len(t) > 2 && t[0] == '0' && t[1]|0x20 == 'x' {
		t = t[2:]
	}
	if t == "" {
		return 0, false
	}
	var n uint64
	overflow := false
	for i := range len(t) {
		d := uint64(digitValue(t[i]))
		if d >= base {
			return 0, false
		}
		next := n*base + d
		overflow = overflow || n > (1<<64-1)/base || next < n*base
		n = next
	}
	switch {
	case overflow:
		n = 1<<64 - 1
	case negative:
		n = -n
	}
	return float64(n), true
}

func digitValue(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'z':
		return int(c|0x20-'a') + 10
	}
	return 99
}

func baseToString(L *lua.Thread) int {
	v := L.CheckAny(1)
	if h := L.Metamethod(v, "__tostring"); !h.IsNil() { // strings have a metatable, too
		L.Push(L.Call(h, v))
		return 1
	}
	if v.Kind() == lua.StringKind {
		L.Push(v)
		return 1
	}
	L.Charge(describeSteps)
	return L.PushString(lua.Describe(v))
}

// describeSteps are the steps of formatting a value without a metamethod.
const describeSteps = 40

// maxResults is the limit of results of one function, as in PUC.
const maxResults = 8000

func baseUnpack(L *lua.Thread) int {
	t := L.CheckTable(1)
	i := L.OptInt32(2, 1)
	j := 0
	if L.Get(3).IsNil() {
		j = L.Len(t)
	} else {
		j = L.CheckInt32(3)
	}
	if i > j {
		return 0
	}
	n := j - i + 1
	if n+L.Top() > maxResults {
		L.RaiseError("too many results to unpack")
	}
	L.Charge(n >> 1)
	L.Reserve(n)
	for k := i; k <= j; k++ {
		L.Push(t.GetInt(k))
	}
	return n
}

// newProxy makes a userdata without a value, with a new metatable or that of another proxy.
func newProxy(L *lua.Thread) int {
	var mt *lua.Table
	switch v := L.Get(1); {
	case v.AsUserData() != nil:
		mt = v.AsUserData().Meta
		if _, ours := v.AsUserData().Value.(proxy); !ours || mt == nil {
			L.ArgError(1, "boolean or proxy expected")
		}
	case v.Kind() == lua.BoolKind && v.Truth():
		mt = L.NewTable(0, 0)
	case v.Truth():
		L.ArgError(1, "boolean or proxy expected")
	}
	L.Push(L.NewUserData(proxy{}, mt, 0))
	return 1
}

// proxy is the Go value of a userdata that newproxy makes.
type proxy struct{}

func collectGarbage(L *lua.Thread) int {
	switch what := L.OptString(1, "collect"); what {
	case "count":
		L.Push(lua.Number(float64(L.VM().Allocated) / 1024))
	case "collect", "stop", "restart", "step", "setpause", "setstepmul":
		L.Push(lua.Int(0))
	default:
		L.ArgError(1, "invalid option '%s'", clip(what))
	}
	return 1
}

// clip shortens a text of the script for a message.
func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "..."
	}
	return s
}

// print joins the arguments to one line and passes it to the host.
func (l *Library) print(L *lua.Thread, separator string) {
	b := L.NewBuilder(0)
	for i := 1; i <= L.Top(); i++ {
		if i > 1 {
			b.Add(separator)
		}
		b.Add(L.ToString(L.Get(i)))
	}
	if l.cfg.Print != nil {
		l.cfg.Print(L, string(b.B))
	}
}
