package stdlib

import (
	"runtime"
	"sync/atomic"

	"github.com/hearthhost/hearth/sandbox/lua"
)

// counter counts the coroutines that have not been collected.
type counter struct{ live atomic.Int64 }

func (t *Template) openCoroutine() {
	t.Add("coroutine", map[string]lua.Native{
		"create": func(L *lua.Thread) int {
			L.Push(of(L).newThread(L).Value())
			return 1
		},
		"resume": func(L *lua.Thread) int {
			co := L.CheckThread(1)
			n, err := L.Resume(co, L.Top()-1)
			if err != nil {
				L.Push(lua.False)
				L.Push(err.Value)
				return 2
			}
			L.Insert(lua.True, L.Top()-n+1)
			return n + 1
		},
		"wrap":  coroutineWrap,
		"yield": func(L *lua.Thread) int { return L.Yield() },
		"status": func(L *lua.Thread) int {
			return L.PushString(L.CheckThread(1).Status())
		},
		"running": func(L *lua.Thread) int {
			if L == L.VM().Main {
				L.Push(lua.Nil)
			} else {
				L.Push(L.Value())
			}
			return 1
		},
	})
}

// newThread makes a coroutine of argument 1. The number of coroutines is bounded, because each has a stack.
func (l *Library) newThread(L *lua.Thread) *lua.Thread {
	f := L.Get(1).AsFunction()
	if f == nil || f.Proto() == nil {
		L.ArgError(1, "Lua function expected")
	}
	c, most := l.count, int64(l.cfg.Coroutines)
	if c.live.Load() >= most {
		// Some coroutines may be garbage. Their cleanups run soon after the collector, not at once, so the next attempt
		// may succeed even if this one fails.
		L.Charge(1_000_000)
		runtime.GC()
		for i := 0; i < 100 && c.live.Load() >= most; i++ {
			runtime.Gosched()
		}
		if c.live.Load() >= most {
			L.RaiseError("too many coroutines (at most %d)", most)
		}
	}
	L.Charge(400)
	c.live.Add(1)
	co := L.NewThread(f)
	// The cleanup must refer to the counter alone: it would keep any other reference, and so the coroutine, alive.
	runtime.AddCleanup(co, func(c *counter) { c.live.Add(-1) }, c)
	return co
}

// ResetCoroutines resets the count of coroutines to 0, for a new run.
func (l *Library) ResetCoroutines() {
	if l.count.live.Load() > 0 { // garbage that will be collected
		l.count = new(counter)
	}
}

func coroutineWrap(L *lua.Thread) int {
	co := of(L).newThread(L)
	L.Push(lua.NewIterator(func(L *lua.Thread) int {
		n, err := L.Resume(co, L.Top())
		if err == nil {
			return n
		}
		v := err.Value
		if s, ok := v.ToString(); ok { // as in PUC, after the position of the caller
			where := L.Where(1)
			L.Allocate(len(where) + len(s))
			v = lua.String(where + s)
		}
		L.Raise(v)
		return 0
	}, 64, co.Value(), lua.Nil).Value())
	return 1
}
