package sandbox_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
)

// argumentsScript exposes methods with and without annotations. Each returns its arguments as a list.
const argumentsScript = `
local O = hearth.object { instance = "single" }
local runs = 0

---@class Item
---@field sku string
---@field amount integer
---@field tags? string[]

---@alias Level "low"|"high"

local function all(...)
  runs = runs + 1
  local n, t = select("#", ...), { ... }
  for i = 1, n do if t[i] == nil then t[i] = hearth.null end end
  return hearth.list(unpack(t, 1, n))
end

function O.expose:none() return all() end
function O.expose:two(a, b) return all(a, b) end
function O.expose:rest(a, kwargs) return all(a, kwargs) end
function O.expose:more(a, ...) return all(a, ...) end

---@param a integer
---@param b? string
function O.expose:typed(a, b) return all(a, b) end

---@param item Item
---@param level Level
function O.expose:order(item, level) return all(item.sku, level) end

---@param list (integer|string)[]
---@param prices table<string, number>
function O.expose:lists(list, prices) return all(#list) end

---@alias Maybe Item|nil
---@alias Loop Loop|Other
---@alias Other Loop

---@param item Maybe
---@param loop Loop
function O.expose:alias(item, loop) return all(item and item.sku) end

---@param a integer
---@param kwargs table<string, integer|"all">
function O.expose:named(a, kwargs, ...) return all(a, kwargs, ...) end

---@class Node
---@field next? Node
---@field value integer

---@param node Node|Node[]|nil
---@param one Node|string
function O.expose:node(node, one) return all() end

---@param ... integer
function O.expose:sum(...) return all(...) end

---@return number, number?, integer
function O.expose:floats() return 3, 4, 5 end

---@return hearth.stream<number>
function O.expose:numbers() return hearth.stream(function() return 1 end) end
---@return hearth.stream<integer>
function O.expose:integers() return hearth.stream(function() return 1 end) end

function O.expose:runs() return runs end

function O.expose.odd() return all() end

local price = 0
function O.get:price() return price end
---@param v number
function O.set:price(v) price = v end
return O
`

