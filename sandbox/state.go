package sandbox

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"strings"
	"sync/atomic"

	lua "github.com/yuin/gopher-lua"

	"github.com/hearthhost/hearth/object"
)

// State is one Lua state of a [Program], with at most one instance of its object. It is
// not safe for concurrent use; its owner closes it.
type State struct {
	p     *Program
	l     *lua.LState
	meter meter
	build builder
	enc   encoder

	mt      metatables
	null    *lua.LUserData
	base    *lua.LTable    // the built-in globals, which no script reaches
	envMeta *lua.LTable    // the metatable through which a script's globals find them
	outer   *lua.LFunction // runs the function it is given and notes where it failed
	quiet   *lua.LFunction // runs the function it is given
	joiner  *lua.LFunction // is ".."
	random  *rand.Rand
	seeded  bool                      // random is of a script's choice
	proxies map[string]*lua.LFunction // the methods of proxies, by name
	names   maphash.Seed              // of what tostring shows for an address

	// Of the last run of the script.
	env    *lua.LTable
	defs   []*definition // made by hearth.object and not yet returned
	def    *definition
	loaded map[string]lua.LValue // modules; loading while they run
	used   bool                  // an instance was made
	image  image                 // in mode "call": what the run left
	vain   int                   // images in a row that spared no run
	fixed  map[any]struct{}      // what no script can change

	self *lua.LTable // the instance

	// Of the running call.
	ctx     context.Context
	req     *Request // nil outside calls
	calling bool     // proxies may be used
	want    bool     // note where an error was raised
	trace   []string // where it was

	protected  int           // pcalls inside each other, in the running coroutine
	resumed    int           // coroutines inside each other
	running    []*lua.LState // they and those that wait for them, but for l
	coroutines *atomic.Int64 // live
	broken     *object.Error // why nothing can run any more
}

// NewState makes a state and runs the script in it. ctx ends it early; it is not kept.
func (p *Program) NewState(ctx context.Context) (*State, error) {
	if s := p.takeSpare(); s != nil {
		return s, nil
	}
	return p.newState(ctx)
}

func (p *Program) newState(ctx context.Context) (*State, error) {
	s := p.emptyState()
	if err := s.runScript(ctx); err != nil {
		s.l.Close()
		return nil, err
	}
	return s, nil
}

// emptyState makes a state in which nothing has run.
func (p *Program) emptyState() *State {
	s := &State{p: p, proxies: map[string]*lua.LFunction{}, names: maphash.MakeSeed(), coroutines: new(atomic.Int64)}
	s.l = lua.NewState(lua.Options{
		SkipOpenLibs:        true,
		CallStackSize:       p.limits.CallDepth,
		MinimizeStackMemory: true,
		RegistrySize:        256,
		RegistryMaxSize:     maxRegistry,
		RegistryGrowStep:    256,
	})
	s.meter.fence = newFence(s)
	s.meter.tell = p.env.Long
	s.build = builder{s: s, names: map[string]lua.LValue{}}
	s.enc.s = s
	s.reseed()
	s.makeMetatables()
	s.openLibraries()
	s.l.SetContext(&s.meter)
	return s
}

// reseed makes random numbers that no script knows.
func (s *State) reseed() {
	s.random = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) //nolint:gosec // math.random is not for secrets
	s.seeded = false
}

// runScript runs the script in a fresh environment, so that nothing of an earlier run
// is left but what is read-only, and takes what it defines.
func (s *State) runScript(ctx context.Context) *object.Error {
	L := s.l
	s.freshEnv()
	s.loaded, s.used, s.self, s.defs = nil, false, nil, s.defs[:0]
	if s.seeded {
		s.reseed() // the script may choose again
	}
	s.meter.begin(ctx, s.p.limits.LoadSteps, s.p.limits.Wall)
	L.SetTop(0)
	L.Push(s.outer)
	s.function(L, s.p.main)
	raised, limit := s.run(0)
	if raised == nil && limit == nil {
		s.meter.pause()
	}
	s.meter.end()
	s.meter.lap()
	if limit != nil {
		e := s.p.unloadable("%s: %s", s.p.file, limit.Msg)
		e.Err = limit.Err
		return e
	}
	if raised != nil {
		return s.p.unloadable("%s", s.p.located(s.cleanText(s.plainText(raised))))
	}
	v := L.Get(1)
	L.SetTop(0)
	d, err := s.defined(v)
	if err != nil {
		return s.p.unloadable("%s", err)
	}
	s.def = d
	if d.mode == object.PerCall {
		s.takeImage()
	}
	return nil
}

