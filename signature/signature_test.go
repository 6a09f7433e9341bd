package signature_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hearthhost/hearth/signature"
)

func texts(warnings []signature.Warning) (out []string) {
	for _, w := range warnings {
		out = append(out, w.Text)
	}
	return out
}

func parse(comment string, params []string, variadic bool, types *signature.Types) (
	*signature.Function, []signature.Warning,
) {
	return signature.Parse(signature.Comment{Text: comment, Params: params, Variadic: variadic}, types)
}

// parseTypes reads a file.
func parseTypes(source string) (*signature.Types, []signature.Warning) {
	return signature.ParseTypes(signature.Source{File: "x.lua", Text: source})
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
			warnings: []string{"@param: k has two annotations; the first one is used"},
		},
		{
			name: "a type that does not end", comment: "@param k table<string", params: []string{"k"},
			want:     "(k?: any)",
			warnings: []string{`@param: , is missing at ""`},
		},
		{
			name: "text attached to a type",
			comment: "@param a integer[\n@param b integer]\n@param c integer/string\n@param d integer, string\n" +
				"@param e integer []\n@return integer]",
			params: []string{"a", "b", "c", "d", "e"},
			want:   "(a?: any, b?: any, c?: any, d?: any, e?: any): any",
			warnings: []string{
				`@param: the type ends before "["`, `@param: the type ends before "]"`,
				`@param: the type ends before "/string"`, `@param: the type ends before ", string"`,
				`@param: the type ends before "[]"`, `@return: the type ends before "]"`,
			},
		},
		{
			name:    "text behind a type",
			comment: "@param a integer# why\n@param b integer@ why\n@param c integer [0, 9]\n@return integer, string",
			params:  []string{"a", "b", "c"},
			want:    "(a: integer, b: integer, c: integer): integer, string",
		},
		{
			name: "undeclared", comment: "@param k Point", params: []string{"k"}, want: "(k?: Point)",
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
			f, warnings := parse(c.comment, c.params, c.variadic, nil)
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
	f, _ := parse("Adds to the total.\n@param k integer the amount\nIt is quick.\n"+
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

func TestParseTypesWarns(t *testing.T) {
	for source, want := range map[string]string{
		"---@field x integer":                           "@field belongs under a @class",
		"---@class A\n---@class A":                      "the type A exists already",
		"---@class string":                              "the type string exists already",
		"---@class":                                     "the name of a type is required",
		"---@enum E\nlocal x = 3":                       "@enum belongs above a table",
		"---@enum E\nx = {f()}":                         `@enum: an item must be NAME = a text or a number, not "f()}"`,
		"---@class A\n---@field x Nothing":              "the type Nothing is not declared; it is any",
		"---@alias M integer[":                          `the type ends before "["`,
		"---@class A\n---@field x integer/string":       `the type ends before "/string"`,
		"---@alias M {":                                 `the name of a field is required at ""`,
		"---@class A: B\n---@class B: A\n---@field x ?": `a type is required at "?"`,
	} {
		_, warnings := parseTypes(source)
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
		types, warnings := parseTypes(source)
		if len(warnings) == 0 || len(warnings) > 100 {
			t.Errorf("%s: %d warnings", name, len(warnings))
		}
		if n := types.Size(); n > 20_001 {
			t.Errorf("%s: %d types and fields are kept", name, n)
		}
	}
	f, warnings := parse("@param k "+strings.Repeat("a|", 5000)+"a", []string{"k"}, false, nil)
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

// A type that was printed is read as the same type, and types and signatures survive JSON.
func FuzzParse(f *testing.F) {
	f.Add("@param k integer the amount\n@param b? {x: string[], y?: table<string, 'a'|3>}\n@return A.b-c|nil")
	f.Add("@param k (A|B)?[]\n@param ... fun(x: integer): string\n@param kwargs table<string, \"a\\\"b\">")
	f.Add("@class A: B\n@field [\"a b\"] 'it\\'s'\n@class B: A\n" +
		"@alias C C|D\n@alias D C?\n@return hearth.stream<C>, `x`")
	f.Add(shop)
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return // the reader of scripts replaces other bytes
		}
		var commented strings.Builder
		for line := range strings.Lines(text) {
			commented.WriteString("---" + line)
		}
		for _, source := range []string{text, commented.String()} {
			types, _ := parseTypes(source)
			sameJSON(t, types, new(signature.Types))
			first, _ := parse(text, []string{"k", "b", "kwargs"}, true, types)
			sameJSON(t, first, new(signature.Function))
			for _, of := range first.Types() {
				again, err := signature.ParseType(of.String())
				if err != nil || !reflect.DeepEqual(again, of) {
					t.Errorf("%s is read as %v, %v", of, again, err)
				}
				types.Nillable(of)
			}
			types.Reachable(first.Types())
		}
	})
}

// sameJSON decodes the JSON of v into empty, and compares.
func sameJSON(t *testing.T, v, empty any) {
	t.Helper()
	doc, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(doc, empty)
	}
	again, _ := json.Marshal(empty)
	if err != nil || string(again) != string(doc) {
		t.Errorf("%s is read as %s, %v", doc, again, err)
	}
}
