package web_test

import (
	"encoding/json"
	"slices"
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
