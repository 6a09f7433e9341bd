package sandbox

import (
	"github.com/hearthhost/hearth/sandbox/values"
	"math/big"

	"github.com/hearthhost/hearth/sandbox/lua"
)

// Mode "call" promises that an instance finds nothing of the one before it, in whatever variable it may have
// been left. Running the script again keeps that promise and costs ten times what a short call does. So all
// that the script's run left reachable is noted: its tables are marked, which any write undoes, and its
// functions are remembered with their upvalues. Only if something has changed, or could have changed
// unnoticed, the script runs again.

// maxPristine bounds the tables and upvalues that are noted: beyond that running the script is no slower.
const maxPristine = 2000

// pristine is what a run of the script left.
type pristine struct {
	env       *lua.Table
	strings   *lua.Table // the metatable of strings
	tables    []*lua.Table
	functions []functionState
	complete  bool // nothing reachable is missing

	steps  int64 // of calls since
	served bool  // a run of the script was spared
}

type functionState struct {
	f        *lua.Function
	env      *lua.Table
	upvalues []lua.Value
}

// A script that leaves something behind in every call is noted in vain. After maxVain runs in a row for which
// that was so, only one run in vainEvery tries again.
const (
	maxVain   = 4
	vainEvery = 64
)

// noteRun notes what the script's run left. It is called before the first call.
func (s *State) noteRun() {
	if !s.pristine.served {
		s.vain++
	} else {
		s.vain = 0
	}
	s.pristine = pristine{env: s.env, strings: s.vm.StringMeta, complete: true}
	if s.vain > maxVain && s.vain%vainEvery != 0 {
		s.pristine.complete = false
		return
	}
	n := noter{p: &s.pristine, seen: map[lua.Value]struct{}{}}
	n.add(s.env.Value(), s.def.table.Value(), s.def.proto.Value(), s.vm.StringMeta.Value())
	for _, m := range s.def.members {
		n.add(m.method.Value(), m.get.Value(), m.set.Value())
	}
	n.add(s.def.init.Value(), s.def.close.Value())
	n.walk()
}

// untouched reports whether the script's variables are certainly as its run left them.
func (s *State) untouched() bool {
	p := &s.pristine
	if !p.complete || s.vm.Main.Globals() != p.env || s.vm.StringMeta != p.strings {
		return false
	}
	for _, t := range p.tables {
		if !t.IsClean() {
			return false
		}
	}
	for i := range p.functions {
		f := &p.functions[i]
		if f.f.Env != f.env {
			return false
		}
		for n, was := range f.upvalues {
			if f.f.Upvalue(n) != was {
				return false
			}
		}
	}
	p.served = true
	return true
}

// noter walks over values.
type noter struct {
	p    *pristine
	seen map[lua.Value]struct{}
	todo []lua.Value
	size int
}

// add notes values for the walk. Nil values are passed over.
func (n *noter) add(values ...lua.Value) {
	for _, v := range values {
		if v.Kind() < lua.TableKind {
			continue
		}
		if _, known := n.seen[v]; !known {
			n.seen[v] = struct{}{}
			n.todo = append(n.todo, v)
		}
	}
}

func (n *noter) walk() {
	for len(n.todo) > 0 && n.p.complete {
		v := n.todo[len(n.todo)-1]
		n.todo = n.todo[:len(n.todo)-1]
		n.visit(v)
		if n.size > maxPristine || len(n.seen) > 4*maxPristine {
			n.p.complete = false
		}
	}
}

func (n *noter) visit(v lua.Value) {
	switch v.Kind() {
	case lua.TableKind:
		t := v.AsTable()
		if t.Room() > 4*maxPristine {
			n.p.complete = false
			return
		}
		t.MarkClean()
		n.p.tables = append(n.p.tables, t)
		n.size++
		n.add(t.Meta.Value())
		for k, e := range t.All() {
			n.add(k, e)
		}
	case lua.FunctionKind:
		n.function(v.AsFunction())
	case lua.UserDataKind:
		ud := v.AsUserData()
		switch ud.Value.(type) {
		case *values.Stream:
			n.p.complete = false // it can be a result once
		case values.Null, values.Bytes, *big.Int, values.Float, complex128, values.DateTime, values.Date, *values.Proxy:
		default:
			if ud.Meta == nil {
				n.p.complete = false // it may have a state of its own
			}
		}
		n.add(ud.Meta.Value())
	default:
		n.p.complete = false // a coroutine
	}
}

func (n *noter) function(f *lua.Function) {
	if f.Proto() == nil {
		if f.Stateful() {
			n.p.complete = false // an iterator, which remembers where it is
		}
		return
	}
	one := functionState{f: f, env: f.Env}
	for i := range f.Upvalues() {
		one.upvalues = append(one.upvalues, f.Upvalue(i))
	}
	n.p.functions = append(n.p.functions, one)
	n.size += 1 + len(one.upvalues)
	n.add(f.Env.Value())
	n.add(one.upvalues...)
}
