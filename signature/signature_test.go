package signature_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/signature"
)

func texts(warnings []signature.Warning) (out []string) {
	for _, w := range warnings {
		out = append(out, w.Text)
	}
	return out
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name     string
		comment  string
		params   []string
		variadic bool
		want     string
		warnings []string
	}{
		{name: "without annotations", comment: "Adds.", params: []string{"k", "v"}, want: "(k, v)"},
		{
			name: "types", comment: "@param k integer the amount\n@param note? string\n@return integer total",
			params: []string{"k", "note"}, want: "(k: integer, note?: string): integer",
		},
		{name: "nil makes it optional", comment: "@param k integer|nil", params: []string{"k"}, want: "(k?: integer)"},
		{name: "suffix", comment: "@param k integer?", params: []string{"k"}, want: "(k?: integer)"},
		{
			name:    "containers",
			comment: "@param a string[]\n@param b table<string, number[]>\n@param c { x: integer, y?: string }",
			params:  []string{"a", "b", "c"},
			want:    "(a: string[], b: table<string, number[]>, c: {x: integer, y?: string})",
		},
		{
			name: "literals", comment: `@param how "fast"|'slow'|3|true`, params: []string{"how"},
			want: `(how: "fast"|"slow"|3|true)`,
		},
		{
			name: "array of a union", comment: "@param a (string|number)[]", params: []string{"a"},
			want: "(a: (string|number)[])",
		},
		{name: "any absorbs", comment: "@param a string|any", params: []string{"a"}, want: "(a?: any)"},
		{
			name:    "function",
			comment: "@param f fun(a: string, ...): boolean, string?\n@param b integer", params: []string{"f", "b"},
			want: "(f?: any, b: integer)",
		},
		{name: "variadic", comment: "@param ... integer", variadic: true, want: "(...: integer)"},
		{
			name: "results", comment: "@return integer n, string? text # why\n@return boolean",
			want: "(): integer, string?, boolean",
		},
		{
			name: "a table with both", comment: "@param t { [string]: integer, x: string }", params: []string{"t"},
			want: "(t: table)",
		},
		{
			name: "unknown parameter", comment: "@param x integer", params: []string{"k"}, want: "(k)",
			warnings: []string{"@param: the function has no parameter x"},
		},
		{
			name: "twice", comment: "@param k integer\n@param k string", params: []string{"k"}, want: "(k: integer)",
			warnings: []string{"@param: k has two annotations; the first one holds"},
		},
		{
			name: "a type that does not end", comment: "@param k table<string", params: []string{"k"},
			want:     "(k?: any)",
			warnings: []string{`@param: , is missing at ""`},
		},
		{
			name: "undeclared", comment: "@param k Point", params: []string{"k"}, want: "(k: Point)",
			warnings: []string{"@param: the type Point is not declared; it is any"},
		},
		{name: "unknown tag", comment: "@parm k integer", params: []string{"k"}, want: "(k)",
			warnings: []string{"@parm is not known"}},
		{name: "an address is no annotation", comment: "@Ann wrote it. @a@b", want: "()"},
		{name: "no ...", comment: "@param ... integer", want: "()",
			warnings: []string{"@param: the function has no ... parameter"}},
		{
			name: "too deep", comment: "@param k " + strings.Repeat("(", 100) + "integer", params: []string{"k"},
			want:     "(k?: any)",
			warnings: []string{`@param: the type is nested too deeply at "` + strings.Repeat("(", 30) + `..."`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, warnings := signature.Parse(c.comment, c.params, c.variadic, nil)
			if got := f.String(); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if got := texts(warnings); !reflect.DeepEqual(got, c.warnings) {
				t.Errorf("warnings %q, want %q", got, c.warnings)
			}
		})
	}
}

func TestParseDoc(t *testing.T) {
	f, _ := signature.Parse("Adds to the total.\n@param k integer the amount\nIt is quick.\n"+
		"@return integer sum the new total\n@deprecated", []string{"k"}, false, nil)
	if want := "Adds to the total.\nIt is quick."; f.Doc != want {
		t.Errorf("doc %q, want %q", f.Doc, want)
	}
	if f.Params[0].Doc != "the amount" || f.Returns[0].Name != "sum" || f.Returns[0].Doc != "the new total" ||
		!f.Deprecated {
		t.Errorf("got %+v", f)
	}
}

const shop = `
-- A thing in the shop.
---@class Item
---@field name string the label
---@field private secret string
---@field price? number

---@class Book: Item
---@field pages integer

---@enum Size
local Size = {
  -- smallest first
  S = 1, M = 2,
  L = 3,
}

---@alias Mode "fast"|"slow"
---@alias Key
---| "a" # the first
---| integer
`

