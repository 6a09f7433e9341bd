package sandbox_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
	"github.com/hearthhost/hearth/sandbox/services"
)

// TestApplicationClasses sends dicts of classes of an application: alone, nested and in a batch.
// They stay dicts, and return with their class.
func TestApplicationClasses(t *testing.T) {
	item := map[string]any{"__class__": "shop.Item", "name": "apple", "parts": []any{
		map[string]any{"__class__": "a custom name", "n": int64(1)}}}
	h := start(t, method("assert(a.__class__ == 'shop.Item' and hearth.typeof(a) == 'dict'); return a"))
	h.call("f", item).want(t, item)
	out, v, err := h.batch([]object.Method{"f"}, []any{triple("f", item)})
	if diff := cmp.Diff([]any{item}, v); err != nil || out.Exception || diff != "" {
		t.Errorf("in a batch: %v, %+v (-want +got):\n%s", err, out, diff)
	}
	made := map[string]any{"__class__": "shop.Item", "price": int64(3)}
	start(t, method("return { __class__ = 'shop.Item', price = 3 }")).call("f").want(t, made)
	start(t, method("return { { __class__ = 'Pyro5.core._ExceptionWrapper', exception = a } }")).call("f", made).
		raises(t, "builtins.TypeError", "is an exception wrapper of a batch")
}

// TestApplicationExceptions raises and returns exceptions of an application's class with fields.
func TestApplicationExceptions(t *testing.T) {
	const class = "shop.OutOfStock"
	received := &codec.Exception{Class: class, Args: []any{"no apples", int64(7)},
		Attributes: map[string]any{"left": int64(0), "_private": int64(1), "parts": []any{"a"}}}
	kept := &codec.Exception{Class: class, Args: []any{"no apples", int64(7)},
		Attributes: map[string]any{"left": int64(0), "parts": []any{"a"}}}
	for _, tt := range []struct {
		body string
		arg  any
		want *codec.Exception
	}{
		{"error(hearth.exception('shop.OutOfStock', 'no apples', 7, { left = 0, parts = {'a'} }))", nil, kept},
		{"error(a)", received, kept},
		{"return hearth.exception('shop.OutOfStock', 'no apples', 7, { left = 0, parts = {'a'} })", nil, kept},
		{"local _, e = pcall(error, hearth.exception('shop.OutOfStock', 'no apples', 7," +
			" { left = 1, parts = {'a'} }))\n" +
			"assert(e.class == 'shop.OutOfStock' and e.message == 'no apples'); " +
			"e.fields.left = 0; error(e)", nil, kept},
		{"error(hearth.exception('shop.OutOfStock', 'x'))", nil, &codec.Exception{Class: class, Args: []any{"x"}}},
		{"error(hearth.exception('shop.OutOfStock', 'x', hearth.dict { left = 0 }))", nil,
			&codec.Exception{Class: class, Args: []any{"x", map[string]any{"left": int64(0)}}}},
		{"error(hearth.exception('KeyError', 'k', { left = 0 }))", nil, &codec.Exception{Class: "builtins.KeyError",
			Args: []any{"k"}, Attributes: map[string]any{"left": int64(0)}}},
		{"error(hearth.exception('ShopClosed', 'x', { left = 0 }))", nil,
			&codec.Exception{Class: "builtins.RuntimeError", Args: []any{"ShopClosed: x"},
				Attributes: map[string]any{"left": int64(0)}}},
		{"local e = hearth.exception('KeyError', 'x'); e.class = 'shop.__class__'; error(e)", nil,
			&codec.Exception{Class: "builtins.RuntimeError", Args: []any{"shop.__class__: x"}}},
		{"local e = hearth.exception('KeyError', 'x'); e.class = 'builtins.SystemExit'; error(e)", nil,
			&codec.Exception{Class: "builtins.RuntimeError", Args: []any{"builtins.SystemExit: x"}}},
	} {
		a := start(t, method(tt.body)).call("f", tt.arg)
		got, ok := a.value.(*codec.Exception)
		if !ok {
			t.Errorf("%s: %v, %v", tt.body, a.value, a.err)
			continue
		}
		got.Traceback = nil
		if len(got.Attributes) == 0 {
			got.Attributes = nil
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.body, diff)
		}
	}
	for body, text := range map[string]string{
		"hearth.exception('shop.Out of stock', 'x')":                                         "class name expected",
		"hearth.exception('', 'x')":                                                          "class name expected",
		"hearth.exception('a__b.X', 'x')":                                                    "class name expected",
		"hearth.exception('shop.X', 'x', { _private = 1 })":                                  "cannot be a field",
		"hearth.exception('shop.X', 'x', { args = 1 })":                                      "cannot be a field",
		"local t = {}; for i = 1, 101 do t['f' .. i] = i end; hearth.exception('X', 'x', t)": "at most 100 fields",
	} {
		start(t, method(body)).call("f").raises(t, "builtins.RuntimeError", text)
	}
	start(t, method("error(hearth.exception('shop.X', 'x', { f = print }))")).call("f").
		raises(t, "Pyro5.errors.PyroError", "args.f is a function")
	start(t, method("local e = hearth.exception('shop.X'); e.fields = { _x = 1 }; error(e)")).call("f").
		raises(t, "Pyro5.errors.PyroError", "has fields that an exception cannot have")
}

