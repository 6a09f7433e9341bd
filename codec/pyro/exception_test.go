package pyro_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

func TestClassName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		p          wire.Protocol
		name, want string
	}{
		{wire.Pyro5, "ValueError", "builtins.ValueError"},
		{wire.Pyro5, "builtins.KeyError", "builtins.KeyError"},
		{wire.Pyro5, "exceptions.KeyError", "builtins.KeyError"},
		{wire.Pyro4, "NamingError", "Pyro4.errors.NamingError"},
		{wire.Pyro5, "Pyro4.errors.NamingError", "Pyro5.errors.NamingError"},
		{wire.Pyro4, "Pyro5.errors.DaemonError", "Pyro4.errors.DaemonError"},
		{wire.Pyro5, "TimeoutError", "builtins.TimeoutError"},
		{wire.Pyro5, "Pyro5.errors.TimeoutError", "Pyro5.errors.TimeoutError"},
		{wire.Pyro5, "StopIteration", "builtins.StopIteration"},
		{wire.Pyro5, "SystemExit", ""},
		{wire.Pyro5, "builtins.SystemExit", ""},
		{wire.Pyro5, "KeyboardInterrupt", ""},
		{wire.Pyro5, "GeneratorExit", ""},
		{wire.Pyro5, "builtins.int", ""},
		{wire.Pyro5, "builtins.NamingError", ""},
		{wire.Pyro5, "Pyro5.errors.ValueError", ""},
		{wire.Pyro5, "os.error", "os.error"},
		{wire.Pyro4, "shop.OutOfStock", "shop.OutOfStock"},
		{wire.Pyro4, "shop.errors.OutOfStock", "shop.errors.OutOfStock"},
		{wire.Pyro5, "shop.__class__", ""},
		{wire.Pyro5, "shop.Out Of Stock", ""},
		{wire.Pyro5, "Pyro5.core._ExceptionWrapper", ""},
		{wire.Pyro5, "Pyro4.core.Proxy", ""},
		{wire.Pyro5, "MyError", ""},
		{wire.Pyro5, "", ""},
	} {
		if got, ok := pyro.ClassName(tt.p, tt.name); got != tt.want || ok != (tt.want != "") {
			t.Errorf("ClassName(%d, %s) = %s, %v, want %s", tt.p, tt.name, got, ok, tt.want)
		}
	}
}

func TestNewException(t *testing.T) {
	t.Parallel()
	secret := errors.New("secret")
	for _, tt := range []struct {
		err        error
		class, msg string
	}{
		{object.Errorf(object.CodeInvalid, "bad"), "builtins.ValueError", "bad"},
		{object.Errorf(object.CodeTooLarge, "big"), "builtins.ValueError", "big"},
		{object.Errorf(object.CodeUnauthenticated, "who"), "Pyro4.errors.SecurityError", "who"},
		{object.Errorf(object.CodeDenied, "no"), "Pyro4.errors.DaemonError", "no"},
		{object.Errorf(object.CodeNotFound, "none"), "Pyro4.errors.DaemonError", "none"},
		{object.Errorf(object.CodeExhausted, "steps"), "builtins.RuntimeError", "steps"},
		{object.Errorf(object.CodeUnavailable, "draining"), "builtins.RuntimeError", "draining"},
		{object.Errorf(object.CodeRaised, "boom"), "builtins.RuntimeError", "boom"},
		{&object.Error{Code: object.CodeRaised, Msg: "boom", Class: "KeyError"}, "builtins.KeyError", "boom"},
		{
			&object.Error{Code: object.CodeRaised, Msg: "boom", Class: "MyError"},
			"builtins.RuntimeError", "MyError: boom",
		},
		{
			&object.Error{Code: object.CodeRaised, Msg: "boom", Class: "shop.MyError"},
			"shop.MyError", "boom",
		},
		{
			&object.Error{Code: object.CodeRaised, Msg: "boom", Class: "SystemExit"},
			"builtins.RuntimeError", "SystemExit: boom",
		},
		{
			&object.Error{Code: object.CodeInvalid, Msg: "x", Class: "UnicodeDecodeError"},
			"builtins.UnicodeError", "x",
		},
		{
			&object.Error{Code: object.CodeInternal, Msg: "secret", Err: secret, Class: "KeyError"},
			"builtins.RuntimeError", "internal error",
		},
		{&object.Error{Code: object.CodeTooLarge, Err: secret}, "builtins.ValueError", "too large"},
		{fmt.Errorf("wrapped: %w", object.Errorf(object.CodeDenied, "no")), "Pyro4.errors.DaemonError", "no"},
		{context.DeadlineExceeded, "builtins.TimeoutError", "deadline"},
		{context.Canceled, "builtins.RuntimeError", "canceled"},
		{secret, "builtins.RuntimeError", "internal error"},
	} {
		want := &codec.Exception{Class: tt.class, Args: []any{tt.msg}}
		if diff := cmp.Diff(want, pyro.NewException(wire.Pyro4, tt.err)); diff != "" {
			t.Errorf("NewException(%v) (-want +got):\n%s", tt.err, diff)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for p, want := range map[wire.Protocol]string{
		wire.Pyro4: "Pyro4.futures._ExceptionWrapper",
		wire.Pyro5: "Pyro5.core._ExceptionWrapper",
	} {
		if got := pyro.BatchWrapperClass(p); got != want {
			t.Errorf("BatchWrapperClass(%d) = %s, want %s", p, got, want)
		}
	}
}
