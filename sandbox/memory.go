package sandbox

import (
	"fmt"
	"math/big"
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	lua "github.com/yuin/gopher-lua"

	"github.com/hearthhost/hearth/object"
)

// The VM does not count what a script holds, so the limit is a fence that is looked at
// from time to time. As long as the whole process holds less than one object may, nothing
// is asked further. Then garbage is collected, to see what is really held, and the state
// that runs is walked, to see whether it is the one that holds it. What the walk cannot
// see, since Go code of ours holds it, is caught near the end of the process's memory: the
// call that made it ends then, and not the worker.

// memoryEvery is how many steps pass between two looks at the heap: a look costs as much
// as some ten steps.
const memoryEvery = 4096

// fence is a state's limit of memory.
type fence struct {
	s       *State
	limit   uint64
	at      int64  // the meter's left at the last look
	began   uint64 // bytes allocated before the running call, at its first look
	started bool
	samples [3]metrics.Sample
}

func newFence(s *State) *fence {
	f := &fence{s: s, limit: uint64(s.p.limits.Memory)}
	f.samples[0].Name = "/memory/classes/heap/objects:bytes"
	f.samples[1].Name = "/gc/heap/allocs:bytes"
	f.samples[2].Name = "/gc/heap/live:bytes" // when it was last collected
	return f
}

// begin forgets the call before.
func (f *fence) begin(left int64) { f.at, f.started = left, false }

// look returns the error of the limit if it is passed.
func (f *fence) look(left int64) *object.Error {
	if f.at-left < memoryEvery {
		return nil
	}
	f.at = left
	metrics.Read(f.samples[:])
	held, allocated, live := f.samples[0].Value.Uint64(), f.samples[1].Value.Uint64(), f.samples[2].Value.Uint64()
	if !f.started {
		f.began, f.started = allocated, true
	}
	if held < f.limit || held < live+live/2 { // the next look is due when half as much has come on top
		return nil
	}
	runtime.GC()
	metrics.Read(f.samples[:])
	held = f.samples[0].Value.Uint64()
	if held < f.limit {
		return nil
	}
	soft := uint64(debug.SetMemoryLimit(-1))
	if f.s.holds(f.limit) || held > soft && allocated-f.began > f.limit {
		return object.Errorf(object.CodeExhausted, "limit exceeded: %s of memory; the call was executed in part", sizeText(f.s.p.limits.Memory))
	}
	return nil
}

// sizeText is a number of bytes for people.
func sizeText(n int64) string {
	for _, u := range []struct {
		bytes int64
		name  string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n%u.bytes == 0 {
			return fmt.Sprintf("%d %s", n/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// What things take, as the heap profile of the VM shows it; within a factor of two.
const (
	tableBytes   = 160
	elementBytes = 24  // of an array
	keyBytes     = 240 // of a table's other part, with its value
	textBytes    = 24
	closureBytes = 120
	upvalueBytes = 48
	objectBytes  = 80
)

// walker adds up what is reachable.
type walker struct {
	seen  map[any]struct{}
	fixed map[any]struct{} // belongs to nobody
	most  uint64
	sum   uint64
}

// holds reports whether the state holds more than so many bytes.
func (s *State) holds(most uint64) bool {
	if s.fixed == nil {
		s.fixed = s.fixedParts()
	}
	w := walker{seen: map[any]struct{}{}, fixed: s.fixed, most: most}
	w.value(s.env)
	if s.self != nil {
		w.value(s.self)
	}
	for _, v := range s.loaded {
		w.value(v)
	}
	if s.def != nil {
		w.value(s.def.table)
		w.value(s.def.proto)
	}
	for _, d := range s.defs {
		w.value(d.table)
	}
	w.stack(s.l)
	for _, th := range s.running {
		w.stack(th)
	}
	return w.full()
}

func (w *walker) full() bool { return w.sum > w.most }

// value adds a value that was not added before. It stops when the sum is past the limit.
// Tables inside each other are followed by a list, not by calls: a script chooses how deep.
func (w *walker) value(v lua.LValue) {
	for todo := []lua.LValue{v}; len(todo) > 0 && !w.full(); {
		v, todo = todo[len(todo)-1], todo[:len(todo)-1]
		todo = w.one(v, todo)
	}
}

// one adds one value and appends what it leads to.
func (w *walker) one(v lua.LValue, todo []lua.LValue) []lua.LValue {
	switch v := v.(type) {
	case lua.LString:
		w.sum += textBytes + uint64(len(v))
		return todo
	case *lua.LTable:
		if !w.first(v) {
			return todo
		}
		w.sum += tableBytes
		array := v.Len()
		v.ForEach(func(k, e lua.LValue) {
			if n, ok := k.(lua.LNumber); ok && n >= 1 && int(n) <= array {
				w.sum += elementBytes
			} else {
				w.sum += keyBytes
			}
			if leads(k) {
				todo = append(todo, k)
			}
			if leads(e) {
				todo = append(todo, e)
			}
		})
		if v.Metatable != lua.LNil {
			todo = append(todo, v.Metatable)
		}
	case *lua.LFunction:
		if !w.first(v) {
			return todo
		}
		w.sum += closureBytes + upvalueBytes*uint64(len(v.Upvalues))
		if v.Env != nil {
			todo = append(todo, v.Env)
		}
		for _, u := range v.Upvalues {
			if e := u.Value(); leads(e) {
				todo = append(todo, e)
			}
		}
	case *lua.LUserData:
		if !w.first(v) {
			return todo
		}
		w.sum += objectBytes
		switch x := v.Value.(type) {
		case bytesValue:
			w.sum += uint64(len(x))
		case *big.Int:
			w.sum += uint64(x.BitLen() / 8)
		}
	case *lua.LState:
		if w.first(v) {
			w.stack(v)
		}
	}
	return todo
}

// leads reports whether a value takes more than its place.
func leads(v lua.LValue) bool {
	switch v.(type) {
	case lua.LString, *lua.LTable, *lua.LFunction, *lua.LUserData, *lua.LState:
		return true
	}
	return false
}

// first reports whether something was not there before, and is somebody's.
func (w *walker) first(v any) bool {
	if _, ok := w.fixed[v]; ok {
		return false
	}
	if _, ok := w.seen[v]; ok {
		return false
	}
	w.seen[v] = struct{}{}
	return true
}

// stack adds the variables of the functions that run on a stack.
func (w *walker) stack(L *lua.LState) {
	if _, ok := w.seen[L]; !ok {
		w.seen[L] = struct{}{}
		w.sum += objectBytes
	}
	for level := 0; !w.full(); level++ {
		frame, ok := L.GetStack(level)
		if !ok {
			return
		}
		for n := 1; ; n++ {
			name, v := L.GetLocal(frame, n)
			if name == "" {
				break
			}
			if leads(v) {
				w.value(v)
			}
		}
	}
}
