package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/hearthhost/hearth/object"
)

// State is one Lua state with the object's script run in it and at most one instance.
// One goroutine at a time. After a limit or a panic it is Broken and to be thrown away.
type State struct {
	p     *Program
	l     *lua.LState
	meter meter
	mt    metatables
	null  *lua.LUserData
	libs  map[string]*lua.LTable
	base  *lua.LTable // what every script's globals fall back on; read-only

	env      *lua.LTable // the script's globals
	settings map[*lua.LTable]*lua.LTable
	required map[string]lua.LValue
	object   *lua.LTable // what the script returned
	class    *lua.LTable // what an instance falls back on
	self     *lua.LTable

	req        *Request // of the call under way
	coroutines int
	args       builder
}

// Request is one call. Kind, Args, Result, ResetResult and ClassName are required.
type Request struct {
	Kind        object.CallKind
	Method      object.Method
	Batch       []object.Method
	Caller      object.Caller
	Corr        [16]byte
	Chain       []object.ID
	Protocol    object.Protocol
	Traceback   bool
	Args        func(object.Sink) error // feeds the positional, then the keyword arguments
	Result      object.Sink             // takes the result
	ResetResult func()                  // starts the result again
	// ClassName returns the name under which the caller knows an exception class.
	ClassName         func(string) (string, bool)
	BatchWrapperClass string // of an exception among a batch's results
}

// Outcome says what became of a call.
type Outcome struct {
	Exception bool    // Result holds an exception
	Stream    *Stream // the result is an item stream; Result holds nothing
	Broken    bool    // throw the state away
	Steps     int64   // VM instructions used
}

// fewKeys is the room that a small table starts with; the library's default is 32.
const fewKeys = 4

// NewState returns a state with the script run in it. Errors are safe to show.
func (p *Program) NewState(ctx context.Context) (*State, error) {
	s := &State{p: p, libs: map[string]*lua.LTable{}}
	s.l = lua.NewState(lua.Options{SkipOpenLibs: true, RegistrySize: 256, RegistryMaxSize: 128 << 10,
		RegistryGrowStep: 256, CallStackSize: 200, MinimizeStackMemory: true})
	s.args.s = s
	s.newMetatables()
	s.openLibs()
	s.l.SetContext(&s.meter)
	if err := s.runScript(ctx); err != nil {
		s.l.Close()
		return nil, err
	}
	return s, nil
}

// runScript runs the script in fresh globals and keeps what it returns.
func (s *State) runScript(ctx context.Context) error {
	s.settings, s.required = map[*lua.LTable]*lua.LTable{}, map[string]lua.LValue{}
	s.env = s.l.CreateTable(0, fewKeys)
	mt := s.l.CreateTable(0, fewKeys)
	mt.RawSetString("__index", s.base)
	mt.RawSetString("__metatable", lua.LString("protected"))
	s.env.Metatable = mt
	stop := s.meter.start(ctx, s.p.cfg.Limits)
	v, err := s.runChunk(s.l, s.p.proto)
	stop()
	if err != nil {
		return s.p.broken("%s", s.message(err))
	}
	t, ok := v.(*lua.LTable)
	if !ok || s.settings[t] == nil {
		return s.p.broken("it must return what hearth.object made")
	}
	s.object = t
	return s.buildClass()
}

// runChunk runs a prototype in the script's globals and returns its first result.
func (s *State) runChunk(l *lua.LState, proto *lua.FunctionProto) (lua.LValue, error) {
	fn := l.NewFunctionFromProto(proto)
	fn.Env = s.env
	if err := l.CallByParam(lua.P{Fn: fn, NRet: 1, Protect: true}); err != nil {
		return nil, err
	}
	v := l.Get(-1)
	l.Pop(1)
	return v, nil
}

