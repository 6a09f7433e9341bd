package sandbox

import (
	"context"
	"fmt"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/arguments"
	"github.com/hearthhost/hearth/sandbox/budget"
	"github.com/hearthhost/hearth/sandbox/convert"
	"github.com/hearthhost/hearth/sandbox/definition"
	"github.com/hearthhost/hearth/sandbox/durable"
	"github.com/hearthhost/hearth/sandbox/exception"
	"github.com/hearthhost/hearth/sandbox/heapsnap"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/stdlib"
	"github.com/hearthhost/hearth/sandbox/modules"
	"github.com/hearthhost/hearth/sandbox/proxy"
	"github.com/hearthhost/hearth/sandbox/values"
)

// State is one Lua state of a [Program], with at most one instance of its object. It is not safe for concurrent use.
// Its owner closes it.
type State struct {
	p      *Program
	id     object.ID // of the object, or of the instance of a keyed object
	vm     *lua.VM
	l      *lua.Thread // the main thread of vm
	lib    *stdlib.Library
	meter  *budget.Meter
	build  *convert.Builder
	binder arguments.Binder
	enc    *convert.Encoder

	types      *values.Types
	exceptions *exception.Converter
	proxies    *proxy.Library
	durable    *durable.Library
	last       bool // a method runs whose results are the reply, see durable.Config.Last

	modules *modules.Loader

	// State of the last run of the script.
	env         *lua.Table
	definitions *definition.Reader
	def         *definition.Definition
	used        bool           // an instance was made
	snapshot    heapsnap.Cache // in mode "call"

	self *lua.Table // the instance
	key  string     // its key if the object is keyed

	// State of the running call.
	ctx         context.Context
	req         *Request // nil outside calls
	calling     bool     // calls to other objects are allowed
	traced      bool     // record the position of an uncaught error
	errorPos    string   // its position, chunk:line
	trace       []string // its traceback, if the caller may see it
	batchValues batchValues
	annotations []object.Annotation // of the reply

	broken *object.Error // reason why the state cannot be used again
}

// NewState makes a state and runs the script in it. If ctx is done, it ends the run. ctx is not retained.
func (p *Program) NewState(ctx context.Context) (*State, error) {
	if s := p.takeLoadState(); s != nil {
		return s, nil
	}
	return p.newState(ctx)
}