// TestProxyValues returns proxies, also from stored values and from another object, and makes proxies of received ones.
func TestProxyValues(t *testing.T) {
	const body = `
		if a == 1 then return { p = hearth.proxy('acme.other:key') } end
		if a == 2 then return hearth.proxy('acme.from'):give() end
		return tostring(hearth.proxy(b))`
	h := start(t, method(body))
	state := func(uri string) map[string]any {
		return map[string]any{"__class__": "Pyro5.client.Proxy",
			"state": codec.Tuple{uri, codec.Tuple{}, codec.Tuple{}, codec.Tuple{}, "hello", nil}}
	}
	h.e.proxy = func(r *services.ObjectCall) error { return codec.Write(r.Result, state("PYRO:acme.inner@./u:hearth")) }
	at := func(location string, args ...any) any {
		r, enc := h.request(object.Invoke, "f", args, nil)
		r.Location = location
		if _, err := h.s.Call(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		return h.value(enc)
	}
	for _, tt := range []struct {
		got, want any
	}{
		{at("127.0.0.1:9", 1), map[string]any{"p": state("PYRO:acme.other:key@127.0.0.1:9")}},
		{at("./u:/run/h.sock", 1), map[string]any{"p": state("PYRO:acme.other:key@./u:/run/h.sock")}},
		{at("", 1), map[string]any{"p": state("PYRO:acme.other:key@./u:hearth")}},
		{at("127.0.0.1:9", 2), state("PYRO:acme.inner@127.0.0.1:9")},
		{at("127.0.0.1:9", 3, state("PYRO:acme.x@127.0.0.1:9")), "proxy of acme.x"},
		{at("127.0.0.1:9", 3, state("PYRO:acme.x@./u:hearth")), "proxy of acme.x"},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	for _, p := range []any{state("PYRO:acme.x@127.0.0.1:10"), state("PYRONAME:acme.x@127.0.0.1:9"),
		state("PYRO:acme.x"),
		state("PYRO:Pyro.Daemon@127.0.0.1:9"), map[string]any{"state": int64(1)}} {
		if _, ok := at("127.0.0.1:9", 3, p).(*codec.Exception); !ok {
			t.Errorf("hearth.proxy accepts %v", p)
		}
	}
}

// TestMessageData reads the data beside the arguments, and answers with annotations.
func TestMessageData(t *testing.T) {
	h := start(t, method(`
		local c = hearth.call()
		hearth.annotate('RESP', hearth.bytes('old')); hearth.annotate('RESP', 'new'); hearth.annotate('GONE', 'x')
		hearth.annotate('GONE', nil)
		if a then error('failed') end
		return { tostring(c.annotations.ABCD), c.handshake, c.blob and c.blob.info or false }`))
	call := func(args ...any) (sandbox.Outcome, any) {
		r, enc := h.request(object.Invoke, "f", args, nil)
		r.Annotations = []object.Annotation{{ID: "ABCD", Value: []byte("one")}}
		r.Handshake = func(to object.Sink) error { return codec.Write(to, map[string]any{"token": "t"}) }
		r.Blob = &sandbox.Blob{Info: func(to object.Sink) error { return to.Int(7) }, Format: "json"}
		out, err := h.s.Call(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return out, h.value(enc)
	}
	out, got := call()
	if diff := cmp.Diff([]any{"one", map[string]any{"token": "t"}, int64(7)}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want := []object.Annotation{{ID: "RESP", Value: []byte("new")}}
	if diff := cmp.Diff(want, out.Annotations); diff != "" {
		t.Errorf("annotations of the reply (-want +got):\n%s", diff)
	}
	if out, _ := call(1); !out.Exception || out.Annotations != nil {
		t.Errorf("an exception has the annotations %v", out.Annotations)
	}
	start(t, method("return hearth.call().handshake == nil and next(hearth.call().annotations) == nil")).call("f").
		want(t, true)
	many := method("for i = 1, 33 do hearth.annotate(('A%03d'):format(i), '') end")
	start(t, many).call("f").raises(t, "builtins.RuntimeError", "at most 32")
}
