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
)

func TestClassName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		p          object.Protocol
		name, want string
	}{
		{object.Pyro5, "ValueError", "builtins.ValueError"},
		{object.Pyro5, "builtins.KeyError", "builtins.KeyError"},
		{object.Pyro5, "exceptions.KeyError", "builtins.KeyError"},
		{object.Pyro4, "NamingError", "Pyro4.errors.NamingError"},
		{object.Pyro5, "Pyro4.errors.NamingError", "Pyro5.errors.NamingError"},
		{object.Pyro4, "Pyro5.errors.DaemonError", "Pyro4.errors.DaemonError"},
		{object.Pyro5, "TimeoutError", "builtins.TimeoutError"},
		{object.Pyro5, "Pyro5.errors.TimeoutError", "Pyro5.errors.TimeoutError"},
		{object.Pyro5, "StopIteration", "builtins.StopIteration"},
		{object.Pyro5, "SystemExit", ""},
		{object.Pyro5, "builtins.SystemExit", ""},
		{object.Pyro5, "KeyboardInterrupt", ""},
		{object.Pyro5, "GeneratorExit", ""},
		{object.Pyro5, "builtins.int", ""},
		{object.Pyro5, "builtins.NamingError", ""},
		{object.Pyro5, "Pyro5.errors.ValueError", ""},
		{object.Pyro5, "os.error", ""},
		{object.Pyro5, "MyError", ""},
		{object.Pyro5, "", ""},
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
		if diff := cmp.Diff(want, pyro.NewException(object.Pyro4, tt.err)); diff != "" {
			t.Errorf("NewException(%v) (-want +got):\n%s", tt.err, diff)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	if got := pyro.BareClass("Pyro5.errors.NamingError") + pyro.BareClass("X"); got != "NamingErrorX" {
		t.Errorf("BareClass = %s", got)
	}
	for p, want := range map[object.Protocol]string{
		object.Pyro4: "Pyro4.futures._ExceptionWrapper",
		object.Pyro5: "Pyro5.core._ExceptionWrapper",
	} {
		if got := pyro.BatchWrapperClass(p); got != want {
			t.Errorf("BatchWrapperClass(%d) = %s, want %s", p, got, want)
		}
	}
}