// TestArguments calls methods with arguments that fit their signatures or do not.
func TestArguments(t *testing.T) {
	type kw = map[string]any
	list := func(v ...any) []any {
		for i := range v {
			if n, ok := v[i].(int); ok {
				v[i] = int64(n)
			}
		}
		if v == nil {
			return []any{}
		}
		return v
	}
	for _, test := range []struct {
		method   object.Method
		args     []any
		keywords kw
		want     any // result, or the text of the TypeError
	}{
		{"none", nil, nil, list()},
		{"none", list(1), nil, "none: takes no arguments, got 1"},
		{"none", nil, kw{"x": 1}, "none: no parameter x; it has no parameters"},
		{"odd", list(1), nil, "odd: takes no arguments, got 1"},
		{"two", list(1), nil, list(1, nil)},
		{"two", list(1, 2), nil, list(1, 2)},
		{"two", list(1, 2, 3), nil, "two: takes 2 arguments, got 3"},
		{"two", nil, kw{"b": 2}, list(nil, 2)},
		{"two", nil, kw{"b": 2, "a": 1}, list(1, 2)},
		{"two", list(1), kw{"b": nil}, list(1, nil)},
		{"two", list(1), kw{"a": 1}, "two: a is given twice: as argument 1 and by name"},
		{"two", list(1), kw{"z": 1, "c": 2}, "two: no parameter c; the parameters are a, b"},
		{"rest", list(1), nil, list(1, nil)},
		{"rest", list(1), kw{"x": 2}, list(1, kw{"x": int64(2)})},
		{"rest", nil, kw{"x": 2, "a": 1}, list(1, kw{"x": int64(2)})},
		{"rest", nil, kw{"x": 2}, list(nil, kw{"x": int64(2)})},
		{"rest", list(1, 2), nil, "rest: takes 1 argument, got 2"},
		{"more", list(1, 2, 3), nil, list(1, 2, 3)},
		{"more", list(1, 2), kw{"x": 3}, list(1, 2, kw{"x": int64(3)})},
		{"more", nil, kw{"a": 3}, list(3)},
		{"typed", list(1), nil, list(1, nil)},
		{"typed", list(1, "x"), nil, list(1, "x")},
		{"typed", nil, nil, "typed: a: expected integer, got nothing"},
		{"typed", list(nil), nil, "typed: a: expected integer, got None"},
		{"typed", list("1"), nil, "typed: a: expected integer, got string"},
		{"typed", list(1.5), nil, "typed: a: expected integer, got number 1.5"},
		{"typed", list(1, true), nil, "typed: b: expected string, got boolean"},
		{"typed", nil, kw{"b": "x"}, "typed: a: expected integer, got nothing"},
		{"typed", nil, kw{"b": "x", "a": nil}, "typed: a: expected integer, got None"},
		{"order", list(kw{"sku": "a", "amount": 1}, "low"), nil, list("a", "low")},
		{"order", list(kw{"sku": "a", "amount": 1, "tags": list("x")}, "high"), nil, list("a", "high")},
		{"order", list(kw{"sku": "a"}, "low"), nil, "order: item.amount: expected integer, got nothing"},
		{"order", list(kw{"sku": "a", "amount": 1, "tags": list("x", 2)}, "low"), nil,
			"order: item.tags[2]: expected string, got number 2"},
		{"order", list(1, "low"), nil, "order: item: expected Item, got number 1"},
		{"order", list(kw{"sku": "a", "amount": 1}, "mid"), nil,
			`order: level: expected "low"|"high", got "mid"`},
		{"lists", list(list(1, "x"), kw{"a": 1.5}), nil, list(2)},
		{"lists", list(list(1, true), kw{}), nil, "lists: list[2]: expected integer|string, got boolean"},
		{"lists", list(kw{"a": 1}, kw{}), nil, "lists: list: expected (integer|string)[], got dict"},
		{"lists", list(list(), list(1)), nil, "lists: prices: expected table<string, number>, got list"},
		{"lists", list(list(), kw{"a": "x"}), nil, "lists: prices.a: expected number, got string"},
		{"sum", list(1, 2), nil, list(1, 2)},
		{"sum", list(1, "x"), nil, "sum: argument 2: expected integer, got string"},
		{"sum", list(1), kw{"x": 1}, "sum: no parameter x; it has no parameters"},
		{"alias", nil, nil, list(nil)},
		{"alias", list(nil, "anything"), nil, list(nil)},
		{"alias", list(kw{"sku": "a"}), nil, "alias: item.amount: expected integer, got nothing"},
		{"named", list(1), nil, list(1, nil)},
		{"named", list(1, 2, 3), nil, list(1, nil, 2, 3)},
		{"named", list(1, 2), kw{"x": 2, "y": "all"}, list(1, kw{"x": int64(2), "y": "all"}, 2)},
		{"named", nil, kw{"x": 2, "a": 1}, list(1, kw{"x": int64(2)})},
		{"named", list(1), kw{"x": true}, `named: x: expected integer|"all", got boolean`},
		{"node", list(nil, kw{"value": 1, "next": kw{"value": 2, "next": nil}}), nil, list()},
		{"node", list(nil, kw{"value": 1, "next": kw{"value": 2, "next": kw{}}}), nil,
			"node: one.next.next.value: expected integer, got nothing"},
		{"node", list(kw{"value": "x"}, "a"), nil, "node: node: expected Node|Node[]|nil, got dict"},
		{"node", list(list(kw{"value": "x"}), "a"), nil, "node: node: expected Node|Node[]|nil, got list"},
		{"floats", nil, nil, codec.Tuple{3.0, 4.0, int64(5)}},
	} {
		h := start(t, argumentsScript)
		got := h.do(object.Invoke, test.method, test.args, test.keywords)
		if text, ok := test.want.(string); ok {
			if !refused(got.err, text) {
				t.Errorf("%s(%v, %v) = %v, %v; want %q", test.method, test.args, test.keywords, got.value, got.err,
					text)
			}
			h.call("runs").want(t, int64(0))
			continue
		}
		if diff := cmp.Diff(test.want, got.value); diff != "" || got.err != nil {
			t.Errorf("%s(%v, %v): %v (-want +got)\n%s", test.method, test.args, test.keywords, got.err, diff)
		}
	}
}

