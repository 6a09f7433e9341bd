package sandbox

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// openTable makes the table library. Raw changes to read-only tables are refused.
func (s *State) openTable() {
	fns := stockFunctions("table.", "getn", "maxn")
	fns["concat"] = s.tableConcat
	fns["insert"] = s.tableInsert
	fns["remove"] = s.tableRemove
	fns["sort"] = func(L *lua.LState) int {
		n := writable(L, 1).Len()
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
	t := writable(L, 1)
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
	t := writable(L, 1)
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

// openOS makes what is left of the os library: the time.
func (s *State) openOS() {
	fns := stockFunctions("os.", "clock", "difftime", "time")
	fns["date"] = s.osDate
	s.base.RawSetString("os", s.frozenTable(s.library(fns)))
}

// osDate is os.date. There is no locale and no zone but the machine's and UTC.
func (s *State) osDate(L *lua.LState) int {
	format := L.OptString(1, "%c")
	t := time.Now()
	if L.GetTop() >= 2 {
		n := float64(L.CheckNumber(2))
		if !(math.Abs(n) < 1<<40) {
			L.ArgError(2, "time out of range")
		}
		t = time.Unix(int64(n), 0)
	}
	if rest, ok := strings.CutPrefix(format, "!"); ok {
		format, t = rest, t.UTC()
	}
	if strings.HasPrefix(format, "*t") {
		out := L.CreateTable(0, 9)
		for name, v := range map[string]int{"year": t.Year(), "month": int(t.Month()), "day": t.Day(), "hour": t.Hour(),
			"min": t.Minute(), "sec": t.Second(), "wday": int(t.Weekday()) + 1, "yday": t.YearDay()} {
			out.RawSetString(name, number(int64(v)))
		}
		out.RawSetString("isdst", lua.LBool(t.IsDST()))
		L.Push(out)
		return 1
	}
	s.meter.chargeBytes(L, len(format)*16)
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		if layout, ok := dateLayouts[format[i]]; ok {
			b.WriteString(t.Format(layout))
			continue
		}
		switch format[i] {
		case '%':
			b.WriteByte('%')
		case 'j':
			fmt.Fprintf(&b, "%03d", t.YearDay())
		case 'w':
			fmt.Fprintf(&b, "%d", int(t.Weekday()))
		default:
			L.ArgError(1, "unknown conversion %"+string(rune(format[i])))
		}
	}
	L.Push(lua.LString(b.String()))
	return 1
}

var dateLayouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006", 'd': "02", 'D': "01/02/06",
	'F': "2006-01-02", 'H': "15", 'I': "03", 'm': "01", 'M': "04", 'p': "PM", 'S': "05", 'T': "15:04:05",
	'x': "01/02/06", 'X': "15:04:05", 'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST",
}

// openCoroutine makes the coroutine library. Coroutines share their state's meter; they
// are bounded in number and in how deep they resume each other.
func (s *State) openCoroutine() {
	fns := stockFunctions("coroutine.", "running", "status")
	fns["create"] = func(L *lua.LState) int {
		s.newCoroutine(L)
		return 1
	}
	fns["resume"] = s.coResume
	fns["wrap"] = s.coWrap
	fns["yield"] = func(L *lua.LState) int {
		if s.resumed == 0 {
			L.RaiseError("attempt to yield from outside a coroutine")
		}
		if s.protected > 0 {
			L.RaiseError("attempt to yield across a pcall")
		}
		return stock["coroutine.yield"](L)
	}
	s.base.RawSetString("coroutine", s.frozenTable(s.library(fns)))
}

// newCoroutine makes a coroutine of the function that is the first argument, and leaves
// it on top of the stack.
func (s *State) newCoroutine(L *lua.LState) *lua.LState {
	L.CheckFunction(1)
	if s.coroutines.Load() >= int64(s.p.limits.Coroutines) {
		// Some may only wait to be collected. Their cleanups run soon after the collector,
		// not at once, so the next attempt may fare better than this one even so.
		s.meter.charge(L, 100_000)
		runtime.GC()
		for i := 0; i < 100 && s.coroutines.Load() >= int64(s.p.limits.Coroutines); i++ {
			runtime.Gosched()
		}
		if s.coroutines.Load() >= int64(s.p.limits.Coroutines) {
			L.RaiseError("too many coroutines (at most %d)", s.p.limits.Coroutines)
		}
	}
	s.meter.charge(L, 200)
	s.coroutines.Add(1)
	// Without a context meanwhile: the VM would derive one, which allocates and would
	// not be our meter.
	L.RemoveContext()
	stock["coroutine.create"](L)
	L.SetContext(&s.meter)
	th := L.CheckThread(L.GetTop())
	th.SetContext(&s.meter)
	// The counter alone, not s: what a cleanup holds lives as long as the coroutine, which
	// the state may hold in turn.
	runtime.AddCleanup(th, func(live *atomic.Int64) { live.Add(-1) }, s.coroutines)
	return th
}

// resume runs a coroutine, which is the first argument, until it yields or ends.
func (s *State) resume(L *lua.LState) int {
	if s.resumed >= maxResume {
		L.RaiseError("stack overflow: more than %d coroutines inside each other", maxResume)
	}
	th := L.CheckThread(1)
	if slices.Contains(s.running, th) { // the VM knows of the innermost only
		L.Push(lua.LFalse)
		L.Push(lua.LString("can not resume a running thread"))
		return 2
	}
	blank(th)
	protected := s.protected
	s.resumed++
	s.protected = 0
	s.running = append(s.running, th)
	// The VM lets the error of a wrapped coroutine through as a panic.
	defer func() {
		s.resumed--
		s.protected = protected
		if n := len(s.running); n > 0 {
			s.running = s.running[:n-1]
		}
	}()
	return stock["coroutine.resume"](L)
}

// blank makes nil of the results for which a coroutine waits in its yield: if fewer values
// come, the VM leaves in their registers what is no value of Lua's, and fails at the next use.
func blank(th *lua.LState) {
	dbg, begun := th.GetStack(0)
	if !begun || th.Dead {
		return
	}
	v, err := th.GetInfo("f", dbg, lua.LNil)
	fn, ok := v.(*lua.LFunction)
	if err != nil || !ok || fn.IsG {
		return
	}
	n := max(int(fn.Proto.NumUsedRegisters)-th.GetTop(), 0)
	for range n {
		th.Push(lua.LNil)
	}
	th.Pop(n) // they stay behind the top
}

func (s *State) coResume(L *lua.LState) int {
	L.CheckThread(1)
	return s.resume(L)
}

// coWrap is coroutine.wrap: the function it makes resumes the coroutine and raises what
// the coroutine raises.
func (s *State) coWrap(L *lua.LState) int {
	th := s.newCoroutine(L)
	L.Push(L.NewFunction(func(L *lua.LState) int {
		L.Insert(th, 1)
		n := s.resume(L)
		if ok := L.Get(-n); ok == lua.LFalse {
			L.Error(L.Get(-n+1), 0)
		}
		return n - 1
	}))
	return 1
}
