// Package heapsnap detects changes of the values that a Lua script has left reachable.
//
// Mode "call" promises that instances share no state in any variable. Running the script again
// before each call keeps the promise, but costs ten times a short call. A [Snapshot] records all tables and functions
// that are reachable after a run: tables are marked clean, which any write undoes, and functions are recorded with
// their upvalues. The script must run again only if something has changed, or could have changed unnoticed.
package heapsnap

import (
	"math/big"

	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/values"
)

// maxSize bounds the tables and upvalues of a snapshot. Above it, running the script again is not slower.
const maxSize = 2000

// Snapshot records the values that are reachable after a run of a script. A nil Snapshot reports a change always.
type Snapshot struct {
	globals   *lua.Table
	strings   *lua.Table // the metatable of strings
	tables    []*lua.Table
	functions []functionState
}

type functionState struct {
	f        *lua.Function
	env      *lua.Table
	upvalues []lua.Value
}

// Take records all values that are reachable from the globals of a VM, its metatable of strings and the roots. It
// returns nil if there are too many, or if one of them can change unnoticed, such as a coroutine.
func Take(vm *lua.VM, globals *lua.Table, roots ...lua.Value) *Snapshot {
	w := walker{
		snapshot: &Snapshot{globals: globals, strings: vm.StringMeta},
		complete: true,
		seen:     map[lua.Value]struct{}{},
	}
	w.add(globals.Value(), vm.StringMeta.Value())
	w.add(roots...)
	w.walk()
	if !w.complete {
		return nil
	}
	return w.snapshot
}

// Unchanged reports whether all recorded values are certainly as they were, and the VM has the same globals.
func (s *Snapshot) Unchanged(vm *lua.VM) bool {
	if s == nil || vm.Main.Globals() != s.globals || vm.StringMeta != s.strings {
		return false
	}
	for _, t := range s.tables {
		if !t.IsClean() {
			return false
		}
	}
	for i := range s.functions {
		f := &s.functions[i]
		if f.f.Env != f.env {
			return false
		}
		for n, was := range f.upvalues {
			if f.f.Upvalue(n) != was {
				return false
			}
		}
	}
	return true
}

// walker visits all reachable values.
type walker struct {
	snapshot *Snapshot
	complete bool // all values so far were recorded
	seen     map[lua.Value]struct{}
	todo     []lua.Value
	size     int // tables, functions and upvalues so far
}

// add puts values on the list of values to visit. Values without parts are ignored.
func (w *walker) add(vs ...lua.Value) {
	for _, v := range vs {
		if v.Kind() < lua.TableKind {
			continue
		}
		if _, seen := w.seen[v]; !seen {
			w.seen[v] = struct{}{}
			w.todo = append(w.todo, v)
		}
	}
}

func (w *walker) walk() {
	for len(w.todo) > 0 && w.complete {
		v := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		w.visit(v)
		if w.size > maxSize || len(w.seen) > 4*maxSize {
			w.complete = false
		}
	}
}

func (w *walker) visit(v lua.Value) {
	switch v.Kind() {
	case lua.TableKind:
		t := v.AsTable()
		if t.Room() > 4*maxSize {
			w.complete = false
			return
		}
		t.MarkClean()
		w.snapshot.tables = append(w.snapshot.tables, t)
		w.size++
		w.add(t.Meta.Value())
		for k, e := range t.All() {
			w.add(k, e)
		}
	case lua.FunctionKind:
		w.function(v.AsFunction())
	case lua.UserDataKind:
		w.userdata(v.AsUserData())
	default:
		w.complete = false // a coroutine
	}
}

func (w *walker) userdata(ud *lua.UserData) {
	switch ud.Value.(type) {
	case *values.Stream:
		w.complete = false // it can be sent once
	case values.Null, values.Bytes, *big.Int, values.Float, complex128, values.DateTime, values.Date, *values.Proxy:
	default:
		if ud.Meta == nil {
			w.complete = false // it may have a state that is not visible here
		}
	}
	w.add(ud.Meta.Value())
}

func (w *walker) function(f *lua.Function) {
	if f.Proto() == nil {
		if f.Stateful() {
			w.complete = false // an iterator, whose position changes
		}
		return
	}
	state := functionState{f: f, env: f.Env}
	for i := range f.Upvalues() {
		state.upvalues = append(state.upvalues, f.Upvalue(i))
	}
	w.snapshot.functions = append(w.snapshot.functions, state)
	w.size += 1 + len(state.upvalues)
	w.add(f.Env.Value())
	w.add(state.upvalues...)
}
