package sandbox

import (
	"errors"
	"fmt"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/convert"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/values"
)

// proxySteps are the steps of making a proxy, or a method of one.
const proxySteps = 40

// maxProxyNames limits the method functions that a state caches for its proxies.
const maxProxyNames = 256

// newProxy implements hearth.proxy(id). It makes no call.
func (s *State) newProxy(L *lua.Thread) int {
	L.Charge(proxySteps)
	id, err := object.ParseID(L.CheckString(1))
	if err != nil {
		L.ArgError(1, "%s", err)
	}
	L.Push(L.NewUserData(&values.Proxy{To: id}, s.types.Proxy, len(id)))
	return 1
}

// proxyMethods makes p:name(…) a call of the method name.
func (s *State) proxyMethods() {
	get := lua.NewNative(func(L *lua.Thread) int {
		p, name := checkAttribute(L, "get_attribute")
		return s.proxyCall(L, p, object.Get, name, []lua.Value{lua.String(name)}, nil)
	})
	set := lua.NewNative(func(L *lua.Thread) int {
		p, name := checkAttribute(L, "set_attribute")
		s.proxyCall(L, p, object.Set, name, []lua.Value{lua.String(name), L.Get(3)}, nil)
		return 0
	})
	values.SetNative(s.types.Proxy, "__index", func(L *lua.Thread) int {
		name := L.CheckString(2)
		fn := s.proxies[name]
		switch name {
		case "get_attribute":
			fn = get
		case "set_attribute":
			fn = set
		}
		if fn != nil {
			L.Push(fn.Value())
			return 1
		}
		if !object.Method(name).Callable() {
			L.RaiseError("%q can never be called", s.p.shown(name, 40))
		}
		L.Charge(proxySteps)
		fn = lua.NewNative(func(L *lua.Thread) int {
			p := checkProxy(L, name)
			args, kwargs := s.proxyArguments(L, 2)
			return s.proxyCall(L, p, object.Invoke, name, args, kwargs)
		})
		if len(s.proxies) < maxProxyNames {
			s.proxies[name] = fn
		}
		L.Push(fn.Value())
		return 1
	})
	values.SetNative(s.types.Proxy, "__newindex", func(L *lua.Thread) int {
		name := s.p.shown(L.CheckString(2), 40)
		L.RaiseError("an attribute of another object is set by proxy:set_attribute(%q, value)", name)
		return 0
	})
	values.SetNative(s.types.Proxy, "__tostring", func(L *lua.Thread) int {
		return L.PushString("proxy of " + string(checkProxy(L, "tostring").To))
	})
}

// checkProxy returns the first argument. It must be a proxy, which it is if the method was called with a colon.
func checkProxy(L *lua.Thread, name string) *values.Proxy {
	p, ok := values.Of(L.Get(1)).(*values.Proxy)
	if !ok {
		L.RaiseError("call a method of another object with a colon: proxy:%s(…)", name)
	}
	return p
}

// checkAttribute returns the arguments of an access to an attribute.
func checkAttribute(L *lua.Thread, access string) (*values.Proxy, string) {
	p := checkProxy(L, access)
	name := L.CheckString(2)
	if !object.Method(name).Callable() {
		L.ArgError(2, "not the name of an attribute")
	}
	return p, name
}

// proxyArguments returns the arguments from position i on. A last argument that hearth.kw made is the keyword
// arguments.
func (s *State) proxyArguments(L *lua.Thread, i int) (args []lua.Value, kwargs *lua.Table) {
	n := L.Top()
	if t := L.Get(n).AsTable(); t != nil && n >= i && t.Meta == s.types.Keywords {
		kwargs = t
		n--
	}
	for ; i <= n; i++ {
		args = append(args, L.Get(i))
	}
	return args, kwargs
}

// proxyCall calls another object and pushes the result.
func (s *State) proxyCall(L *lua.Thread, p *values.Proxy, kind object.CallKind, name string, args []lua.Value,
	kwargs *lua.Table) int {
	if !s.calling {
		L.RaiseError("other objects can be called while a call is running, not while the script is loaded")
	}
	L.Charge(1000)
	// The builder and the encoder are free while Lua runs: each use starts with Start.
	s.build.Start(convert.ForValues, nil)
	call := &ObjectCall{
		From: s.p.id, Exclusive: s.p.Mode() == object.Single, To: p.To, Kind: kind, Method: object.Method(name),
		Result: s.build,
		Args:   func(to object.Sink) error { return s.enc.Arguments(to, s.p.classes, args, kwargs) },
	}
	ctx, done := s.meter.WaitContext(s.ctx)
	err := s.p.services.Objects.Call(ctx, call)
	done()
	if L.Charge(1); err == nil {
		err = s.build.Finish()
	}
	if err != nil {
		s.raiseProxy(L, p.To, err)
	}
	L.Push(s.build.Value())
	s.build.Reset()
	return 1
}

// raiseProxy raises the error of a call on another object: its exception, or an exception for any other error.
func (s *State) raiseProxy(L *lua.Thread, to object.ID, err error) {
	class, msg := "RuntimeError", object.CodeOf(err).String()
	text, wrong := convert.Unsendable(err)
	var remote *RemoteException
	var e *object.Error
	switch {
	case errors.As(err, &remote):
		L.Raise(s.remoteException(remote).Value())
	case wrong:
		class, msg = "TypeError", text
	case errors.As(err, &e) && e.Code != object.CodeInternal:
		msg = e.Msg
		if e.Class != "" {
			class = e.Class
		}
	case object.CodeOf(err) == object.CodeDeadline:
		class, msg = "TimeoutError", "no answer in time"
	}
	args := L.NewTable(1, 0)
	args.Append(lua.String("calling " + string(to) + ": " + msg))
	L.Raise(s.types.ExceptionTable(class, args).Value())
}

// remoteException converts an exception of another object to an exception of this script.
func (s *State) remoteException(r *RemoteException) *lua.Table {
	args := s.l.NewTable(len(r.Args), 0)
	for _, a := range r.Args {
		args.Append(s.fromGo(a))
	}
	if len(r.Args) == 0 && r.Message != "" {
		args.Append(lua.String(r.Message))
	}
	class := r.Class
	if class == "" {
		class = "RuntimeError"
	}
	return s.types.ExceptionTable(class, args)
}

// fromGo converts an argument of an exception to a Lua value.
func (s *State) fromGo(v any) lua.Value {
	switch v := v.(type) {
	case nil:
		return s.types.Null
	case bool:
		return lua.Bool(v)
	case string:
		return lua.String(v)
	case int:
		return lua.Int(v)
	case int64:
		if v >= -values.MaxExact && v <= values.MaxExact {
			return lua.Number(float64(v))
		}
	case float64:
		return lua.Number(v)
	}
	return lua.String(values.Clip(fmt.Sprint(v), 1000))
}
