package sandbox

import (
	"context"
	"fmt"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/hearthhost/hearth/object"
)

// TestResult is what came of one test of a script.
type TestResult struct {
	Name string `json:"name"`
	Err  string `json:"error,omitempty"` // "" if it passed
}

// RunTests runs the tests of an object: a script that returns a table of functions, in which
// the global function new makes instances of the object. Each test has a Lua state and a
// budget of its own. The error says why there are no tests to run: the object or the script
// does not load.
func RunTests(ctx context.Context, cfg Config, file string, source []byte) (results []TestResult, err error) {
	defer func() {
		if v := recover(); v != nil {
			results, err = nil, &object.Error{Code: object.CodeInternal, Err: fmt.Errorf("testing %s: panic: %v", cfg.ID, v)}
		}
	}()
	subject, err := Load(ctx, cfg)
	if err != nil {
		return nil, err
	}
	p := &Program{id: cfg.ID, file: file, env: alone{subject.env}, limits: subject.limits, libs: subject.libs, source: source, desc: subject.desc}
	if p.main, err = p.compile(file, source); err != nil {
		return nil, p.unloadable("%s", err)
	}
	names, err := p.tests(ctx, subject)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if ctx.Err() != nil {
			return nil, p.unloadable("%s: the tests take too long together", p.file)
		}
		results = append(results, TestResult{name, p.test(ctx, subject, name)})
	}
	return results, nil
}

// alone is the Env of a test, which reaches nobody.
type alone struct{ Env }

func (alone) Proxy(context.Context, *ProxyCall) error {
	return object.Errorf(object.CodeUnavailable, "a test calls no other objects")
}

func (alone) Secret(object.ID, string) (string, bool) { return "", false }

// tests returns the names of the tests, sorted.
func (p *Program) tests(ctx context.Context, subject *Program) ([]string, error) {
	s := p.emptyState()
	defer s.l.Close()
	t, err := s.runTests(ctx, subject)
	if err != nil {
		return nil, err
	}
	var names []string
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		name, isText := k.(lua.LString)
		if _, isFunction := v.(*lua.LFunction); !isText || !isFunction {
			return nil, p.unloadable("%s: it returns a table of tests, which are functions by their names; %s is none", p.file, clip(s.text(s.l, k), 40))
		}
		names = append(names, string(name))
	}
	if len(names) == 0 {
		return nil, p.unloadable("%s: it has no tests: return a table of functions", p.file)
	}
	slices.Sort(names)
	return names, nil
}

// test runs one test and returns what is wrong, "" if nothing is.
func (p *Program) test(ctx context.Context, subject *Program, name string) string {
	s := p.emptyState()
	defer s.l.Close()
	t, err := s.runTests(ctx, subject)
	if err != nil {
		return err.Msg
	}
	s.meter.begin(ctx, p.limits.Steps, p.limits.Wall)
	s.ctx, s.calling = ctx, true
	s.l.SetTop(0)
	s.l.Push(s.outer)
	s.l.Push(t.RawGetString(name))
	raised, limit := s.run(0)
	s.meter.end()
	switch {
	case limit != nil && limit.Msg != "":
		return limit.Msg
	case limit != nil:
		return limit.Error()
	case raised != nil:
		return p.located(s.raisedError(raised).Msg)
	}
	return ""
}

// runTests runs the test script, in which new makes instances, and returns what it returned.
func (s *State) runTests(ctx context.Context, subject *Program) (*lua.LTable, *object.Error) {
	L := s.l
	s.freshEnv()
	s.env.RawSetString("new", L.NewFunction(func(L *lua.LState) int { return s.newSubject(L, subject) }))
	s.meter.begin(ctx, s.p.limits.LoadSteps, s.p.limits.Wall)
	L.SetTop(0)
	L.Push(s.outer)
	s.function(L, s.p.main)
	raised, limit := s.run(0)
	s.meter.end()
	if limit != nil {
		return nil, s.p.unloadable("%s: %s", s.p.file, limit.Msg)
	}
	if raised != nil {
		return nil, s.p.unloadable("%s", s.p.located(s.cleanText(s.plainText(raised))))
	}
	t, ok := L.Get(1).(*lua.LTable)
	L.SetTop(0)
	if !ok {
		return nil, s.p.unloadable("%s: a test script returns a table of functions", s.p.file)
	}
	return t, nil
}

// newSubject is new(…): it runs the object's script afresh, makes an instance whose init gets
// the arguments, and returns what a caller has of it.
func (s *State) newSubject(L *lua.LState, subject *Program) int {
	n := L.GetTop()
	outside := s.env
	s.freshEnv()
	s.function(L, subject.main)
	s.env = outside
	L.Call(0, 1)
	d, err := s.defined(L.Get(-1))
	if err != nil {
		L.RaiseError("%s", err)
	}
	self := newTable(L)
	self.Metatable = d.proto
	if d.init != nil {
		L.Push(d.init)
		L.Push(self)
		for i := 1; i <= n; i++ {
			L.Push(L.Get(i))
		}
		L.Call(n+1, 0)
	}
	L.Push(s.handle(d, self))
	return 1
}

// handle is what a test has of an instance: what callers have, and close and handover.
func (s *State) handle(d *definition, self *lua.LTable) *lua.LTable {
	L := s.l
	h := newTable(L)
	mt := protectedTable(L, "handle")
	method := func(fn *lua.LFunction) *lua.LFunction {
		return L.NewFunction(func(L *lua.LState) int {
			n := L.GetTop()
			if n == 0 || L.Get(1) != h {
				L.RaiseError("call a method with a colon: object:method()")
			}
			L.Push(fn)
			L.Push(self)
			for i := 2; i <= n; i++ {
				L.Push(L.Get(i))
			}
			L.Call(n, lua.MultRet)
			return L.GetTop() - n
		})
	}
	mt.RawSetString("__index", L.NewFunction(func(L *lua.LState) int {
		name := strings.ToValidUTF8(L.CheckString(2), "\uFFFD")
		m := d.members[object.Method(name)]
		switch {
		case m != nil && m.method != nil:
			L.Push(method(m.method))
		case m != nil && m.get != nil:
			L.Push(m.get)
			L.Push(self)
			L.Call(1, 1)
		case name == "handover" && d.handover != nil:
			L.Push(method(d.handover))
		case name == "close" && d.close != nil:
			L.Push(method(d.close))
		default:
			L.RaiseError("%s is not exposed", clip(name, 40))
		}
		return 1
	}))
	mt.RawSetString("__newindex", L.NewFunction(func(L *lua.LState) int {
		name := strings.ToValidUTF8(L.CheckString(2), "\uFFFD")
		m := d.members[object.Method(name)]
		if m == nil || m.set == nil {
			L.RaiseError("%s cannot be set", clip(name, 40))
		}
		L.Push(m.set)
		L.Push(self)
		L.Push(L.Get(3))
		L.Call(2, 0)
		return 0
	}))
	h.Metatable = mt
	return h
}
