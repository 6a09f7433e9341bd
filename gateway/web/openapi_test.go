package web_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestOpenAPI checks that a document has the members that its reader may call, and no others.
func TestOpenAPI(t *testing.T) {
	f := serve(t, "", rules+`
forbid "no reset" {
  principals = ["owner"]
  objects    = ["acme.counter"]
  methods    = ["reset", "total="]
}
`)
	a := f.do(t, "GET", "/openapi.json", "")
	var d struct {
		OpenAPI string
		Paths   map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(a.body), &d); err != nil || a.status != 200 || d.OpenAPI == "" {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	var got []string
	for path, item := range d.Paths {
		for method := range item {
			got = append(got, method+" "+path)
		}
	}
	for _, want := range []string{"post /v1/objects/acme.counter/add", "get /v1/objects/acme.counter/total",
		"post /v1/objects/acme.cart:{key}/key"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s in %q", want, got)
		}
	}
	for _, hidden := range []string{"post /v1/objects/acme.counter/reset", "put /v1/objects/acme.counter/total",
		"post /v1/objects/other.hidden/hi"} {
		if slices.Contains(got, hidden) {
			t.Errorf("%s is in the document", hidden)
		}
	}
	if a := f.do(t, "POST", "/openapi.json", ""); a.status != 405 {
		t.Errorf("POST: %d", a.status)
	}
}

// TestDocumentsAreBounded checks that long texts of scripts do not make a document of any size.
func TestDocumentsAreBounded(t *testing.T) {
	f := serve(t, "", rules)
	source := "local L = hearth.object {}\n"
	for i := range 7 {
		source += strings.Repeat("-- "+strings.Repeat("x", 97)+"\n", 80)
		source += fmt.Sprintf("function L.expose:m%d() end\n", i)
	}
	for i := range 90 {
		file := filepath.Join(f.dir, "scripts", "acme", fmt.Sprintf("long%d.lua", i))
		if err := os.WriteFile(file, []byte(source+"return L\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.host.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := f.do(t, "GET", "/v1/objects/acme.long7", ""); a.status != 200 || len(a.body) < 50_000 {
		t.Fatalf("%d with %d bytes", a.status, len(a.body))
	}
	a := f.do(t, "GET", "/openapi.json", "")
	if n := strings.Count(a.body, `"/v1/objects/acme.long`) / 7; a.status != 200 || n == 0 || n > 80 {
		t.Errorf("%d with %d long objects, %d bytes", a.status, n, len(a.body))
	}
}