func (p *Program) newState(ctx context.Context) (*State, error) {
	s := p.emptyState()
	if err := s.runScript(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// emptyState makes a state in which no code has run.
func (p *Program) emptyState() *State {
	s := &State{p: p, id: p.id}
	s.vm = lua.New(lua.Limits{Depth: p.limits.CallDepth, Stack: maxStack})
	s.l = s.vm.Main
	s.meter = budget.New(budget.Config{
		VM:        s.vm,
		Memory:    p.limits.Memory,
		Held:      s.HeldBytes,
		OnLong:    p.onLongCall,
		OnCompute: p.onCompute,
	})
	s.types = shared().types
	s.exceptions = exception.New(s.types, p.services, s.classes)
	s.build, s.enc = convert.New(convert.Config{
		Thread:     s.l,
		Types:      s.types,
		Meter:      s.meter,
		Redact:     p.services.Secrets.Redact,
		KnownClass: s.knownClass,
		Stored:     p.classes,
		Qualify:    s.exceptions.Qualify,
		OnLimit:    func(err *object.Error) { s.broken = err },
	})
	s.binder = arguments.Binder{Types: s.types, Spend: s.build.Spend}
	s.definitions = definition.NewReader(definition.Config{
		ID: p.id, File: p.file, Types: s.types, Redact: p.services.Secrets.Redact,
	})
	s.modules = modules.NewLoader(s.vm, p.modules, shared().searchers, p.services.Shown)
	s.durable = durable.New(durable.Config{
		Object:    func() object.ID { return s.id },
		Functions: shared().store,
		MaxValue:  p.limits.StoreValue,
		Services:  p.services,
		Types:     s.types,
		Meter:     s.meter,
		Build:     s.build,
		Encode:    s.enc,
		Last:      func(L *lua.Thread) bool { return s.last && L.Last() },
		Running:   s.running,
		Once:      func() bool { return s.req != nil && s.req.Once && !s.req.Retry },
	})
	s.proxies = proxy.New(proxy.Config{
		From:     p.id,
		Services: p.services,
		Types:    s.types,
		Classes:  p.classes,
		Meter:    s.meter,
		Build:    s.build,
		Encode:   s.enc,
		Running:  s.running,
		Location: s.location,
		Before:   s.durable.Gate,
	})
	s.openLibraries()
	return s
}

// SetKey makes the state that of one key of a keyed object, before its first instance. The key is the first argument of
// init, and part of the id under which the instance calls services.
func (s *State) SetKey(key string) {
	s.key, s.id = key, s.p.id.WithKey(key)
	s.proxies.SetFrom(s.id)
}

// running returns the context of the running call, and nil while the script is loaded. exclusive reports that no other
// instance can answer a call of the same id.
func (s *State) running() (ctx context.Context, exclusive bool) {
	if !s.calling {
		return nil, false
	}
	return s.ctx, s.p.Mode() == object.Single || s.p.Mode() == object.Keyed
}

// runScript runs the script with new globals, so that only read-only data of an earlier run remains. It stores the
// definition of the object.
func (s *State) runScript(ctx context.Context) *object.Error {
	L := s.l
	s.freshGlobals()
	s.used, s.self = false, nil
	s.definitions.Reset()
	if s.lib.Seeded() {
		s.lib.Reseed() // the script may choose a seed again
	}
	s.meter.Begin(ctx, s.p.limits.LoadSteps, s.p.limits.MaxDuration)
	s.vm.Clear()
	L.Push(lua.NewFunction(s.p.main, s.env).Value())
	raised, limit := s.run(0)
	if raised == nil && limit == nil {
		s.meter.Pause()
	}
	s.meter.End()
	if limit != nil {
		e := s.p.unloadable("%s: %s", s.p.file, limit.Msg)
		e.Err = limit.Err
		return e
	}
	if raised != nil {
		return s.p.unloadable("%s", s.p.withFile(s.exceptions.Clean(s.types.PlainText(raised.Value))))
	}
	v := L.Get(1)
	s.vm.Clear()
	d, err := s.definitions.Find(v)
	if err != nil {
		return s.p.unloadable("%s", err)
	}
	s.def = d
	if d.Mode == object.PerCall {
		s.takeSnapshot()
	}
	return nil
}

// takeSnapshot records the values that a run of the script has left.
func (s *State) takeSnapshot() {
	roots := []lua.Value{s.def.Table.Value(), s.def.Meta.Value(), s.def.Init.Value(), s.def.Close.Value()}
	for _, m := range s.def.Members {
		roots = append(roots, m.Method.Value(), m.Get.Value(), m.Set.Value())
	}
	s.snapshot.Take(s.vm, s.env, roots...)
}

// unloadable returns the error for a script that cannot be loaded.
func (p *Program) unloadable(format string, args ...any) *object.Error {
	return object.Errorf(object.CodeUnavailable, "%s does not load: %s", p.id, fmt.Sprintf(format, args...))
}

// withFile adds the file to a message without a position.
func (p *Program) withFile(msg string) string {
	if first, _, _ := strings.Cut(msg, " "); strings.Contains(first, ":") {
		return msg
	}
	return p.file + ": " + msg
}

// run calls a function on the stack with its n arguments. The results remain on the stack. Otherwise it returns the
// raised error, or the limit that broke the state.
func (s *State) run(n int) (raised *lua.Error, limit *object.Error) {
	err := s.vm.Run(n, s.notice)
	if err == nil {
		return nil, nil
	}
	if raised, ok := err.(*lua.Error); ok { //nolint:errorlint // Run does not wrap it
		return raised, nil
	}
	s.broken = s.meter.Err()
	if s.broken == nil {
		s.broken = &object.Error{Code: object.CodeInternal, Err: err}
	}
	return nil, s.broken
}

// NewInstance makes a new instance and calls its init. inherited, if not nil, writes the state of the previous version
// as one value, which is the last argument of init; of a keyed object the first one is the key. If the state had an
// instance before, and that instance has left any change, the script is run again. All this belongs to the budget of
// the following call. The error is CodeRaised, with the message, if init failed. A limit breaks the state.
func (s *State) NewInstance(ctx context.Context, inherited func(object.Sink) error) (err error) {
	defer s.recovered(nil, &err)
	if s.broken != nil {
		return s.broken
	}
	s.endInstance(ctx)
	if s.used {
		s.meter.CloseOpen()
		if s.broken != nil { // close exceeded a limit
			return s.broken
		}
		if s.lib.Seeded() || !s.snapshot.Unchanged(s.vm) {
			if err := s.runScript(ctx); err != nil {
				return err
			}
		}
		s.dropHiddenState()
	}
	s.used = true
	s.durable.Fresh()
	s.self = s.l.NewTable(0, 0)
	s.self.SetMeta(s.def.Meta)
	if s.def.Init == nil {
		return nil
	}
	leave := s.enterHook(ctx, s.def.Init)
	defer leave()
	if s.def.Mode == object.Keyed {
		s.l.Push(lua.String(s.key))
	}
	if inherited != nil {
		if err := s.pushInherited(inherited); err != nil {
			return err
		}
	}
	raised, limit := s.run(s.l.Top() - 1)
	if limit != nil {
		return limit
	}
	if raised != nil {
		s.self = nil
		s.durable.Discard()
		return s.exceptions.Error(raised.Value)
	}
	if err := s.flush(); err != nil {
		return err
	}
	s.meter.Pause()
	return nil
}

// flush commits the writes of the running call, before its result leaves the object. If that fails, the state is
// broken: it may be ahead of the durable state.
func (s *State) flush() *object.Error {
	err := s.durable.Flush(s.ctx)
	if err != nil {
		s.broken = err
	}
	return err
}

// dropHiddenState drops hidden state by which a script could detect earlier instances.
func (s *State) dropHiddenState() {
	s.lib.ResetCoroutines()
	s.proxies.Reset()
}

// Spent returns the steps since the last call of Spent: for running the script, for init and close, and for calls.
func (s *State) Spent() int64 {
	return s.meter.TakeTotal()
}

// Allocated returns the bytes that the state has allocated for values, garbage included. The count never decreases.
func (s *State) Allocated() int64 { return s.vm.Allocated }

// enterHook starts a call of init, close or handover. It pushes the function and the instance. leave ends the call.
func (s *State) enterHook(ctx context.Context, fn *lua.Function) (leave func()) {
	s.meter.Begin(ctx, s.p.limits.Steps, s.p.limits.MaxDuration)
	s.ctx, s.calling = ctx, true
	s.vm.Clear()
	s.l.Push(fn.Value())
	s.l.Push(s.self.Value())
	return func() {
		s.meter.End()
		s.ctx, s.calling = nil, false
		s.dropCall()
	}
}

// endInstance calls close on the instance, if any. Errors of close are logged, because they have no receiver.
func (s *State) endInstance(ctx context.Context) {
	self := s.self
	if self == nil || s.broken != nil {
		return
	}
	if s.def.Close != nil {
		leave := s.enterHook(ctx, s.def.Close)
		raised, limit := s.run(1)
		if raised == nil && limit == nil {
			limit = s.flush()
		}
		s.durable.Discard()
		leave()
		if limit != nil {
			s.p.services.Log.Line(s.id, "error", "close: "+limit.Msg)
		} else if raised != nil {
			text := s.exceptions.Clean(s.types.PlainText(raised.Value))
			s.p.services.Log.Line(s.id, "error", "close: "+values.Clip(text, maxLogBytes))
		}
	}
	s.self = nil
}

// Close calls the instance's close, unless the state is broken, and frees the state. It may be called twice.
func (s *State) Close(ctx context.Context) {
	if s.l == nil {
		return
	}
	var err error
	defer s.recovered(nil, &err)
	s.endInstance(ctx)
	s.meter.CloseOpen()
	s.meter.Stop()
	s.Sent()
	s.broken = object.Errorf(object.CodeUnavailable, "the instance has ended")
	s.vm = nil
	s.l = nil
	s.lib = nil
	s.self = nil
	s.def = nil
	s.env = nil
	s.modules = nil
}

// Report makes the state answer the questions of u.
func (s *State) Report(u *Usage) { s.meter.Report(u) }

// Sent releases the process memory that is reserved for the result of the last call. It must be called after the result
// was passed on. The next call and Close imply it.
func (s *State) Sent() { s.meter.ReleaseResult() }

// recovered converts a Go panic to an internal error and ends the state. It must be deferred. A limit that was exceeded
// outside the script, such as by a result, remains that limit.
func (s *State) recovered(out *Outcome, err *error) {
	v := recover()
	if v == nil {
		return
	}
	if s.meter != nil { // nil if the panic happened in making the state
		s.meter.Stop()
		s.broken = s.meter.Err()
	}
	if s.broken == nil {
		s.broken = panicked("running "+string(s.p.id), v)
	}
	*err = s.broken
	if out != nil {
		*out = Outcome{Broken: true}
	}
}
