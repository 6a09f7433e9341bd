// Package proxy implements hearth.proxy: values by which a script calls other objects.
//
// A [Library] serves one Lua state. It makes proxies without a call. A call on a proxy writes its arguments through the
// state's encoder, waits for services.Objects, and reads the result through the state's builder. An exception of the
// other object is raised in the script. The script receives only the safe message of other errors.
//
// The package does not authorize calls. The host does, with the calling object as the principal.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/budget"
	"github.com/hearthhost/hearth/sandbox/convert"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/services"
	"github.com/hearthhost/hearth/sandbox/values"
)

// proxySteps are the steps of making a proxy, or a method of one.
const proxySteps = 40

// maxProxyNames limits the method functions that a state caches for its proxies.
const maxProxyNames = 256

// Library implements hearth.proxy in one Lua state. It belongs to the goroutine of the state.
type Library struct {
	cfg     Config
	methods map[string]*lua.Function // cached methods of proxies, by name
}

// Config has the parts of a state that calls of other objects need.
type Config struct {
	From     object.ID // calling object
	Services services.Set
	Types    *values.Types
	Classes  convert.Classes // of arguments and errors
	Meter    *budget.Meter
	Build    *convert.Builder // reads results; free while Lua runs
	Encode   *convert.Encoder // writes arguments; free while Lua runs
	// Running returns the context of the running call, and nil while the script is loaded. Exclusive reports that From
	// has one instance, which serves no other call meanwhile.
	Running func() (ctx context.Context, exclusive bool)
	// Location returns the address of the host that the running call's caller used, "" for none. nil: always "".
	Location func() string
	// Before is called before each call of another object: the call is an effect that others see.
	Before func(L *lua.Thread)
}

// New returns the library of a state. [AddMethods] adds the methods of proxies to its types.
func New(cfg Config) *Library {
	return &Library{cfg: cfg}
}

// SetFrom sets the calling object.
func (lib *Library) SetFrom(id object.ID) { lib.cfg.From = id }

// Reset drops cached methods. By them a script could detect earlier instances.
func (lib *Library) Reset() { clear(lib.methods) }

// New implements hearth.proxy(id). It makes no call.
func (lib *Library) New(L *lua.Thread) int {
	L.Charge(proxySteps)
	id, err := object.ParseTarget(lib.target(L))
	if err != nil {
		L.ArgError(1, "%s", err)
	}
	L.Push(L.NewUserData(&values.Proxy{To: id}, lib.cfg.Types.Proxy, len(id)))
	return 1
}

// target returns the object id of the argument of hearth.proxy: a text, or a proxy of this host that the script has
// received. Such a proxy gives no permission: calls are authorized as this object.
func (lib *Library) target(L *lua.Thread) string {
	t := L.Get(1).AsTable()
	if t == nil {
		return L.CheckString(1)
	}
	state := t.GetString("state").AsTable()
	if state == nil {
		L.ArgError(1, "an object id or a received proxy expected")
	}
	uri, _ := state.GetInt(1).AsString()
	rest, ok := strings.CutPrefix(uri, "PYRO:")
	id, location, located := strings.Cut(rest, "@")
	if !ok || !located {
		L.ArgError(1, "an object id or a received proxy expected")
	}
	here := ""
	if lib.cfg.Location != nil {
		here = lib.cfg.Location()
	}
	if location != object.ThisHost && (here == "" || location != here) {
		L.ArgError(1, "the proxy is one of %s, and objects call objects of this host only",
			lib.cfg.Services.Shown(location, 60))
	}
	return id
}

