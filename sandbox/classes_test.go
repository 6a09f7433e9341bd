package sandbox_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
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