// freshEnv makes the globals of a run: empty, but for what is read-only.
func (s *State) freshEnv() {
	s.env = newTable(s.l)
	s.env.Metatable = s.envMeta
	s.env.RawSetString("_G", s.env)
}

// function makes a function of a compiled script, in the current environment, and leaves
// it on the stack of L.
func (s *State) function(L *lua.LState, proto *lua.FunctionProto) {
	around := L.NewFunctionFromProto(proto)
	around.Env = s.env
	L.Push(around)
	L.Push(s.joiner)
	L.Call(1, 1)
}

// unloadable is the error about a script that cannot be served.
func (p *Program) unloadable(format string, args ...any) *object.Error {
	return object.Errorf(object.CodeUnavailable, "%s does not load: %s", p.id, fmt.Sprintf(format, args...))
}

// located makes sure that a message says at least which file it is about.
func (p *Program) located(msg string) string {
	if first, _, _ := strings.Cut(msg, " "); strings.Contains(first, ":") {
		return msg
	}
	return p.file + ": " + msg
}

// run calls what stands on the stack, [State.outer] or [State.quiet] and then a function
// and its n arguments. The results are on the stack, unless there is an error: the value
// that was raised, or why the state is broken.
func (s *State) run(n int) (raised lua.LValue, limit *object.Error) {
	s.protected, s.resumed, s.running = 0, 0, s.running[:0]
	s.l.G.CurrentThread = s.l // a coroutine that yielded where it cannot may have left another
	err := s.l.PCall(n+1, lua.MultRet, nil)
	if s.meter.why != nil {
		s.broken = s.meter.why
		return nil, s.broken
	}
	if err == nil {
		return nil, nil
	}
	e, ok := err.(*lua.ApiError) //nolint:errorlint // PCall returns nothing else
	if !ok {
		s.broken = &object.Error{Code: object.CodeInternal, Err: err}
		return nil, s.broken
	}
	if raised := s.caught(e); raised != nil {
		return raised, nil
	}
	s.broken = s.meter.why
	return nil, s.broken
}

// unaddressed leaves out of a message the addresses that the VM prints for tables and
// functions; [State.plain] has more digits. Scripts make messages of any length, and nothing
// counts the time that this takes.
func unaddressed(msg string) string {
	var out strings.Builder
	from := 0
	for at := 0; ; {
		i := strings.Index(msg[at:], hexadecimal)
		if i < 0 {
			break
		}
		colon := at + i
		at = colon + len(hexadecimal)
		n := 0
		for n <= maxAddress && at+n < len(msg) && strings.IndexByte("0123456789abcdef", msg[at+n]) >= 0 {
			n++
		}
		end := at + n
		if n == 0 || n > maxAddress || end < len(msg) && isWordByte(msg[end]) || !addressed(msg[:colon]) {
			continue
		}
		out.WriteString(msg[from:colon])
		from, at = end, end
	}
	if from == 0 {
		return msg
	}
	out.WriteString(msg[from:])
	return out.String()
}

const (
	hexadecimal = ": 0x"
	maxAddress  = 12 // digits
)

// addressed reports whether a text ends with the name of what the VM prints an address of.
func addressed(text string) bool {
	for _, name := range [...]string{"table", "function", "userdata", "thread", "channel"} {
		if before, ok := strings.CutSuffix(text, name); ok {
			return before == "" || !isWordByte(before[len(before)-1])
		}
	}
	return false
}

// stackOverflow is how the VM says that functions nest too deep.
const stackOverflow = "lua callstack overflow"

// caught returns the value that an error of the VM carries. A Go panic inside the VM is
// none: nobody knows what it left behind, so it ends the state.
func (s *State) caught(e *lua.ApiError) lua.LValue {
	if e.Type != lua.ApiErrorPanic {
		// The VM shows what a script tried to use as a key by its address.
		if msg, ok := e.Object.(lua.LString); ok {
			return lua.LString(unaddressed(string(msg)))
		}
		return e.Object
	}
	if e.Object.String() == stackOverflow {
		return lua.LString("stack overflow: functions call each other too deep")
	}
	s.meter.kill(&object.Error{Code: object.CodeInternal, Err: fmt.Errorf("lua vm panic: %s", e.Object)})
	return nil
}