// AddMethods makes p:name(…) a call of the method name. of returns the library of the running state.
func AddMethods(types *values.Types, of func(L *lua.Thread) *Library) {
	get := lua.NewNative(func(L *lua.Thread) int {
		p, name := checkAttribute(L, "get_attribute")
		return of(L).call(L, p, object.Get, name, []lua.Value{lua.String(name)}, nil)
	})
	set := lua.NewNative(func(L *lua.Thread) int {
		p, name := checkAttribute(L, "set_attribute")
		of(L).call(L, p, object.Set, name, []lua.Value{lua.String(name), L.Get(3)}, nil)
		return 0
	})
	lua.ShareValue(get.Value())
	lua.ShareValue(set.Value())
	values.SetNative(types.Proxy, "__index", func(L *lua.Thread) int {
		lib := of(L)
		name := L.CheckString(2)
		fn := lib.methods[name]
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
			L.RaiseError("%q can never be called", lib.cfg.Services.Shown(name, 40))
		}
		L.Charge(proxySteps)
		fn = lua.NewNative(func(L *lua.Thread) int {
			p := checkProxy(L, name)
			args, kwargs := lib.arguments(L, 2)
			return lib.call(L, p, object.Invoke, name, args, kwargs)
		})
		if lib.methods == nil {
			lib.methods = map[string]*lua.Function{}
		}
		if len(lib.methods) < maxProxyNames {
			lib.methods[name] = fn
		}
		L.Push(fn.Value())
		return 1
	})
	values.SetNative(types.Proxy, "__newindex", func(L *lua.Thread) int {
		name := of(L).cfg.Services.Shown(L.CheckString(2), 40)
		L.RaiseError("an attribute of another object is set by proxy:set_attribute(%q, value)", name)
		return 0
	})
	values.SetNative(types.Proxy, "__tostring", func(L *lua.Thread) int {
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

// arguments returns the arguments from position i on. A last argument that hearth.kw made is the keyword
// arguments.
func (lib *Library) arguments(L *lua.Thread, i int) (args []lua.Value, kwargs *lua.Table) {
	n := L.Top()
	if t := L.Get(n).AsTable(); t != nil && n >= i && t.Meta == lib.cfg.Types.Keywords {
		kwargs = t
		n--
	}
	for ; i <= n; i++ {
		args = append(args, L.Get(i))
	}
	return args, kwargs
}

// call calls another object and pushes the result.
func (lib *Library) call(L *lua.Thread, p *values.Proxy, kind object.CallKind, name string, args []lua.Value,
	kwargs *lua.Table) int {
	running, exclusive := lib.cfg.Running()
	if running == nil {
		L.RaiseError("other objects can be called while a call is running, not while the script is loaded")
	}
	L.Charge(1000)
	if lib.cfg.Before != nil {
		lib.cfg.Before(L)
	}
	// The builder and the encoder are free while Lua runs: each use starts with Start.
	lib.cfg.Build.Start(convert.ForValues, nil)
	call := &services.ObjectCall{
		From:      lib.cfg.From,
		Exclusive: exclusive,
		To:        p.To,
		Kind:      kind,
		Method:    object.Method(name),
		Result:    lib.cfg.Build,
		Args:      func(to object.Sink) error { return lib.cfg.Encode.Arguments(to, lib.cfg.Classes, args, kwargs) },
	}
	ctx, done := lib.cfg.Meter.WaitContext(running)
	err := lib.cfg.Services.Objects.Call(ctx, call)
	done()
	if L.Charge(1); err == nil {
		err = lib.cfg.Build.Finish()
	}
	if err != nil {
		lib.raise(L, p.To, err)
	}
	L.Push(lib.cfg.Build.Value())
	lib.cfg.Build.Reset()
	return 1
}

// raise raises the error of a call on another object: its exception, or an exception for any other error.
func (lib *Library) raise(L *lua.Thread, to object.ID, err error) {
	class, msg := "RuntimeError", object.CodeOf(err).String()
	text, wrong := convert.Unsendable(err)
	var remote *services.RemoteException
	var e *object.Error
	switch {
	case errors.As(err, &remote):
		L.Raise(lib.exception(L, remote).Value())
	case wrong:
		class, msg = "TypeError", text
	case errors.As(err, &e) && e.Code != object.CodeInternal:
		msg = e.Msg
		if c := lib.cfg.Classes.ErrorClass(e); c != "" {
			class = c
		}
	case object.CodeOf(err) == object.CodeDeadline:
		class, msg = "TimeoutError", "no answer in time"
	}
	args := L.NewTable(1, 0)
	args.Append(lua.String("calling " + string(to) + ": " + msg))
	L.Raise(lib.cfg.Types.ExceptionTable(L, class, args).Value())
}

// exception converts an exception of another object to an exception of this script.
func (lib *Library) exception(L *lua.Thread, r *services.RemoteException) *lua.Table {
	args := L.NewTable(len(r.Args), 0)
	for _, a := range r.Args {
		args.Append(lib.fromGo(a))
	}
	if len(r.Args) == 0 && r.Message != "" {
		args.Append(lua.String(r.Message))
	}
	class := r.Class
	if class == "" {
		class = "RuntimeError"
	}
	t := lib.cfg.Types.ExceptionTable(L, class, args)
	values.SetFields(t, lib.fields(L, r.Fields))
	return t
}

// fields returns the fields of an exception of another object, nil for none.
func (lib *Library) fields(L *lua.Thread, from map[string]any) *lua.Table {
	var fields *lua.Table
	for _, name := range slices.Sorted(maps.Keys(from)) {
		if !object.ValidField(name) || fields != nil && fields.Len() == values.MaxFields {
			continue
		}
		if fields == nil {
			fields = L.NewTable(0, min(len(from), values.MaxFields))
		}
		fields.SetString(name, lib.fromGo(from[name]))
	}
	return fields
}

// fromGo converts an argument of an exception to a Lua value.
func (lib *Library) fromGo(v any) lua.Value {
	switch v := v.(type) {
	case nil:
		return lib.cfg.Types.Null
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
