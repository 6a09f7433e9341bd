package host_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// TestBuiltinBatch runs batches of the built-in objects in every protocol and serializer. Each result equals that of
// the single call. The first exception ends the batch. A batch with a missing method is not executed.
func TestBuiltinBatch(t *testing.T) {
	addr := start(t, everything)
	for _, proto := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		for _, ser := range []string{"serpent", "json", "msgpack"} {
			t.Run(proto.Module()+" "+ser, func(t *testing.T) {
				c := dial(t, addr, client.Config{Protocol: proto, Serializer: ser})
				compareBatchesWithCalls(t, c)
				ns := c.Object("Pyro.NameServer")
				unknown := []any{"acme.nosuch"}
				batch := ns.Batch().Add("count", nil, nil).Add("lookup", unknown, nil).Add("count", nil, nil)
				got, err := batch.Run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if got[0].Err != nil || got[0].Value == int64(0) {
					t.Errorf("before the exception: %+v", got[0])
				}
				wantRemote(t, got[1].Err, proto.Module()+".errors.NamingError", "unknown name: acme.nosuch")
				if got[2].Err == nil || !strings.Contains(got[2].Err.Error(), "the call was not executed") {
					t.Errorf("after the exception: %+v", got[2])
				}
				_, err = ns.Batch().Add("count", nil, nil).Add("nosuch", nil, nil).Run(t.Context())
				wantRemote(t, err, "builtins.AttributeError", "has no such method")
				_, err = ns.Batch().Add("count", nil, nil).Add("__class__", nil, nil).Run(t.Context())
				wantRemote(t, err, "builtins.AttributeError", "")
				got, err = ns.Batch().Add("lookup", []any{1, 2, 3}, nil).Run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				wantRemote(t, got[0].Err, "builtins.TypeError", "takes at most 2 arguments")
				if got, err = ns.Batch().Run(t.Context()); err != nil || len(got) != 0 {
					t.Errorf("an empty batch: %v, %v", got, err)
				}
			})
		}
	}
}

// compareBatchesWithCalls compares the results of batches with those of single calls.
func compareBatchesWithCalls(t *testing.T, c *client.Client) {
	t.Helper()
	type builtinCall struct {
		method string
		args   []any
		kw     map[string]any
	}
	for id, calls := range map[object.ID][]builtinCall{
		"Pyro.NameServer": {
			{"ping", nil, nil}, {"count", nil, nil}, {"list", nil, map[string]any{"prefix": "acme.c"}},
			{"lookup", []any{"acme.counter"}, nil}, {"lookup", []any{"acme.counter", true}, nil},
			{"list", []any{"acme."}, nil},
		},
		"Pyro.Daemon": {
			{"ping", nil, nil}, {"info", nil, nil}, {"registered", nil, nil},
			{"get_metadata", []any{"acme.counter"}, map[string]any{"as_lists": true}},
			{"describe", []any{"acme.counter"}, nil},
		},
	} {
		o := c.Object(id)
		batch := o.Batch()
		for _, call := range calls {
			batch.Add(call.method, call.args, call.kw)
		}
		got, err := batch.Run(t.Context())
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		for i, call := range calls {
			want, err := o.CallKw(t.Context(), call.method, call.args, call.kw)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got[i].Value); got[i].Err != nil || diff != "" {
				t.Errorf("%s.%s in a batch: %v\n%s", id, call.method, got[i].Err, diff)
			}
		}
	}
}

// TestBuiltinBatchLimits exceeds the limits on batches of the built-in objects: the number of calls, the size of the
// arguments and the number of elements. Stream items are not permitted, and rate limits count each call.
func TestBuiltinBatchLimits(t *testing.T) {
	addr := start(t, everything+`
limit "the name server" {
  principals = ["owner"]
  objects    = ["Pyro.NameServer"]
  rate       = "1/h"
  burst      = 150
}
`)
	c := dial(t, addr, client.Config{Serializer: "msgpack"})
	ns, daemon := c.Object("Pyro.NameServer"), c.Object("Pyro.Daemon")
	pings := func(o *client.Object, n int) error {
		b := o.Batch()
		for range n {
			b.Add("ping", nil, nil)
		}
		got, err := b.Run(t.Context())
		failed := func(r client.BatchResult) bool { return r.Err != nil }
		if err == nil && (len(got) != n || slices.ContainsFunc(got, failed)) {
			err = fmt.Errorf("%d results", len(got))
		}
		return err
	}
	if err := pings(daemon, 100); err != nil {
		t.Errorf("100 calls: %v", err)
	}
	wantRemote(t, pings(daemon, 101), "", "takes at most 100; not executed")
	_, err := daemon.Batch().Add("describe", []any{strings.Repeat("x", 20_000)}, nil).Run(t.Context())
	wantRemote(t, err, "", "limit exceeded: arguments of")
	_, err = daemon.Batch().Add("ping", []any{make([]any, 5000)}, nil).Run(t.Context())
	wantRemote(t, err, "", "more than 4096 elements")
	_, err = daemon.Batch().Add("get_next_stream_item", []any{"x"}, nil).Run(t.Context())
	wantRemote(t, err, "builtins.AttributeError", "")
	if err := pings(ns, 100); err != nil {
		t.Errorf("within the limit: %v", err)
	}
	wantRemote(t, pings(ns, 100), "", "limit exceeded")
	if err := pings(ns, 50); err != nil {
		t.Errorf("the rest of the limit: %v", err)
	}
}
