package sandbox

import (
	"math/rand/v2"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// Bounds on what one built-in may make or look at.
const (
	maxStringBytes   = 8 << 20
	maxPatternBytes  = 64 << 10 // of a subject whose pattern backtracks
	maxCoroutines    = 1000
	maxFormatWidth   = 99
	maxConcatStrings = 1 << 20
)

// keptBase, keptString, … are the names that scripts reach; everything else that the
// libraries define is removed.
var kept = map[string][]string{
	"": {"assert", "error", "ipairs", "next", "pairs", "pcall", "select", "tonumber", "tostring", "type",
		"unpack", "rawequal", "rawget", "rawset", "setmetatable", "xpcall"},
	"string":    {"byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match", "rep", "reverse", "sub", "upper"},
	"table":     {"concat", "insert", "maxn", "remove", "sort"},
	"math":      {"abs", "acos", "asin", "atan", "atan2", "ceil", "cos", "cosh", "deg", "exp", "floor", "fmod", "frexp", "huge", "ldexp", "log", "log10", "max", "min", "mod", "modf", "pi", "pow", "rad", "sin", "sinh", "sqrt", "tan", "tanh"},
	"coroutine": {"create", "resume", "running", "status", "wrap", "yield"},
}

// openLibs makes the script's world: empty globals plus the allow-list.
func (s *State) openLibs() {
	l := s.l
	g := l.CreateTable(0, 0)
	for _, lib := range []struct {
		name string
		open lua.LGFunction
	}{{"", lua.OpenBase}, {"string", lua.OpenString}, {"table", lua.OpenTable}, {"math", lua.OpenMath}, {"coroutine", lua.OpenCoroutine}} {
		l.Push(l.NewFunction(lib.open))
		l.Push(lua.LString(lib.name))
		l.Call(1, 0)
		src, dst := l.G.Global, g
		if lib.name != "" {
			src = l.G.Global.RawGetString(lib.name).(*lua.LTable)
			dst = l.CreateTable(0, 0)
		}
		for _, name := range kept[lib.name] {
			dst.RawSetString(name, src.RawGetString(name))
		}
		if lib.name != "" {
			s.libs[lib.name] = dst
		}
	}
	s.guardBase(g)
	s.guardString(s.libs["string"])
	s.guardTable(s.libs["table"])
	s.guardMath(s.libs["math"])
	s.guardCoroutine(s.libs["coroutine"])
	s.libs["os"] = s.clocks()
	for name, t := range s.libs {
		g.RawSetString(name, s.readOnly(t))
	}
	// Methods of strings are those of the guarded library, behind a metatable that
	// scripts can neither see nor change.
	mt := l.CreateTable(0, 0)
	mt.RawSetString("__index", s.libs["string"])
	mt.RawSetString("__metatable", lua.LString("protected"))
	l.SetMetatable(lua.LString(""), mt)
	s.base = s.readOnly(g)
	g.RawSetString("hearth", s.openHearth())
	g.RawSetString("require", l.NewFunction(s.luaRequire))
}

// readOnly returns a proxy of t that can be read and not written.
func (s *State) readOnly(t *lua.LTable) *lua.LTable {
	p, mt := s.l.CreateTable(0, 0), s.l.CreateTable(0, 0)
	mt.RawSetString("__index", t)
	mt.RawSetString("__metatable", lua.LString("protected"))
	mt.RawSetString("__newindex", s.l.NewFunction(func(l *lua.LState) int {
		l.RaiseError("this table is read-only")
		return 0
	}))
	p.Metatable = mt
	return p
}

// guardBase bounds unpack, hides metatables of shared values, and sends print to the log.
func (s *State) guardBase(g *lua.LTable) {
	l := s.l
	g.RawSetString("print", l.NewFunction(func(l *lua.LState) int { return s.log(l, "info") }))
	unpack := g.RawGetString("unpack").(*lua.LFunction).GFunction
	g.RawSetString("unpack", l.NewFunction(func(l *lua.LState) int {
		t := l.CheckTable(1)
		if l.OptInt(3, t.Len())-l.OptInt(2, 1) > 7000 {
			l.RaiseError("too many results to unpack")
		}
		return unpack(l)
	}))
	g.RawSetString("getmetatable", l.NewFunction(func(l *lua.LState) int {
		if l.Get(1).Type() != lua.LTTable {
			l.Push(lua.LNil)
			return 1
		}
		l.Push(l.GetMetatable(l.Get(1)))
		if mt, ok := l.Get(-1).(*lua.LTable); ok {
			if p := mt.RawGetString("__metatable"); p != lua.LNil {
				l.Push(p)
			}
		}
		return 1
	}))
	// rawset passes by __newindex, so it has to ask for itself whether a table is read-only.
	g.RawSetString("rawset", l.NewFunction(func(l *lua.LState) int {
		t := l.CheckTable(1)
		if t.Metatable != lua.LNil {
			if mt, ok := t.Metatable.(*lua.LTable); ok && mt.RawGetString("__metatable") == lua.LString("protected") && mt.RawGetString("__newindex") != lua.LNil {
				l.RaiseError("this table is read-only")
			}
		}
		s.checkIndex(l, t, l.Get(2))
		t.RawSet(l.CheckAny(2), l.CheckAny(3))
		l.Push(t)
		return 1
	}))
}

// checkIndex refuses an array index that would make the table's array part huge.
func (s *State) checkIndex(l *lua.LState, t *lua.LTable, k lua.LValue) {
	if n, ok := k.(lua.LNumber); ok && float64(n) > float64(t.Len()+1<<20) {
		l.RaiseError("index %v is far beyond the end of the table", n)
	}
	if k == lua.LNil {
		l.ArgError(2, "a key must not be nil")
	}
}

func (s *State) guardString(t *lua.LTable) {
	l := s.l
	guard := func(name string, check func(l *lua.LState)) {
		orig := t.RawGetString(name).(*lua.LFunction)
		var up []lua.LValue
		for _, u := range orig.Upvalues {
			up = append(up, u.Value())
		}
		t.RawSetString(name, l.NewClosure(func(l *lua.LState) int {
			check(l)
			return orig.GFunction(l)
		}, up...))
	}
	guard("rep", func(l *lua.LState) {
		if n := l.CheckNumber(2); float64(len(l.CheckString(1)))*float64(n) > maxStringBytes {
			l.RaiseError("string longer than %d bytes", maxStringBytes)
		}
	})
	guard("format", func(l *lua.LState) {
		digits := 0
		for _, c := range l.CheckString(1) {
			if '0' <= c && c <= '9' {
				if digits++; digits > 2 {
					l.RaiseError("invalid format: width or precision above %d", maxFormatWidth)
				}
			} else {
				digits = 0
			}
		}
	})
	for _, name := range []string{"find", "match", "gmatch", "gsub"} {
		guard(name, checkPattern)
	}
}

// checkPattern refuses what could keep the backtracking matcher busy for seconds: it runs
// between two instructions and cannot be stopped. The work is about the subject's length
// to the power of one and the number of repetitions in the pattern.
func checkPattern(l *lua.LState) {
	subject, pattern := l.CheckString(1), l.CheckString(2)
	if b, ok := l.Get(4).(lua.LBool); ok && bool(b) {
		return // a plain search
	}
	repeats := strings.Count(pattern, "*") + strings.Count(pattern, "+") + strings.Count(pattern, "-") +
		strings.Count(pattern, "?") + strings.Count(pattern, "%b")
	work := float64(len(subject) + 1)
	for range repeats {
		if work *= float64(len(subject)+1) / 4; work > 1e9 {
			l.RaiseError("pattern too costly: %d repetitions over %d bytes", repeats, len(subject))
		}
	}
}

func (s *State) guardTable(t *lua.LTable) {
	l := s.l
	concat := t.RawGetString("concat").(*lua.LFunction).GFunction
	t.RawSetString("concat", l.NewFunction(func(l *lua.LState) int {
		tab, sep := l.CheckTable(1), l.OptString(2, "")
		i, j := l.OptInt(3, 1), l.OptInt(4, tab.Len())
		if j-i > maxConcatStrings || (j-i)*len(sep) > maxStringBytes {
			l.RaiseError("string longer than %d bytes", maxStringBytes)
		}
		total := 0
		for k := i; k <= j; k++ {
			if str, ok := tab.RawGetInt(k).(lua.LString); ok {
				if total += len(str); total > maxStringBytes {
					l.RaiseError("string longer than %d bytes", maxStringBytes)
				}
			}
		}
		return concat(l)
	}))
	insert := t.RawGetString("insert").(*lua.LFunction).GFunction
	t.RawSetString("insert", l.NewFunction(func(l *lua.LState) int {
		if l.GetTop() > 2 {
			s.checkIndex(l, l.CheckTable(1), l.CheckNumber(2))
		}
		return insert(l)
	}))
}

// guardMath gives each state a generator of its own: the library's is the process's.
func (s *State) guardMath(t *lua.LTable) {
	l := s.l
	rnd := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) //nolint:gosec // for scripts, not for secrets
	t.RawSetString("random", l.NewFunction(func(l *lua.LState) int {
		switch l.GetTop() {
		case 0:
			l.Push(lua.LNumber(rnd.Float64()))
		default:
			lo, hi := int64(1), l.CheckInt64(1)
			if l.GetTop() > 1 {
				lo, hi = hi, l.CheckInt64(2)
			}
			if lo > hi || hi-lo < 0 {
				l.ArgError(l.GetTop(), "interval is empty")
			}
			l.Push(lua.LNumber(lo + rnd.Int64N(max(hi-lo+1, 1))))
		}
		return 1
	}))
	t.RawSetString("randomseed", l.NewFunction(func(l *lua.LState) int {
		seed := uint64(l.CheckInt64(1))
		rnd = rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // as above
		return 0
	}))
}

