package sandbox

import (
	"context"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/definition"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/modules"
	"github.com/hearthhost/hearth/sandbox/services"
	"github.com/hearthhost/hearth/sandbox/values"
	"github.com/hearthhost/hearth/service/store/memory"
)

// TestResult is the result of one test of a script.
type TestResult struct {
	Name string `json:"name"`
	Err  string `json:"error,omitempty"` // "" if it passed
}

// RunTests runs the tests of an object. source is a script that returns a table of functions, in which the global
// function new makes instances of the object. Each test has a separate Lua state and budget. The error means that the
// object or the script does not load.
func RunTests(ctx context.Context, cfg Config, file string, source []byte) (results []TestResult, err error) {
	defer func() {
		if v := recover(); v != nil {
			results, err = nil, panicked("testing "+string(cfg.ID), v)
		}
	}()
	subject, err := Load(ctx, cfg)
	if err != nil {
		return nil, err
	}
	// The test script is a program with the modules and limits of the object, but without its services.
	p := &Program{
		id:       cfg.ID,
		file:     file,
		services: testServices(subject.services),
		classes:  subject.classes,
		limits:   subject.limits,
		modules:  subject.modules,
		source:   source,
		desc:     subject.desc,
	}
	p.main, err = modules.Compile(file, source, max(p.limits.SourceBytes, libSourceBytes))
	if err != nil {
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

// testServices returns the services of a script's tests: the log, and the redaction of secrets.
func testServices(s services.Set) services.Set {
	s.Objects, s.Secrets = isolated{}, isolated{s.Secrets}
	return s
}

// withStore returns the program of a test script with another store.
func (p *Program) withStore(st services.Store) *Program {
	q := &Program{
		id:       p.id,
		file:     p.file,
		services: p.services,
		classes:  p.classes,
		limits:   p.limits,
		modules:  p.modules,
		source:   p.source,
		desc:     p.desc,
		main:     p.main,
	}
	q.services.Store = st
	return q
}

// testStore is the durable state of an object in one test: it is empty at the beginning.
type testStore struct{ memory.Engine }

func (*testStore) Lock(context.Context, object.ID, bool) error { return nil }

func (*testStore) Unlock(object.ID, bool) {}

// isolated calls no object and has no secret. It redacts as the subject's service does.
type isolated struct{ services.Secrets }

func (isolated) Call(context.Context, *services.ObjectCall) error {
	return object.Errorf(object.CodeUnavailable, "a test calls no other objects")
}

func (isolated) Secret(object.ID, string) (string, bool) { return "", false }

// tests returns the names of the tests, sorted.
func (p *Program) tests(ctx context.Context, subject *Program) ([]string, error) {
	s := p.emptyState()
	t, err := s.runTests(ctx, subject)
	if err != nil {
		return nil, err
	}
	var names []string
	for k, v := range t.All() {
		name, isText := k.AsString()
		if !isText || v.AsFunction() == nil {
			return nil, p.unloadable("%s: every element of the table must be a function with a name; %s is not",
				p.file, values.Clip(lua.Describe(k), 40))
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, p.unloadable("%s: it has no tests: return a table of functions", p.file)
	}
	slices.Sort(names)
	return names, nil
}

// test runs one test and returns its error, or "".
func (p *Program) test(ctx context.Context, subject *Program, name string) string {
	s := p.withStore(&testStore{}).emptyState()
	t, err := s.runTests(ctx, subject)
	if err != nil {
		return err.Msg
	}
	s.meter.Begin(ctx, p.limits.Steps, p.limits.MaxDuration)
	s.ctx, s.calling = ctx, true
	s.vm.Clear()
	s.l.Push(t.GetString(name))
	raised, limit := s.run(0)
	s.meter.End()
	switch {
	case limit != nil && limit.Msg != "":
		return limit.Msg
	case limit != nil:
		return limit.Error()
	case raised != nil:
		return p.withFile(s.exceptions.Error(raised.Value).Msg)
	}
	return ""
}

// runTests runs the test script, with the global function new, and returns its table.
func (s *State) runTests(ctx context.Context, subject *Program) (*lua.Table, *object.Error) {
	L := s.l
	s.freshGlobals()
	values.SetNative(s.env, "new", func(L *lua.Thread) int { return s.newSubject(L, subject) })
	s.meter.Begin(ctx, s.p.limits.LoadSteps, s.p.limits.MaxDuration)
	s.vm.Clear()
	L.Push(lua.NewFunction(s.p.main, s.env).Value())
	raised, limit := s.run(0)
	s.meter.End()
	if limit != nil {
		return nil, s.p.unloadable("%s: %s", s.p.file, limit.Msg)
	}
	if raised != nil {
		return nil, s.p.unloadable("%s", s.p.withFile(s.exceptions.Clean(s.types.PlainText(raised.Value))))
	}
	t := L.Get(1).AsTable()
	s.vm.Clear()
	if t == nil {
		return nil, s.p.unloadable("%s: a test script returns a table of functions", s.p.file)
	}
	return t, nil
}

// newSubject implements new(…). It runs the object's script again, makes an instance whose init gets the arguments, and
// returns a handle.
func (s *State) newSubject(L *lua.Thread, subject *Program) int {
	args := L.Args(1)
	outside := s.env
	run := s.modules.Run()
	strings := s.vm.StringMeta
	s.freshGlobals()
	main := lua.NewFunction(subject.main, s.env)
	s.env, s.vm.StringMeta = outside, strings
	s.modules.Resume(run)
	s.vm.Main.SetGlobals(outside)
	d, err := s.definitions.Find(L.Call(main.Value()))
	if err != nil {
		L.RaiseError("%s", err)
	}
	self := L.NewTable(0, 8)
	self.SetMeta(d.Meta)
	if d.Init != nil {
		L.Call(d.Init.Value(), append([]lua.Value{self.Value()}, args...)...)
	}
	L.Push(s.handle(d, self).Value())
	return 1
}

// handle returns a test's view of an instance: the exposed members, close and handover.
func (s *State) handle(d *definition.Definition, self *lua.Table) *lua.Table {
	L := s.l
	h := L.NewTable(0, 8)
	mt := values.Protected("handle")
	method := func(fn *lua.Function) *lua.Function {
		return lua.NewNative(func(L *lua.Thread) int {
			n := L.Top()
			if n == 0 || L.Get(1) != h.Value() {
				L.RaiseError("call a method with a colon: object:method()")
			}
			L.Push(fn.Value())
			L.Push(self.Value())
			for i := 2; i <= n; i++ {
				L.Push(L.Get(i))
			}
			if failed := L.Try(n, -1, lua.Nil); failed != nil {
				s.durable.Discard() // as at the end of a call that failed
				L.Raise(failed.Value)
			}
			s.durable.Gate(L)
			return L.Top() - n
		})
	}
	values.SetNative(mt, "__index", func(L *lua.Thread) int {
		name := strings.ToValidUTF8(L.CheckString(2), "\uFFFD")
		m := d.Members[object.Method(name)]
		switch {
		case m != nil && m.Method != nil:
			L.Push(method(m.Method).Value())
		case m != nil && m.Get != nil:
			L.Push(L.Call(m.Get.Value(), self.Value()))
		case name == "handover" && d.Handover != nil:
			L.Push(method(d.Handover).Value())
		case name == "close" && d.Close != nil:
			L.Push(method(d.Close).Value())
		default:
			L.RaiseError("%s is not exposed", values.Clip(name, 40))
		}
		return 1
	})
	values.SetNative(mt, "__newindex", func(L *lua.Thread) int {
		name := strings.ToValidUTF8(L.CheckString(2), "\uFFFD")
		m := d.Members[object.Method(name)]
		if m == nil || m.Set == nil {
			L.RaiseError("%s cannot be set", values.Clip(name, 40))
		}
		L.Call(m.Set.Value(), self.Value(), L.Get(3))
		return 0
	})
	h.SetMeta(mt)
	return h
}
