package plugintest_test

import (
	"context"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/sdk"
	"github.com/hearthhost/hearth/plugins/sdk/plugintest"
)

// pythonPlugin packs the example in Python and its SDK into one executable file, as authors
// do; the test is skipped where Python cannot run it.
func pythonPlugin(t *testing.T) string {
	t.Helper()
	const python = "/usr/bin/python3"
	if out, err := exec.CommandContext(t.Context(), python, "-c",
		"import grpc.aio, cryptography").CombinedOutput(); err != nil {
		t.Skipf("!! PLUGINS IN PYTHON ARE NOT TESTED: apt-get install python3-grpcio python3-cryptography: %v %s", err,
			out)
	}
	from, dir := t.TempDir(), t.TempDir()
	for to, source := range map[string]string{"hearth_plugin.py": "../python/hearth_plugin.py",
		"__main__.py": "../../examples/python/greeter.py"} {
		b, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(from, to), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "greeter")
	if out, err := exec.CommandContext(t.Context(), python, "-m", "zipapp", from, "-p", python+" -I", "-o",
		path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// The same conversation as TestRun has with a plugin in Go, and then the types.
func TestPython(t *testing.T) {
	p := plugintest.Exec(t, pythonPlugin(t))
	greets(t, p)

	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	for _, v := range []any{nil, true, int64(-7), huge, 1.5, complex(1, -2), "ä'\"\n\x00", []byte{0, 255},
		[]any{int64(1), "b"},
		codec.Tuple{int64(1)}, codec.Set{int64(1)}, map[string]any{"a": []any{}}} {
		if got, err := p.Call(t.Context(), "", "echo", v); err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("echo(%#v) = %#v, %v", v, got, err)
		}
	}
	got, err := p.Call(t.Context(), "", "types", "2020-02-28T01:02:03", "12345678-1234-5678-1234-567812345678", "1.50")
	if want := []any{"2020-02-29T01:02:03", "12345678-1234-5678-1234-567812345678", "3.00"}; err != nil ||
		!reflect.DeepEqual(got, want) {
		t.Errorf("types(…) = %v, %v; want %v", got, err, want)
	}
	for i := range 3 {
		if got, err := p.Call(t.Context(), "counter", "increment"); err != nil || got != int64(i+1) {
			t.Errorf("increment() = %v, %v", got, err)
		}
	}
}

// Members that are not registered do not exist, although Python finds attributes with such names.
func TestPythonExposesOnlyWhatIsRegistered(t *testing.T) {
	p := plugintest.Exec(t, pythonPlugin(t))
	for _, name := range []string{"hidden", "__init__", "__class__", "_hearth_plugin", "hello.__globals__", "total"} {
		var e *object.Error
		if v, err := p.Call(t.Context(), "", name); !errors.As(err, &e) || e.Code != object.CodeNotFound {
			t.Errorf("%s() = %v, %v; want not found", name, v, err)
		}
	}
	if v, err := p.Call(t.Context(), "nobody", "hello", "x"); err == nil {
		t.Errorf("an object that is not there = %v", v)
	}
}

// greets is the part that the plugins in all languages have in common.
func greets(t *testing.T, p *plugintest.Plugin) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, tc := range []struct {
		method string
		args   []any
		want   any
	}{
		{"hello", []any{"World"}, "Hello, World!"},
		{"sum", []any{1, 2, 3}, int64(6)},
		{"who", nil, "tester"},
	} {
		if got, err := p.Call(ctx, "", tc.method, tc.args...); err != nil || got != tc.want {
			t.Errorf("%s(%v) = %v, %v; want %v", tc.method, tc.args, got, err, tc.want)
		}
	}
	var ex *sdk.Exception
	if _, err := p.Call(ctx, "", "refuse"); !errors.As(err, &ex) || ex.Class != "ValueError" {
		t.Errorf("refuse() = %v", err)
	}
	if _, err := p.Call(ctx, "", "hello", 3); !errors.As(err, &ex) || ex.Class != "TypeError" {
		t.Errorf("hello(3) = %v", err)
	}
	n := int64(0)
	for v, err := range p.Items(ctx, "", "count", 5) {
		if err != nil || v != n {
			t.Errorf("item %d = %v, %v", n, v, err)
		}
		n++
	}
	if n != 5 {
		t.Errorf("%d items, want 5", n)
	}
}

// TestPythonDecode runs the attacks on the decoding of arguments, which need Python alone.
func TestPythonDecode(t *testing.T) {
	const python = "/usr/bin/python3"
	if out, err := exec.CommandContext(t.Context(), python, "-c",
		"import sys; sys.exit(sys.version_info < (3, 9))").CombinedOutput(); err != nil {
		t.Skipf("!! THE PYTHON SDK IS NOT ATTACKED: want %s of version 3.9 or newer: %v %s", python, err, out)
	}
	attack := exec.CommandContext(t.Context(), python, "-B", "test_decode.py")
	attack.Dir = "../python"
	if out, err := attack.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
