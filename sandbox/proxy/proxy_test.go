package proxy_test

import (
	"context"
	"errors"
	"testing"

	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/budget"
	"github.com/hearthhost/hearth/sandbox/convert"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/stdlib"
	"github.com/hearthhost/hearth/sandbox/proxy"
	"github.com/hearthhost/hearth/sandbox/services"
	"github.com/hearthhost/hearth/sandbox/values"
)

// objects answers calls by a function.
type objects func(c *services.ObjectCall) error

func (f objects) Call(_ context.Context, c *services.ObjectCall) error { return f(c) }

// run runs a script with the function proxy, and returns its result as text. running is false while the script is
// loaded.
func run(t *testing.T, source string, running bool, call objects) (string, error) {
	t.Helper()
	vm := lua.New(lua.Limits{})
	meter := budget.New(budget.Config{
		VM:     vm,
		Memory: 1 << 30,
		Held:   func(int64) int64 { return 0 },
	})
	types := values.New()
	s := services.Set{Objects: call}.WithDefaults()
	build, encode := convert.New(convert.Config{
		Thread:     vm.Main,
		Types:      types,
		Meter:      meter,
		Redact:     s.Secrets.Redact,
		KnownClass: func(string) bool { return false },
		Qualify: func(class string, args []lua.Value, _ string) (string, []lua.Value) {
			return class, args
		},
		OnLimit: func(err *object.Error) { t.Errorf("limit: %v", err) },
	})
	lib := proxy.New(proxy.Config{
		From:     "acme.thing",
		Services: s,
		Types:    types,
		Classes:  pyro.ObjectCalls,
		Meter:    meter,
		Build:    build,
		Encode:   encode,
		Running: func() (context.Context, bool) {
			if !running {
				return nil, false
			}
			return t.Context(), true
		},
	})
	proxy.AddMethods(types, func(*lua.Thread) *proxy.Library { return lib })
	template := stdlib.NewTemplate()
	template.Add("", map[string]lua.Native{"proxy": lib.New})
	globals := stdlib.New(vm, stdlib.Config{Template: template}).Globals()
	vm.Main.SetGlobals(globals)
	proto, err := lua.Compile("test", source)
	if err != nil {
		t.Fatal(err)
	}
	limits := object.Limits{}.WithDefaults()
	meter.Begin(t.Context(), limits.Steps, limits.MaxDuration)
	defer meter.End()
	vm.Main.Push(lua.NewFunction(proto, globals).Value())
	if err := vm.Run(0, nil); err != nil {
		var raised *lua.Error
		if errors.As(err, &raised) {
			return "", errors.New(types.PlainText(raised.Value))
		}
		t.Fatal(err)
	}
	return vm.Main.ToString(vm.Main.Get(1)), nil
}

func TestCall(t *testing.T) {
	got, err := run(t, "return proxy('acme.other'):add(1)", true, func(c *services.ObjectCall) error {
		if c.From != "acme.thing" || !c.Exclusive || c.To != "acme.other" || c.Kind != object.Invoke ||
			c.Method != "add" {
			t.Errorf("call %+v", c)
		}
		return c.Result.Int(42)
	})
	if got != "42" || err != nil {
		t.Errorf("result %q, %v", got, err)
	}
	var kinds []object.CallKind
	_, err = run(t, "local p = proxy('acme.other') p:set_attribute('x', p:get_attribute('x'))", true,
		func(c *services.ObjectCall) error {
			kinds = append(kinds, c.Kind)
			return c.Result.Null()
		})
	if err != nil || len(kinds) != 2 || kinds[0] != object.Get || kinds[1] != object.Set {
		t.Errorf("calls of kinds %v, %v", kinds, err)
	}
}

// TestErrors checks the texts that a script receives for each error.
func TestErrors(t *testing.T) {
	fail := func(err error) objects { return func(*services.ObjectCall) error { return err } }
	for name, tt := range map[string]struct {
		source string
		loaded bool
		err    error
		want   string
	}{
		"exception": {
			source: "return proxy('acme.other'):f()", loaded: true,
			err: &services.RemoteException{Class: "KeyError", Message: "gone"}, want: "KeyError: gone",
		},
		"safe message": {
			source: "return proxy('acme.other'):f()", loaded: true,
			err:  object.Errorf(object.CodeDenied, "not permitted"),
			want: "RuntimeError: calling acme.other: not permitted",
		},
		"internal cause": {
			source: "return proxy('acme.other'):f()", loaded: true, err: errors.New("secret cause"),
			want: "RuntimeError: calling acme.other: " + object.CodeInternal.String(),
		},
		"deadline": {
			source: "return proxy('acme.other'):f()", loaded: true, err: context.DeadlineExceeded,
			want: "TimeoutError: calling acme.other: no answer in time",
		},
		"private": {
			source: "return proxy('acme.other'):_f()", loaded: true,
			want: `test:1: "_f" can never be called`,
		},
		"while loading": {
			source: "return proxy('acme.other'):f()",
			want:   "test:1: other objects can be called while a call is running, not while the script is loaded",
		},
	} {
		if _, err := run(t, tt.source, tt.loaded, fail(tt.err)); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}