// refused reports whether an error is that of arguments that do not fit: the call was not executed.
func refused(err error, text string) bool {
	e, ok := errors.AsType[*object.Error](err)
	return ok && e.Code == object.CodeInvalid && e.Reason == object.ReasonType && e.Msg == text &&
		e.Executed() == object.NotExecuted
}

// TestAnnotationsCannotLoop calls methods whose annotations are made to take the check long. It ends at a limit, or at
// once.
func TestAnnotationsCannotLoop(t *testing.T) {
	script := "local O = hearth.object { instance = 'single' }\n"
	for i := range 200 { // each alias has the next one twice
		script += fmt.Sprintf("---@alias A%d A%d|A%d\n", i, i+1, i+1)
	}
	script += "---@alias A200 integer\n---@param a A0\nfunction O.expose:twice(a) end\n" +
		"---@param a (" + strings.Repeat("{x: integer}|", 400) + "integer)[]\nfunction O.expose:many(a) end\nreturn O"
	h := start(t, script)
	if got := h.do(object.Invoke, "twice", []any{"x"}, nil); got.err == nil {
		t.Errorf("the check of 2^200 alternatives returned %v", got.value)
	}
	h = start(t, script)
	items := make([]any, 100_000)
	for i := range items {
		items[i] = map[string]any{}
	}
	if got := h.do(object.Invoke, "many", []any{items}, nil); got.err == nil && got.value == nil {
		t.Errorf("a list of wrong items was accepted")
	}
}

// TestSetChecksValue sets an attribute whose setter declares a type.
func TestSetChecksValue(t *testing.T) {
	h := start(t, argumentsScript)
	h.do(object.Set, "price", []any{"price", 2.5}, nil).want(t, nil)
	if err := h.do(object.Set, "price", []any{"price", "x"}, nil).err; !refused(err,
		"price: the value: expected number, got string") {
		t.Errorf("a wrong value: %v", err)
	}
	h.do(object.Get, "price", []any{"price"}, nil).want(t, 2.5)
}

// TestFloatItems: whole numbers are floats in a stream of numbers.
func TestFloatItems(t *testing.T) {
	h := start(t, argumentsScript)
	for method, want := range map[object.Method]any{"numbers": 1.0, "integers": int64(1)} {
		r, _ := h.request(object.Invoke, method, nil, nil)
		out, err := h.s.Call(t.Context(), r)
		if err != nil || out.Stream == nil {
			t.Fatalf("%s: %v", method, err)
		}
		r, enc := h.request(object.Invoke, method, nil, nil)
		if ok, _, err := out.Stream.Next(t.Context(), r); !ok || err != nil || h.value(enc) != want {
			t.Errorf("%s: an item is %v, %v, %v", method, h.value(enc), ok, err)
		}
	}
}

// TestBatchBindsArguments has a batch end at a call whose arguments do not fit. The calls before it have run.
func TestBatchBindsArguments(t *testing.T) {
	h := start(t, argumentsScript)
	_, v, err := h.batch([]object.Method{"two", "floats", "typed", "two"}, []any{
		codec.Tuple{"two", codec.Tuple{}, map[string]any{"b": 2}}, triple("floats"), triple("typed", "x"),
		triple("two"),
	})
	list, _ := v.([]any)
	if err != nil || len(list) != 3 {
		t.Fatalf("batch = %v, %v", v, err)
	}
	if diff := cmp.Diff([]any{nil, int64(2)}, list[0]); diff != "" {
		t.Errorf("two:\n%s", diff)
	}
	if diff := cmp.Diff(codec.Tuple{3.0, 4.0, int64(5)}, list[1]); diff != "" {
		t.Errorf("floats:\n%s", diff)
	}
	wrapper, _ := list[2].(map[string]any)
	const want = "typed: a: expected integer, got string"
	if text := fmt.Sprintf("%+v", wrapper["exception"]); !strings.Contains(text, want) {
		t.Errorf("the exception is %s", text)
	}
	h.call("runs").want(t, int64(1))
}
