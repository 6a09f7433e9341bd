package plugintest_test

import (
	"context"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hearthhost/hearth/plugins/sdk"
	"github.com/hearthhost/hearth/plugins/sdk/plugintest"
)

type greeter struct{}

func (greeter) Hello(name string) string { return "Hello, " + name + "!" }
func (greeter) Sum(all ...int) int {
	n := 0
	for _, i := range all {
		n += i
	}
	return n
}
func (greeter) Refuse() error { return sdk.Raise("ValueError", "no") }
func (greeter) Who(ctx context.Context) string {
	return string(sdk.CallerOf(ctx).Principal)
}
func (greeter) Count(n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
	}
}

func TestRun(t *testing.T) {
	o := sdk.New(sdk.PerCall, "Greets.", func() greeter { return greeter{} }).
		Method("hello", greeter.Hello, "").Method("sum", greeter.Sum, "").Method("refuse", greeter.Refuse, "").
		Method("who", greeter.Who, "").Method("count", greeter.Count, "")
	p := plugintest.Run(t, o)
	greets(t, p)
}

func TestExec(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checksum")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path,
		"github.com/hearthhost/hearth/plugins/examples/checksum")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := plugintest.Exec(t, path)
	n := 0
	for _, err := range p.Items(t.Context(), "", "chain", []any{[]byte("a"), []byte("b")}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d items, want 2", n)
	}
}
