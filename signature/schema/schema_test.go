package schema_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/signature"
	"github.com/hearthhost/hearth/signature/schema"
)

const shop = `
-- A thing in the shop.
---@class Item
---@field name string the label
---@field private secret string
---@field price? number

---@class Book: Item
---@field pages integer
---@field sequel? Book

---@enum Size
local Size = { S = 1, M = 2, -- smallest first
  ["L, or more"] = 3 }

---@enum Color
local Color = { red = "red, or pink", green = "green" }

---@alias Mode "fast"|"slow"
---@alias Key
---| "a" # the first
---| integer
`

func parse(t *testing.T, types, comment string, params ...string) (*signature.Function, *signature.Types) {
	t.Helper()
	named, warnings := signature.ParseTypes(signature.Source{File: "x.lua", Text: types})
	c := signature.Comment{Text: comment, Params: params, Variadic: strings.Contains(comment, "...")}
	f, more := signature.Parse(c, named)
	if len(warnings)+len(more) > 0 {
		t.Fatal(warnings, more)
	}
	return f, named
}

// same reports a schema that differs from JSON.
func same(t *testing.T, schema any, want string) {
	t.Helper()
	got, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestArguments(t *testing.T) {
	for _, test := range []struct{ comment, want string }{
		{"", `{"type":"object","properties":{"a":{},"b":{}},"additionalProperties":false}`},
		{"@param a integer the amount\n@param b? string", `{"type":"object","required":["a"],
			"properties":{"a":{"type":"integer","description":"the amount"},"b":{"type":"string"}},
			"additionalProperties":false}`},
		{"@param a table<string, number[]>\n@param b integer|string|integer|nil", `{"type":"object","required":["a"],
			"properties":{"a":{"type":"object","additionalProperties":{"type":"array","items":{"type":"number"}}},
				"b":{"type":["integer","string","null"]}},"additionalProperties":false}`},
		{"@param a Book\n@param b Mode|Size", `{"type":"object","required":["a","b"],
			"properties":{"a":{"$ref":"#/$defs/Book"},
				"b":{"anyOf":[{"$ref":"#/$defs/Mode"},{"$ref":"#/$defs/Size"}]}},
			"additionalProperties":false,
			"$defs":{
				"Book":{"type":"object","title":"Book","required":["pages","name"],"properties":{
					"pages":{"type":"integer"},"name":{"type":"string","description":"the label"},
					"price":{"type":"number"},"sequel":{"$ref":"#/$defs/Book"}}},
				"Mode":{"enum":["fast","slow"]},"Size":{"enum":[1,2,3]}}}`},
		{"@param a Key\n@param b Color", `{"type":"object","required":["a","b"],
			"properties":{"a":{"$ref":"#/$defs/Key"},"b":{"$ref":"#/$defs/Color"}},"additionalProperties":false,
			"$defs":{"Key":{"anyOf":[{"const":"a"},{"type":"integer"}]},"Color":{"enum":["red, or pink","green"]}}}`},
		{"@param a {x: integer, [\"y z\"]?: string}\n@param b 1|2|nil", `{"type":"object","required":["a"],
			"properties":{"a":{"type":"object","required":["x"],
				"properties":{"x":{"type":"integer"},"y z":{"type":"string"}}},"b":{"enum":[1,2,null]}},
			"additionalProperties":false}`},
		{"...", `{"type":"object","properties":{"a":{},"b":{}}}`},
		{"@param ... integer", `{"type":"object","properties":{"a":{},"b":{}},"additionalProperties":false}`},
	} {
		f, types := parse(t, shop, test.comment, "a", "b")
		same(t, schema.Arguments(f, types), test.want)
	}
	f, types := parse(t, "", "@param kwargs table<string, integer>", "kwargs")
	same(t, schema.Arguments(f, types), `{"type":"object","properties":{},"additionalProperties":{"type":"integer"}}`)
	same(t, schema.Arguments(nil, nil), `{"type":"object"}`)
}

func TestPositional(t *testing.T) {
	f, types := parse(t, shop, "@param a integer\n@param b? string\n@param ... boolean", "a", "b")
	c := schema.Converter{Types: types, Ref: func(name string) string { return name }, Left: 10}
	same(t, c.Positional(f), `{"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"minItems":1,
		"items":{"type":"boolean"}}`)
	f, _ = parse(t, "", "")
	same(t, c.Positional(f), `{"type":"array","maxItems":0}`)
}

func TestResult(t *testing.T) {
	for comment, want := range map[string]string{
		"":                              `{}`,
		"@return integer total the sum": `{"type":"integer","description":"the sum"}`,
		"@return integer, string?": `{"type":"array","prefixItems":[{"type":"integer"},{"type":["string","null"]}],
			"minItems":2,"maxItems":2}`,
		"@return hearth.stream<Size>": `{"$ref":"#/$defs/Size","$defs":{"Size":{"enum":[1,2,3]}}}`,
		"@return Book # it":           "",
	} {
		f, types := parse(t, shop, comment)
		if got := schema.Result(f, types); want != "" {
			same(t, got, want)
		} else if got["$ref"] != "#/$defs/Book" || got["description"] != "it" {
			t.Errorf("%s: %v", comment, got)
		}
	}
	same(t, schema.Result(nil, nil), `{}`)
	same(t, schema.Value(nil, nil), `{}`)
	f, types := parse(t, shop, "@return Size")
	same(t, schema.Value(f.Returns[0].Type, types), `{"$ref":"#/$defs/Size","$defs":{"Size":{"enum":[1,2,3]}}}`)
}

// TestBounds converts a signature with more types than a schema may have.
func TestBounds(t *testing.T) {
	types := "---@class C\n" + strings.Repeat("---@field f integer[]\n", 6000)
	named, _ := signature.ParseTypes(signature.Source{Text: types})
	f, _ := signature.Parse(signature.Comment{Text: "@param c C", Params: []string{"c"}}, named)
	doc, err := json.Marshal(schema.Arguments(f, named))
	if err != nil || len(doc) > 100*schema.MaxSchemas {
		t.Errorf("the schema has %d bytes, %v", len(doc), err)
	}
}
