package openapi

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/signature"
)

var update = flag.Bool("update", false, "write the files in testdata")

const types = `
---@class Item
---@field name string the name
---@field price number
---@field parts? Item[]
`

func cart(t *testing.T) *object.Description {
	t.Helper()
	ts, warnings := signature.ParseTypes(signature.Source{File: "cart.lua", Text: types})
	if len(warnings) > 0 {
		t.Fatal(warnings)
	}
	method := func(name, comment string, params ...string) object.Member {
		f, warnings := signature.Parse(signature.Comment{Text: comment, Params: params}, ts)
		if len(warnings) > 0 {
			t.Fatal(warnings)
		}
		return object.Member{Name: object.Method(name), Doc: f.Doc, Method: true, Function: f}
	}
	total, err := signature.ParseType("number")
	if err != nil {
		t.Fatal(err)
	}
	clear := object.Member{Name: "clear", Method: true, Oneway: true}
	members := []object.Member{
		clear,
		method("list", "Lists the items.\n@return hearth.stream<Item>"),
		method("put", "Puts an item.\nIt counts.\n@param item Item what\n@param n? integer\n@return integer",
			"item", "n"),
		{Name: "total", Get: true, Set: true, Value: total, Doc: "The sum."},
	}
	return &object.Description{ID: "shop.cart:*", Doc: "A cart.", Instance: object.Keyed, Types: ts, Members: members}
}

// TestDocument compares a document with the one in testdata, which a validator of OpenAPI has accepted.
func TestDocument(t *testing.T) {
	d := Document(Info{Title: "Hearth", Version: "1", Server: "https://host.example.org:8443"}, []*object.Description{
		cart(t),
		{ID: "shop.session", Instance: object.Session, Members: []object.Member{{Name: "next", Method: true}}},
	})
	got, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "shop.json")
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got)+"\n" != string(want) {
		t.Errorf("the document differs from %s:\n%s", file, got)
	}
}

// TestReferences checks that each reference in a document has its target, and that operation ids are different.
func TestReferences(t *testing.T) {
	d := Document(Info{Title: "Hearth", Version: "1"}, []*object.Description{cart(t)})
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Paths      map[string]map[string]json.RawMessage
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	refs := strings.Split(string(text), `"$ref":"#/components/schemas/`)[1:]
	if len(refs) < 4 {
		t.Errorf("%d references", len(refs))
	}
	for _, ref := range refs {
		name, _, _ := strings.Cut(ref, `"`)
		if back.Components.Schemas[name] == nil {
			t.Errorf("no schema %s", name)
		}
	}
	ids := map[string]bool{}
	for path, item := range back.Paths {
		for method, raw := range item {
			var op struct{ OperationID string }
			if method == "parameters" || json.Unmarshal(raw, &op) != nil {
				continue
			}
			if op.OperationID == "" || ids[op.OperationID] {
				t.Errorf("%s %s: operation id %q is missing or repeated", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
		}
	}
}

// TestBound checks that the document of a large type is bounded.
func TestBound(t *testing.T) {
	about := cart(t)
	for range 1000 {
		about.Members = append(about.Members, about.Members[1:3]...)
	}
	b := &builder{left: 10, paths: doc{}, schemas: doc{}}
	b.object(about)
	if b.left > 0 {
		t.Errorf("%d schemas left", b.left)
	}
}