// buildClass makes the table through which an instance finds its methods.
func (s *State) buildClass() error {
	s.class = s.l.CreateTable(0, fewKeys)
	for _, section := range sections[:2] {
		if t, ok := s.object.RawGetString(section).(*lua.LTable); ok {
			t.ForEach(s.class.RawSet)
		}
	}
	s.object.ForEach(s.class.RawSet)
	for _, section := range sections {
		t, ok := s.object.RawGetString(section).(*lua.LTable)
		if !ok {
			return s.p.broken("%s was replaced by something that is no table", section)
		}
		var bad error
		t.ForEach(func(k, v lua.LValue) {
			name, ok := k.(lua.LString)
			if !ok || !object.Method(name).Callable() || v.Type() != lua.LTFunction {
				bad = s.p.broken("%s.%s must be a function with a public name", section, ascii(k.String()))
			}
		})
		if bad != nil {
			return bad
		}
	}
	return nil
}

// luaRequire runs a module of the tenant's lib folder, once a state.
func (s *State) luaRequire(l *lua.LState) int {
	name := l.CheckString(1)
	if v, ok := s.required[name]; ok {
		if v == nil {
			l.RaiseError("module %s requires itself", ascii(name))
		}
		l.Push(v)
		return 1
	}
	proto := s.p.libs[name]
	if proto == nil {
		if src, ok := s.p.cfg.Libs[name]; ok {
			_, err := compile(src, "lib/"+name+".lua", s.p.cfg.Limits.SourceBytes)
			l.RaiseError("%s", safeMessage(err))
		}
		l.RaiseError("there is no module %s: require finds files of this tenant's lib folder only", ascii(name))
	}
	s.required[name] = nil
	fn := l.NewFunctionFromProto(proto)
	fn.Env = s.env
	l.Push(fn)
	l.Call(0, 1)
	v := l.Get(-1)
	if v == lua.LNil {
		v = lua.LTrue
	}
	s.required[name] = v
	l.Push(v)
	return 1
}

// NewInstance gives the state a new instance and runs its init. In mode "call" the
// script itself runs anew, so that nothing is left of the call before.
func (s *State) NewInstance(ctx context.Context) error {
	if s.self != nil && s.p.desc.Instance == object.PerCall {
		if err := s.runScript(ctx); err != nil {
			return err
		}
	}
	s.self = s.l.CreateTable(0, fewKeys)
	mt := s.l.CreateTable(0, fewKeys)
	mt.RawSetString("__index", s.class)
	s.self.Metatable = mt
	init, ok := s.object.RawGetString("init").(*lua.LFunction)
	if !ok {
		return nil
	}
	stop := s.meter.start(ctx, s.p.cfg.Limits)
	err := s.l.CallByParam(lua.P{Fn: init, Protect: true}, s.self)
	stop()
	if err != nil {
		return object.Errorf(object.CodeUnavailable, "%s: init failed: %s", s.p.cfg.ID, s.message(err))
	}
	return nil
}

// Close runs the instance's close and frees the state.
func (s *State) Close(ctx context.Context) {
	if f, ok := s.object.RawGetString("close").(*lua.LFunction); ok && s.self != nil && s.meter.why.Load() == nil {
		stop := s.meter.start(ctx, s.p.cfg.Limits)
		if err := s.l.CallByParam(lua.P{Fn: f, Protect: true}, s.self); err != nil {
			s.p.cfg.Env.Log(s.p.cfg.ID, "warn", "close failed: "+s.message(err))
		}
		stop()
	}
	s.l.Close()
}

// message is the text of a Lua error without its traceback.
func (s *State) message(err error) string {
	if why := s.meter.why.Load(); why != nil {
		return why.Msg
	}
	var api *lua.ApiError
	if errors.As(err, &api) && api.Object != nil {
		if t, ok := api.Object.(*lua.LTable); ok && t.Metatable == s.mt.exception {
			return lua.LVAsString(t.RawGetString("class")) + ": " + t.RawGetInt(1).String()
		}
		return api.Object.String()
	}
	return err.Error()
}

