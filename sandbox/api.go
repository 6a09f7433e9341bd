package sandbox

import (
	"errors"
	"fmt"
	"math/big"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/hearthhost/hearth/object"
)

// The sections of an object's table: what stands under them is exposed.
var sections = [...]string{"expose", "oneway", "get", "set"}

// openHearth makes the table hearth.
func (s *State) openHearth() *lua.LTable {
	l := s.l
	h := l.CreateTable(0, 0)
	def := func(name string, f lua.LGFunction) { h.RawSetString(name, l.NewFunction(f)) }
	h.RawSetString("null", s.null)
	def("object", s.luaObject)
	def("exception", s.luaException)
	def("stream", func(l *lua.LState) int {
		f := l.CheckFunction(1)
		t := l.CreateTable(0, 0)
		t.RawSetInt(1, f)
		t.Metatable = s.mt.stream
		l.Push(t)
		return 1
	})
	def("caller", s.luaCaller)
	def("proxy", s.luaProxy)
	for name, k := range map[string]object.Kind{"list": object.ListKind, "tuple": object.TupleKind,
		"set": object.SetKind, "dict": object.DictKind} {
		def(name, func(l *lua.LState) int { return s.container(l, k) })
	}
	def("kw", func(l *lua.LState) int {
		t := l.CheckTable(1)
		out := l.CreateTable(0, 0)
		t.ForEach(out.RawSet)
		out.Metatable = s.mt.kwargs
		l.Push(out)
		return 1
	})
	def("bytes", func(l *lua.LState) int {
		l.Push(s.typed(bytesValue(bytesOf(l, 1)), s.mt.bytes))
		return 1
	})
	def("int", func(l *lua.LState) int {
		text, ok := l.Get(1).(lua.LString)
		if !ok {
			return s.pushInt(l, integer(l, 1))
		}
		v, ok := new(big.Int).SetString(string(text), 10)
		if !ok || len(text) > 4300 {
			l.ArgError(1, "not an integer in decimal")
		}
		return s.pushInt(l, v)
	})
	def("float", func(l *lua.LState) int {
		l.Push(s.typed(floatValue(l.CheckNumber(1)), s.mt.float))
		return 1
	})
	def("complex", func(l *lua.LState) int {
		l.Push(s.typed(complex(float64(l.CheckNumber(1)), float64(l.OptNumber(2, 0))), s.mt.complex))
		return 1
	})
	log := l.CreateTable(0, 0)
	for _, level := range []string{"debug", "info", "warn", "error"} {
		log.RawSetString(level, l.NewFunction(func(l *lua.LState) int { return s.log(l, level) }))
	}
	h.RawSetString("log", s.readOnly(log))
	return s.readOnly(h)
}

// container makes a marked table: of the elements of its one argument, if that is a
// plain table, else of its arguments, among which nil counts as null.
func (s *State) container(l *lua.LState, k object.Kind) int {
	t := l.CreateTable(0, 0)
	t.Metatable = s.mt.kinds[k]
	src, ok := l.Get(1).(*lua.LTable)
	switch {
	case l.GetTop() == 1 && ok && src.Metatable == lua.LNil:
		src.ForEach(t.RawSet)
	case k == object.DictKind && l.GetTop() > 0:
		l.ArgError(1, "hearth.dict takes one table")
	default:
		for i := 1; i <= l.GetTop(); i++ {
			v := l.Get(i)
			if v == lua.LNil {
				v = s.null
			}
			t.RawSetInt(i, v)
		}
	}
	l.Push(t)
	return 1
}

// maxLogBytes bounds one line of a script's log.
const maxLogBytes = 4 << 10

func (s *State) log(l *lua.LState, level string) int {
	var parts []string
	for i := 1; i <= l.GetTop(); i++ {
		parts = append(parts, l.ToStringMeta(l.Get(i)).String())
	}
	line := strings.Join(parts, " ")
	if len(line) > maxLogBytes {
		line = line[:maxLogBytes] + "…"
	}
	s.p.cfg.Env.Log(s.p.cfg.ID, level, line)
	return 0
}

// luaObject makes an object's table out of its settings.
func (s *State) luaObject(l *lua.LState) int {
	settings := l.OptTable(1, l.CreateTable(0, fewKeys))
	settings.ForEach(func(k, v lua.LValue) {
		switch k.String() {
		case "doc":
			if v.Type() != lua.LTString {
				l.ArgError(1, "doc must be a string")
			}
		case "instance":
			switch object.InstanceMode(v.String()) {
			case object.Single, object.Session, object.PerCall:
			default:
				l.ArgError(1, `instance must be "single", "session" or "call"`)
			}
		default:
			l.ArgError(1, fmt.Sprintf("there is no setting %q: there are doc and instance", k.String()))
		}
	})
	t := l.CreateTable(0, fewKeys)
	for _, name := range sections {
		t.RawSetString(name, l.CreateTable(0, fewKeys))
	}
	s.settings[t] = settings
	l.Push(t)
	return 1
}

