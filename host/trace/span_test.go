package trace

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
)

func TestSpanName(t *testing.T) {
	for want, call := range map[string]object.Call{
		"acme.echo.echo":     {ID: "acme.echo", Method: "echo", Kind: object.Invoke},
		"get acme.echo.n":    {ID: "acme.echo", Method: "n", Kind: object.Get},
		"set acme.echo.n":    {ID: "acme.echo", Method: "n", Kind: object.Set},
		"batch acme.echo":    {ID: "acme.echo", Batch: []object.Method{"a", "b"}, Kind: object.Batch},
		"acme.echo.a\ufffdb": {ID: "acme.echo", Method: "a\xffb", Kind: object.Invoke},
		"acme.echo." + strings.Repeat("x", maxSpanName-len("acme.echo.")) + "…": {
			ID:     "acme.echo",
			Method: object.Method(strings.Repeat("x", 1000)),
			Kind:   object.Invoke,
		},
	} {
		if got := spanName(&call); got != want {
			t.Errorf("spanName = %q, want %q", got, want)
		}
	}
}