// guardCoroutine bounds how many coroutines a call may make.
func (s *State) guardCoroutine(t *lua.LTable) {
	for _, name := range []string{"create", "wrap"} {
		f := t.RawGetString(name).(*lua.LFunction).GFunction
		t.RawSetString(name, s.l.NewFunction(func(l *lua.LState) int {
			if s.coroutines++; s.coroutines > maxCoroutines {
				l.RaiseError("limit exceeded: %d coroutines", maxCoroutines)
			}
			n := f(l)
			// The library derives a context that would not count instructions.
			switch v := l.Get(-1).(type) {
			case *lua.LState:
				v.SetContext(&s.meter)
			case *lua.LFunction:
				v.Upvalues[0].Value().(*lua.LState).SetContext(&s.meter)
			}
			return n
		}))
	}
}

// clocks is what is left of os: the time, and nothing that touches the machine.
func (s *State) clocks() *lua.LTable {
	l := s.l
	t := l.CreateTable(0, 0)
	start := time.Now()
	t.RawSetString("time", l.NewFunction(func(l *lua.LState) int {
		l.Push(lua.LNumber(time.Now().Unix()))
		return 1
	}))
	t.RawSetString("clock", l.NewFunction(func(l *lua.LState) int {
		l.Push(lua.LNumber(time.Since(start).Seconds()))
		return 1
	}))
	t.RawSetString("difftime", l.NewFunction(func(l *lua.LState) int {
		l.Push(l.CheckNumber(1) - l.OptNumber(2, 0))
		return 1
	}))
	t.RawSetString("date", l.NewFunction(func(l *lua.LState) int {
		at := time.Now()
		if n, ok := l.Get(2).(lua.LNumber); ok {
			at = time.Unix(int64(n), 0)
		}
		l.Push(lua.LString(at.UTC().Format("2006-01-02T15:04:05Z")))
		return 1
	}))
	return t
}