func (s *State) luaException(l *lua.LState) int {
	t := l.CreateTable(0, 0)
	t.RawSetString("class", lua.LString(l.CheckString(1)))
	for i := 2; i <= l.GetTop(); i++ {
		v := l.Get(i)
		if v == lua.LNil {
			v = s.null
		}
		t.RawSetInt(i-1, v)
	}
	t.Metatable = s.mt.exception
	l.Push(t)
	return 1
}

func (s *State) luaCaller(l *lua.LState) int {
	if s.req == nil {
		l.RaiseError("hearth.caller() is for use during a call")
	}
	c := s.req.Caller
	t := l.CreateTable(0, 0)
	t.RawSetString("principal", lua.LString(c.Principal))
	t.RawSetString("tenant", lua.LString(c.Tenant))
	t.RawSetString("address", lua.LString(c.Peer.Addr))
	t.RawSetString("channel", lua.LString(c.Peer.Channel))
	t.RawSetString("correlation", lua.LString(uuid(s.req.Corr)))
	if c.Peer.Way == "peer" {
		t.RawSetString("uid", lua.LNumber(c.Peer.UID))
	}
	l.Push(t)
	return 1
}

func uuid(b [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// luaProxy makes a proxy: p:method(…) calls, p.attribute reads through get, and
// hearth-wide names never clash because the object's own are looked up on use.
func (s *State) luaProxy(l *lua.LState) int {
	id, err := object.ParseID(l.CheckString(1))
	if err != nil {
		l.ArgError(1, err.Error())
	}
	p := l.CreateTable(0, 0)
	mt := l.CreateTable(0, 0)
	mt.RawSetString("__metatable", lua.LString("protected"))
	mt.RawSetString("__index", l.NewFunction(func(l *lua.LState) int {
		name := object.Method(l.CheckString(2))
		if !name.Callable() {
			l.RaiseError("%q can never be called", ascii(string(name)))
		}
		kind := object.Invoke
		first := 2
		l.Push(l.NewFunction(func(l *lua.LState) int {
			method := name
			switch name {
			case "get_attribute":
				kind, method = object.Get, object.Method(l.CheckString(2))
			case "set_attribute":
				kind, method = object.Set, object.Method(l.CheckString(2))
			}
			return s.callProxy(l, id, kind, method, first)
		}))
		return 1
	}))
	p.Metatable = mt
	l.Push(p)
	return 1
}

// callProxy runs one call of a proxy: the arguments stand on the stack from first on.
func (s *State) callProxy(l *lua.LState, to object.ID, kind object.CallKind, method object.Method, first int) int {
	if s.req == nil || s.meter.ctx == nil {
		l.RaiseError("other objects can be called during a call only")
	}
	var args []lua.LValue
	for i := first; i <= l.GetTop(); i++ {
		args = append(args, l.Get(i))
	}
	var kw *lua.LTable
	if n := len(args); n > 0 {
		if t, ok := args[n-1].(*lua.LTable); ok && t.Metatable == s.mt.kwargs {
			kw, args = t, args[:n-1]
		}
	}
	result := &builder{s: s}
	err := s.p.cfg.Env.Proxy(s.meter.ctx, &ProxyCall{
		From: s.p.cfg.ID, To: to, Kind: kind, Method: method, Chain: s.req.Chain, Corr: s.req.Corr, Result: result,
		Args: func(sink object.Sink) error { return s.writeArgs(sink, args, kw) },
	})
	var raised *RemoteException
	switch {
	case errors.As(err, &raised):
		t := l.CreateTable(0, 0)
		t.RawSetString("class", lua.LString(raised.Class))
		t.RawSetInt(1, lua.LString(raised.Message))
		t.Metatable = s.mt.exception
		l.Error(t, 1)
	case err != nil:
		l.RaiseError("calling %s: %s", to, safeMessage(err))
	case len(result.roots) > 0:
		l.Push(result.roots[0])
		return 1
	}
	return 0
}

func safeMessage(err error) string {
	var e *object.Error
	if errors.As(err, &e) {
		return e.Msg
	}
	return object.CodeOf(err).String()
}

// writeArgs writes the arguments of a proxy's call: a tuple, then keywords.
func (s *State) writeArgs(to object.Sink, args []lua.LValue, kw *lua.LTable) error {
	w := writer{s: s, to: to, proto: object.Pyro5}
	if err := to.Begin(object.TupleKind, len(args)); err != nil {
		return err
	}
	for _, a := range args {
		if err := w.value(a); err != nil {
			return err
		}
	}
	if err := to.End(); err != nil {
		return err
	}
	if kw == nil {
		if err := to.Begin(object.DictKind, 0); err != nil {
			return err
		}
		return to.End()
	}
	kw.Metatable = s.mt.kinds[object.DictKind]
	return w.value(kw)
}