// Call runs one call on the instance. An error means that nothing was written to
// r.Result that counts; what the script raises is an Outcome, not an error.
func (s *State) Call(ctx context.Context, r *Request) (out Outcome, err error) {
	stop := s.begin(ctx, r)
	defer func() {
		out, err = s.finish(stop, recover(), out, err)
	}()
	s.args.reset()
	if err := r.Args(&s.args); err != nil {
		return out, err
	}
	if r.Kind == object.Batch {
		return out, s.batch(r, &out)
	}
	fn, err := s.member(r.Kind, r.Method)
	if err != nil {
		return out, err
	}
	params, _ := s.args.roots[0].(*lua.LTable)
	kwargs, _ := s.args.roots[1].(*lua.LTable)
	skip := 0
	if r.Kind == object.Get || r.Kind == object.Set {
		skip, kwargs = 1, nil
	}
	results, failure := s.apply(fn, params, kwargs, skip)
	if r.Kind == object.Set {
		results = lua.LNil
	}
	return out, s.answer(r, results, failure, &out)
}

func (s *State) begin(ctx context.Context, r *Request) func() int64 {
	s.req, s.coroutines = r, 0
	return s.meter.start(ctx, s.p.cfg.Limits)
}

// finish ends a call's limits and turns a panic or a spent limit into its error.
func (s *State) finish(stop func() int64, panicked any, out Outcome, err error) (Outcome, error) {
	out.Steps = stop()
	s.req = nil
	if panicked != nil {
		out.Broken = true
		return out, object.Errorf(object.CodeExhausted, "limit exceeded: the script overflowed a bound of the engine; it was executed in part")
	}
	if why := s.meter.why.Load(); why != nil {
		out.Broken = true
		out.Exception, out.Stream = false, nil
		return out, why
	}
	return out, err
}

// member finds what a request names. What is not exposed does not exist.
func (s *State) member(kind object.CallKind, m object.Method) (*lua.LFunction, error) {
	look := sections[:2]
	switch kind {
	case object.Get:
		look = sections[2:3]
	case object.Set:
		look = sections[3:]
	}
	for _, section := range look {
		if t, ok := s.object.RawGetString(section).(*lua.LTable); ok {
			if f, ok := t.RawGetString(string(m)).(*lua.LFunction); ok {
				return f, nil
			}
		}
	}
	return nil, &object.Error{Code: object.CodeNotFound, Class: "AttributeError",
		Msg: fmt.Sprintf("%s has no such method or attribute", s.p.cfg.ID)}
}

// apply calls a function of the script with decoded arguments; the first skip of them
// are left out. Several results become a tuple.
func (s *State) apply(fn *lua.LFunction, params, kwargs *lua.LTable, skip int) (lua.LValue, error) {
	l := s.l
	base := l.GetTop()
	l.Push(fn)
	l.Push(s.self)
	n := 1
	if params != nil {
		for i := 1 + skip; i <= params.Len(); i++ {
			v := params.RawGetInt(i)
			if v == s.null {
				v = lua.LNil
			}
			l.Push(v)
			n++
		}
	}
	if kwargs != nil && count(kwargs) > 0 {
		l.Push(kwargs)
		n++
	}
	if err := l.PCall(n, lua.MultRet, nil); err != nil {
		l.SetTop(base)
		return nil, err
	}
	got := l.GetTop() - base
	defer l.SetTop(base)
	switch got {
	case 0:
		return lua.LNil, nil
	case 1:
		return l.Get(-1), nil
	}
	t := l.CreateTable(0, fewKeys)
	t.Metatable = s.mt.kinds[object.TupleKind]
	for i := 1; i <= got; i++ {
		v := l.Get(base + i)
		if v == lua.LNil {
			v = s.null
		}
		t.RawSetInt(i, v)
	}
	return t, nil
}

