package client_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
)

// TestBatchesCanBeScanned: the scan of a batch must find every method, because the host decides on them.
func TestBatchesCanBeScanned(t *testing.T) {
	for _, name := range []string{"serpent", "json", "msgpack"} {
		ser := codec.ByName(name)
		calls := []any{
			codec.Tuple{"a", codec.Tuple{1}, map[string]any{}},
			codec.Tuple{"b", codec.Tuple(nil), map[string]any{}},
		}
		payload, err := pyro.AppendCall(ser, nil, "acme.thing", "<batch>", calls, nil, true)
		if err != nil {
			t.Fatal(err)
		}
		var h pyro.Head
		if err := pyro.ScanCall(ser, payload, true, &h); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var methods []string
		for _, m := range h.Batch {
			methods = append(methods, string(m))
		}
		if d := cmp.Diff([]string{"a", "b"}, methods); d != "" || string(h.Object) != "acme.thing" {
			t.Errorf("%s: object %q, %s", name, h.Object, d)
		}
	}
}