func TestSchema(t *testing.T) {
	types, warnings := signature.ParseTypes(shop)
	if len(warnings) > 0 {
		t.Fatal(warnings)
	}
	got, err := json.Marshal(types.Definitions(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := `{
		"Book": {"type":"object","title":"Book","required":["pages","name"],"properties":{
			"pages":{"type":"integer"},"name":{"type":"string","description":"the label"},"price":{"type":"number"}}},
		"Item": {"type":"object","title":"Item","description":"A thing in the shop.","required":["name"],"properties":{
			"name":{"type":"string","description":"the label"},"price":{"type":"number"}}},
		"Key": {"anyOf":[{"const":"a"},{"type":"integer"}]},
		"Mode": {"enum":["fast","slow"]},
		"Size": {"enum":[1,2,3]}}`
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("got %s", got)
	}
	f, warnings := signature.Parse("@param b Book\n@param n Missing", []string{"b", "n"}, false, types)
	if len(warnings) != 1 {
		t.Errorf("warnings %v", warnings)
	}
	if ref := types.Schema(f.Params[0].Type, nil)["$ref"]; ref != "#/$defs/Book" {
		t.Errorf("reference %v", ref)
	}
	if s := types.Schema(f.Params[1].Type, nil); len(s) != 0 {
		t.Errorf("an undeclared type has the schema %v", s)
	}
}

func TestParseTypesWarns(t *testing.T) {
	for source, want := range map[string]string{
		"---@field x integer":                           "@field belongs under a @class",
		"---@class A\n---@class A":                      "the type A exists already",
		"---@class string":                              "the type string exists already",
		"---@class":                                     "the name of a type is required",
		"---@enum E\nlocal x = 3":                       "@enum belongs above a table",
		"---@enum E\nx = {f()}":                         `@enum: an item must be NAME = a text or a number, not "f()"`,
		"---@class A\n---@field x Nothing":              "the type Nothing is not declared; it is any",
		"---@alias M {":                                 `the name of a field is required at ""`,
		"---@class A: B\n---@class B: A\n---@field x ?": `a type is required at "?"`,
	} {
		_, warnings := signature.ParseTypes(source)
		if got := texts(warnings); len(got) != 1 || got[0] != want {
			t.Errorf("%q: warnings %q, want %q", source, got, want)
		}
	}
}

// TestBounds reads scripts and comments with more types than are kept.
func TestBounds(t *testing.T) {
	for name, source := range map[string]string{
		"alternatives": "---@alias A " + strings.Repeat("a|", 500_000) + "a",
		"classes":      numbered("---@class C%d\n"),
		"fields":       "---@class C\n" + numbered("---@field f%d string\n"),
		"literals":     "---@enum E\nlocal e = {" + numbered("A%d = 1,") + "}",
	} {
		types, warnings := signature.ParseTypes(source)
		if len(warnings) == 0 || len(warnings) > 100 {
			t.Errorf("%s: %d warnings", name, len(warnings))
		}
		fields, _ := types.Fields("C")
		if n := len(types.Names()) + len(fields); n > 20_001 {
			t.Errorf("%s: %d types and fields are kept", name, n)
		}
	}
	f, warnings := signature.Parse("@param k "+strings.Repeat("a|", 5000)+"a", []string{"k"}, false, nil)
	if want := "(k?: any)"; f.String() != want || len(warnings) != 1 {
		t.Errorf("got %s, %d warnings; want %s", f, len(warnings), want)
	}
}

func numbered(format string) string {
	var b strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// A signature that was printed is read as the same signature.
func FuzzParse(f *testing.F) {
	f.Add("@param k integer the amount\n@param b? {x: string[], y?: table<string, 'a'|3>}\n@return A.b-c|nil")
	f.Add("@param k (A|B)?[]\n@param ... fun(x: integer): string")
	f.Add(shop)
	f.Fuzz(func(t *testing.T, text string) {
		types, _ := signature.ParseTypes(text)
		types.Definitions(nil)
		first, _ := signature.Parse(text, []string{"k", "b"}, true, types)
		for _, p := range first.Params {
			if strings.ContainsAny(p.Type.String(), "\"") {
				continue // quotes inside of texts have no escapes
			}
			again, _ := signature.Parse("@param k "+p.Type.String(), []string{"k"}, false, types)
			if got, want := again.Params[0].Type.String(), p.Type.String(); got != want {
				t.Errorf("%s is read as %s", want, got)
			}
		}
	})
}
