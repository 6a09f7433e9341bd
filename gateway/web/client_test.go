package web_test

import (
	"errors"
	"fmt"
	"math/big"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/object"
)

// TestGoClient makes the calls of package client over HTTP.
func TestGoClient(t *testing.T) {
	f := serve(t, "", rules)
	c, err := client.New(client.Config{Address: f.url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	ctx := t.Context()
	echo, counter := c.Object("acme.echo"), c.Object("acme.counter")
	if err := c.Ping(ctx); err != nil {
		t.Errorf("Ping: %v", err)
	}
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	for _, v := range []any{nil, true, int64(-7), huge, 1.5, "ä'\"\n\x00", []byte{0, 255}, []any{int64(1), "b"},
		map[string]any{"a": []any{}, "n": nil}} {
		if got, err := echo.Call(ctx, "echo", v); err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("echo(%v) = %#v, %v", v, got, err)
		}
	}
	if v, err := counter.CallKw(ctx, "add", nil, map[string]any{"k": 5}); v != int64(5) || err != nil {
		t.Errorf("add(k=5) = %v, %v", v, err)
	}
	if err := counter.Set(ctx, "total", 40); err != nil {
		t.Error(err)
	}
	if v, err := counter.Get(ctx, "total"); v != int64(40) || err != nil {
		t.Errorf("total = %v, %v", v, err)
	}
	for range 2 {
		if v, err := counter.CallOnce(ctx, "key-1", "add", []any{2}, nil); v != int64(42) || err != nil {
			t.Errorf("add(2) once = %v, %v", v, err)
		}
	}
	if err := counter.Oneway(ctx, "add", 1); err != nil {
		t.Error(err)
	}
	m, err := counter.Metadata(ctx)
	want := client.Metadata{Methods: []string{"add", "reset"}, Oneway: []string{"reset"}, Attrs: []string{"total"}}
	if err != nil || !reflect.DeepEqual(m, want) {
		t.Errorf("Metadata = %+v, %v", m, err)
	}
	if v, err := c.Object("acme.cart:alice").Call(ctx, "key"); v != "alice" || err != nil {
		t.Errorf("the key is %v, %v", v, err)
	}
	s, err := c.Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if v, err := s.Object("acme.session").Call(ctx, "next"); v != int64(i+1) || err != nil {
			t.Errorf("next = %v, %v", v, err)
		}
	}
	s.Close()
	webStreams(t, echo)
	webErrors(t, c)
}

// webStreams reads item streams.
func webStreams(t *testing.T, echo *client.Object) {
	t.Helper()
	read := func(method string, most int, args ...any) (items []any, last error) {
		for v, err := range echo.Stream(t.Context(), method, args...) {
			if err != nil {
				return items, err
			}
			if items = append(items, v); len(items) == most {
				break
			}
		}
		return items, nil
	}
	if items, err := read("count", 100, 3); fmt.Sprint(items) != "[1 2 3]" || err != nil {
		t.Errorf("count(3) = %v, %v", items, err)
	}
	if items, err := read("endless", 5); fmt.Sprint(items) != "[1 2 3 4 5]" || err != nil {
		t.Errorf("endless = %v, %v", items, err)
	}
	items, err := read("broken", 100, 2)
	e, _ := errors.AsType[*client.RemoteError](err)
	if fmt.Sprint(items) != "[1 2]" || e == nil || e.Class != "ValueError" || e.Message() != "no more" {
		t.Errorf("broken(2) = %v, %v", items, err)
	}
	const plain = "invalid: the result is not an item stream: use Call (the call was executed)"
	if _, err := read("echo", 1, 1); err == nil || err.Error() != plain {
		t.Errorf("a stream of a plain result: %v", err)
	}
	if _, err := echo.Call(t.Context(), "count", 3); !errors.Is(err, client.ErrStream) {
		t.Errorf("a call that opens a stream: %v", err)
	}
}

// webErrors compares the errors of calls.
func webErrors(t *testing.T, c *client.Client) {
	t.Helper()
	for _, tc := range []struct {
		id       object.ID
		method   string
		args     []any
		code     object.Code
		executed client.Executed
		class    string // of an exception
	}{
		{"acme.echo", "fail", nil, object.CodeRaised, client.Yes, "KeyError"},
		{"acme.echo", "missing", nil, object.CodeNotFound, client.No, ""},
		{"other.hidden", "hi", nil, object.CodeNotFound, client.No, ""},
		{"acme.counter", "add", []any{1, 2}, object.CodeInvalid, client.No, ""},
		{"acme.counter", "a/b", nil, object.CodeInvalid, client.No, ""},
		{"acme.counter/../x", "add", nil, object.CodeInvalid, client.No, ""},
		{"acme.counter?x", "add", nil, object.CodeInvalid, client.No, ""},
		{"", "add", nil, object.CodeInvalid, client.No, ""},
		{"acme.echo", "echo", []any{make(chan int)}, object.CodeInvalid, client.No, ""},
	} {
		_, err := c.Object(tc.id).Call(t.Context(), tc.method, tc.args...)
		raised, _ := errors.AsType[*client.RemoteError](err)
		failed, _ := errors.AsType[*client.CallError](err)
		if object.CodeOf(err) != tc.code || (raised == nil) != (tc.class == "") ||
			raised != nil && raised.Class != tc.class || failed != nil && failed.Executed != tc.executed {
			t.Errorf("%s.%s: %v", tc.id, tc.method, err)
		}
	}
	if _, err := c.Object("acme.echo").CallKw(t.Context(), "echo", []any{1}, map[string]any{"a": 1}); err == nil {
		t.Error("positional and keyword arguments were sent")
	}
	if _, err := c.Object("acme.echo").Batch().Add("echo", nil, nil).Run(t.Context()); err == nil {
		t.Error("a batch was sent")
	}
}

// TestBrowserModule calls a host with the JavaScript module of clients/browser, in Node.
func TestBrowserModule(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("!! THE BROWSER MODULE IS NOT TESTED: apt-get install nodejs")
	}
	module, err := filepath.Abs("../../clients/browser/hearth.js")
	if err != nil {
		t.Fatal(err)
	}
	f := serve(t, "", rules)
	run := exec.CommandContext(t.Context(), node, "testdata/browser.mjs", module, f.url)
	if out, err := run.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