// answer writes a result, an exception, or notes a stream.
func (s *State) answer(r *Request, v lua.LValue, failure error, out *Outcome) error {
	if failure != nil {
		if s.meter.why.Load() != nil {
			return nil // finish says so
		}
		out.Exception = true
		return s.exception(r, failure)
	}
	if t, ok := v.(*lua.LTable); ok && t.Metatable == s.mt.stream {
		out.Stream = &Stream{s: s, f: t.RawGetInt(1).(*lua.LFunction)}
		return nil
	}
	w := writer{s: s, to: r.Result, proto: r.Protocol}
	err := w.value(v)
	if err == nil {
		return nil
	}
	out.Exception = true
	r.ResetResult()
	return s.exception(r, err)
}

// exception writes what a failure looks like to a Python caller.
func (s *State) exception(r *Request, failure error) error {
	class, args, trace := s.raised(failure)
	qualified, ok := r.ClassName(class)
	if !ok {
		qualified, _ = r.ClassName("RuntimeError")
		args = []lua.LValue{lua.LString(class + ": " + firstText(args))}
	}
	w := writer{s: s, to: r.Result, proto: r.Protocol}
	to := r.Result
	steps := []func() error{
		func() error { return to.Begin(object.DictKind, 4) },
		func() error { return to.Text([]byte("__class__")) },
		func() error { return to.Text([]byte(qualified)) },
		func() error { return to.Text([]byte("__exception__")) },
		func() error { return to.Bool(true) },
		func() error { return to.Text([]byte("args")) },
		func() error { return to.Begin(object.TupleKind, len(args)) },
		func() error {
			for _, a := range args {
				if err := w.value(a); err != nil {
					return err
				}
			}
			return nil
		},
		to.End,
		func() error { return to.Text([]byte("attributes")) },
		func() error { return to.Begin(object.DictKind, 1) },
		func() error { return to.Text([]byte("_pyroTraceback")) },
		func() error { return writeTrace(to, trace, r.Traceback) },
		to.End,
		to.End,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func writeTrace(to object.Sink, trace string, allowed bool) error {
	if !allowed || trace == "" {
		return to.Null()
	}
	lines := strings.SplitAfter(strings.TrimSuffix(trace, "\n")+"\n", "\n")
	lines = lines[:len(lines)-1]
	if err := to.Begin(object.ListKind, len(lines)); err != nil {
		return err
	}
	for _, line := range lines {
		if err := to.Text([]byte(strings.ToValidUTF8(line, "?"))); err != nil {
			return err
		}
	}
	return to.End()
}

func firstText(args []lua.LValue) string {
	if len(args) == 0 {
		return ""
	}
	return args[0].String()
}

// raised takes a failure apart: class, arguments and traceback.
func (s *State) raised(failure error) (class string, args []lua.LValue, trace string) {
	var e *object.Error
	if errors.As(failure, &e) {
		class = e.Class
		if class == "" {
			class = "RuntimeError"
		}
		return class, []lua.LValue{lua.LString(e.Msg)}, ""
	}
	var api *lua.ApiError
	if !errors.As(failure, &api) {
		return "RuntimeError", []lua.LValue{lua.LString("error in the script")}, ""
	}
	trace = api.StackTrace
	if t, ok := api.Object.(*lua.LTable); ok && t.Metatable == s.mt.exception {
		for i := 1; i <= t.Len(); i++ {
			args = append(args, t.RawGetInt(i))
		}
		return lua.LVAsString(t.RawGetString("class")), args, trace
	}
	text := "nil"
	if api.Object != nil {
		text = api.Object.String()
	}
	return "RuntimeError", []lua.LValue{lua.LString(strings.ToValidUTF8(text, "?"))}, trace
}

// batch runs the calls of a batch in order, up to the first that raises.
func (s *State) batch(r *Request, out *Outcome) error {
	calls, ok := s.args.roots[0].(*lua.LTable)
	if !ok || calls.Len() != len(r.Batch) {
		return &object.Error{Code: object.CodeInvalid, Class: "ValueError", Msg: "malformed batch"}
	}
	fns := make([]*lua.LFunction, len(r.Batch))
	for i, m := range r.Batch {
		fn, err := s.member(object.Invoke, m)
		if err != nil {
			return err
		}
		fns[i] = fn
	}
	if err := r.Result.Begin(object.ListKind, -1); err != nil {
		return err
	}
	for i, fn := range fns {
		triple, ok := calls.RawGetInt(i + 1).(*lua.LTable)
		if !ok {
			return &object.Error{Code: object.CodeInvalid, Class: "TypeError", Msg: "malformed batch"}
		}
		params, _ := triple.RawGetInt(2).(*lua.LTable)
		kwargs, _ := triple.RawGetInt(3).(*lua.LTable)
		v, failure := s.apply(fn, params, kwargs, 0)
		if s.meter.why.Load() != nil {
			return nil
		}
		if t, ok := v.(*lua.LTable); ok && t.Metatable == s.mt.stream {
			failure = typeError("item streams cannot be opened in a batch")
		}
		if failure != nil {
			if err := s.wrapped(r, failure); err != nil {
				return err
			}
			break
		}
		w := writer{s: s, to: r.Result, proto: r.Protocol}
		if err := w.value(v); err != nil {
			// The document is spoilt in its middle: the whole batch fails.
			out.Exception = true
			r.ResetResult()
			return s.exception(r, err)
		}
	}
	return r.Result.End()
}

// wrapped writes an exception among the results of a batch.
func (s *State) wrapped(r *Request, failure error) error {
	if err := r.Result.Begin(object.DictKind, 2); err != nil {
		return err
	}
	for _, text := range []string{"__class__", r.BatchWrapperClass, "exception"} {
		if err := r.Result.Text([]byte(text)); err != nil {
			return err
		}
	}
	if err := s.exception(r, failure); err != nil {
		return err
	}
	return r.Result.End()
}

// Stream is an open item stream. It lives in its state and is used like it.
type Stream struct {
	s *State
	f *lua.LFunction
}

// Next writes the next item to r.Result; ok is false at the end of the stream.
func (st *Stream) Next(ctx context.Context, r *Request) (ok bool, out Outcome, err error) {
	s := st.s
	stop := s.begin(ctx, r)
	defer func() {
		out, err = s.finish(stop, recover(), out, err)
		ok = ok && err == nil
	}()
	l := s.l
	base := l.GetTop()
	l.Push(st.f)
	failure := l.PCall(0, 1, nil)
	v := lua.LValue(lua.LNil)
	if failure == nil {
		v = l.Get(-1)
	}
	l.SetTop(base)
	if failure == nil && v == lua.LNil {
		return false, out, nil
	}
	if t, isTable := v.(*lua.LTable); isTable && t.Metatable == s.mt.stream {
		failure = typeError("an item of a stream cannot be a stream")
	}
	return true, out, s.answer(r, v, failure, &out)
}

// Close ends the stream early.
func (st *Stream) Close() { st.f = nil }

// describe reads what the script exposes, and its docs.
func (s *State) describe() *object.Description {
	d := &object.Description{ID: s.p.cfg.ID, Instance: object.Session}
	settings := s.settings[s.object]
	if doc, ok := settings.RawGetString("doc").(lua.LString); ok {
		d.Doc = string(doc)
	}
	if mode, ok := settings.RawGetString("instance").(lua.LString); ok {
		d.Instance = object.InstanceMode(mode)
	}
	docs := readDocs(s.p.cfg.Source)
	members := map[object.Method]*object.Member{}
	for _, section := range sections {
		s.object.RawGetString(section).(*lua.LTable).ForEach(func(k, _ lua.LValue) {
			name := object.Method(k.String())
			m := members[name]
			if m == nil {
				m = &object.Member{Name: name}
				members[name] = m
			}
			if doc := docs[section+"."+k.String()]; doc != "" && m.Doc == "" {
				m.Doc = doc
			}
			m.Method = m.Method || section == "expose" || section == "oneway"
			m.Oneway = m.Oneway || section == "oneway"
			m.Get = m.Get || section == "get"
			m.Set = m.Set || section == "set"
		})
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		d.Members = append(d.Members, *members[name])
	}
	return d
}
