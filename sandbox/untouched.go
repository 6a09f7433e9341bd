package sandbox

import (
	"math/big"

	lua "github.com/yuin/gopher-lua"
)

// Mode "call" promises that an instance finds nothing of the one before it, in whatever
// variable it may have been left. Running the script again keeps that promise and costs
// ten times what a short call does. So we look first whether there is anything to undo:
// an image of all that the script's run left reachable is compared, and only if
// something differs, or could differ without our seeing it, the script runs again.

// Bounds on when looking pays, and on what deleted keys, which a table remembers, can
// make it cost.
const (
	maxImage      = 2000    // keys and upvalues
	maxImageSteps = 100_000 // VM steps of calls since the script ran
	maxImageCalls = 1000
)

// image is what a run of the script left.
type image struct {
	tables    []tableImage
	functions []functionImage
	modules   int
	whole     bool // nothing reachable is missing

	steps  int64 // of calls since
	calls  int
	served bool // a run of the script was spared
}

type tableImage struct {
	t       *lua.LTable
	meta    lua.LValue
	entries []lua.LValue // keys and values in the order of Next
}

type functionImage struct {
	f        *lua.LFunction
	upvalues []lua.LValue
}

// A script that leaves something behind in every call has its image taken in vain. After
// so many in a row, only one run in so many tries again.
const (
	maxVain   = 4
	vainEvery = 64
)

// takeImage remembers what the script's run left. It is called before the first call.
func (s *State) takeImage() {
	if !s.image.served {
		s.vain++
	} else {
		s.vain = 0
	}
	if s.image = (image{}); s.vain > maxVain && s.vain%vainEvery != 0 {
		return
	}
	if s.fixed == nil {
		s.fixed = s.fixedParts()
	}
	im := imager{seen: map[any]struct{}{}, fixed: s.fixed, whole: true}
	im.table(s.env)
	im.table(s.def.table)
	im.table(s.def.proto)
	for _, m := range s.def.members {
		for _, f := range []*lua.LFunction{m.method, m.get, m.set} {
			if f != nil {
				im.value(f)
			}
		}
	}
	for _, f := range []*lua.LFunction{s.def.init, s.def.close} {
		if f != nil {
			im.value(f)
		}
	}
	for _, v := range s.loaded {
		im.value(v)
	}
	s.image = image{tables: im.tables, functions: im.functions, modules: len(s.loaded), whole: im.whole}
}

// untouched reports whether the script's variables are certainly as its run left them.
func (s *State) untouched() bool {
	im := &s.image
	im.calls++
	if !im.whole || im.steps > maxImageSteps || im.calls > maxImageCalls || len(s.loaded) != im.modules {
		return false
	}
	for i := range im.tables {
		if !im.tables[i].same() {
			return false
		}
	}
	for i := range im.functions {
		f := &im.functions[i]
		for n, was := range f.upvalues {
			if f.f.Upvalues[n].Value() != was {
				return false
			}
		}
	}
	im.served = true
	return true
}

func (im *tableImage) same() bool {
	if im.t.Metatable != im.meta {
		return false
	}
	i := 0
	for k, v := im.t.Next(lua.LNil); k != lua.LNil; k, v = im.t.Next(k) {
		if i >= len(im.entries) || im.entries[i] != k || im.entries[i+1] != v {
			return false
		}
		i += 2
	}
	return i == len(im.entries)
}

// fixedParts finds what no script can change: the libraries and what hangs on them.
func (s *State) fixedParts() map[any]struct{} {
	im := imager{seen: map[any]struct{}{}, anyFunction: true}
	im.value(s.base)
	im.value(s.envMeta)
	im.value(s.joiner)
	for _, t := range []*lua.LTable{
		s.mt.list, s.mt.tuple, s.mt.set, s.mt.dict, s.mt.kw, s.mt.exception, s.mt.null, s.mt.bytes,
		s.mt.integer, s.mt.float, s.mt.complex, s.mt.datetime, s.mt.date, s.mt.stream, s.mt.proxy,
	} {
		im.value(t)
	}
	return im.seen
}

// imager walks over values.
type imager struct {
	seen        map[any]struct{}
	fixed       map[any]struct{} // is not walked into
	anyFunction bool             // functions of ours are fine, whatever they are
	tables      []tableImage
	functions   []functionImage
	size        int
	whole       bool
}

func (im *imager) known(p any) bool {
	if _, ok := im.fixed[p]; ok {
		return true
	}
	if _, ok := im.seen[p]; ok {
		return true
	}
	im.seen[p] = struct{}{}
	return false
}

// grow counts n parts and reports whether that is still worth it.
func (im *imager) grow(n int) bool {
	if im.size += n; im.size > maxImage {
		im.whole = false
	}
	return im.whole || im.anyFunction
}

func (im *imager) value(v lua.LValue) {
	switch v := v.(type) {
	case *lua.LTable:
		im.table(v)
	case *lua.LFunction:
		im.function(v)
	case *lua.LUserData:
		switch v.Value.(type) {
		case nullValue, bytesValue, *big.Int, floatValue, complex128, dateTime, dateValue, *proxyValue:
		default:
			im.whole = false // it has a state of its own
		}
	case *lua.LNilType, lua.LBool, lua.LNumber, lua.LString:
	default:
		im.whole = false // a coroutine
	}
}

func (im *imager) table(t *lua.LTable) {
	if im.known(t) {
		return
	}
	one := tableImage{t: t, meta: t.Metatable}
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		if !im.grow(1) {
			return
		}
		one.entries = append(one.entries, k, v)
	}
	im.grow(1)
	im.tables = append(im.tables, one)
	im.value(t.Metatable)
	for _, v := range one.entries {
		im.value(v)
	}
}

func (im *imager) function(f *lua.LFunction) {
	if im.known(f) {
		return
	}
	if f.IsG {
		if !im.anyFunction {
			im.whole = false // an iterator, for example, which remembers where it is
		}
		return
	}
	one := functionImage{f: f}
	for _, u := range f.Upvalues {
		one.upvalues = append(one.upvalues, u.Value())
	}
	if !im.grow(1 + len(one.upvalues)) {
		return
	}
	im.functions = append(im.functions, one)
	for _, v := range one.upvalues {
		im.value(v)
	}
}