// NewInstance makes a fresh instance and calls its init, with the state that the version
// before handed over, if there is any: inherited writes it as one value; nil is none. In a
// state that had an instance before, the script is run again if that one left anything that
// the new one could find. What this takes is part of the budget of the call that follows.
// The error is CodeRaised if init failed, with its message; a limit breaks the state.
func (s *State) NewInstance(ctx context.Context, inherited func(object.Sink) error) (err error) {
	defer s.recovered(nil, &err)
	if s.broken != nil {
		return s.broken
	}
	s.endInstance(ctx)
	if s.used {
		if s.meter.open {
			s.meter.close()
		}
		if s.broken != nil { // by close
			return s.broken
		}
		if s.seeded || !s.untouched() {
			if err := s.runScript(ctx); err != nil {
				return err
			}
		}
		s.forget()
	}
	s.used = true
	s.self = newTable(s.l)
	s.self.Metatable = s.def.proto
	if s.def.init == nil {
		return nil
	}
	leave := s.enterHook(ctx, s.def.init)
	defer leave()
	if inherited != nil {
		if err := s.pushInherited(inherited); err != nil {
			return err
		}
	}
	raised, limit := s.run(s.l.GetTop() - 2)
	if limit != nil {
		return limit
	}
	if raised != nil {
		s.self = nil
		return s.raisedError(raised)
	}
	s.meter.pause()
	return nil
}

// forget lets go of what the instances before could be told by, though no variable holds it.
func (s *State) forget() {
	if s.coroutines.Load() > 0 { // they wait to be collected
		s.coroutines = new(atomic.Int64)
	}
	clear(s.proxies)
}

// Spent returns the steps that the state has taken since it was asked last: for running
// the script, for init and close, and for calls.
func (s *State) Spent() int64 {
	n := s.meter.total
	s.meter.total = 0
	return n
}

// enterHook begins a call of init, close or handover on the instance: they are on the
// stack when it returns. leave ends it.
func (s *State) enterHook(ctx context.Context, fn *lua.LFunction) (leave func()) {
	s.meter.begin(ctx, s.p.limits.Steps, s.p.limits.Wall)
	s.ctx, s.calling = ctx, true
	s.l.SetTop(0)
	s.l.Push(s.outer)
	s.l.Push(fn)
	s.l.Push(s.self)
	return func() {
		s.meter.end()
		s.ctx, s.calling = nil, false
		s.image.steps += s.meter.lap()
		s.l.SetTop(0)
	}
}

// endInstance calls close on the instance, if there is one. What close raises goes to
// the log: nobody waits for it.
func (s *State) endInstance(ctx context.Context) {
	self := s.self
	if self == nil || s.broken != nil {
		return
	}
	if s.def.close != nil {
		leave := s.enterHook(ctx, s.def.close)
		raised, limit := s.run(1)
		leave()
		if limit != nil {
			s.p.env.Log(s.p.id, "error", "close: "+limit.Msg)
		} else if raised != nil {
			s.p.env.Log(s.p.id, "error", "close: "+clip(s.cleanText(s.plainText(raised)), maxLogBytes))
		}
	}
	s.self = nil
}

// Close calls the instance's close, unless the state is broken, and frees the state.
// Closing twice is fine.
func (s *State) Close(ctx context.Context) {
	if s.l == nil {
		return
	}
	var err error
	defer s.recovered(nil, &err)
	s.endInstance(ctx)
	if s.meter.open {
		s.meter.close()
	}
	s.broken = object.Errorf(object.CodeUnavailable, "the instance has ended")
	s.l.Close()
	s.l, s.self, s.def, s.env = nil, nil, nil, nil
}

// recovered turns a Go panic into an internal error and ends the state. It is deferred.
func (s *State) recovered(out *Outcome, err *error) {
	v := recover()
	if v == nil {
		return
	}
	e := &object.Error{Code: object.CodeInternal, Err: fmt.Errorf("sandbox panic in %s: %v", s.p.id, v)}
	s.broken = e
	*err = e
	if out != nil {
		*out = Outcome{Broken: true}
	}
}
