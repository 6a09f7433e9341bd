package sandbox

import (
	"runtime"
	"slices"
	"sync/atomic"

	lua "github.com/yuin/gopher-lua"
)

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
