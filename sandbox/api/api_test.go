package api_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/sandbox/api"
)

var update = flag.Bool("update", false, "write the list into doc/sandbox.md")

// TestDoc compares the list in doc/sandbox.md.
func TestDoc(t *testing.T) {
	const doc, begin, end = "../../doc/sandbox.md", "<!-- api -->\n", "<!-- /api -->"
	b, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the list", doc)
	}
	var list strings.Builder
	for _, e := range api.Entries() {
		list.WriteString("    " + e.Name + "\n")
	}
	want := head + begin + list.String() + end + tail
	if *update {
		if err := os.WriteFile(doc, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if string(b) != want {
		t.Errorf("%s is not up to date: go test ./sandbox/api -update", doc)
	}
}

func TestEntries(t *testing.T) {
	found := map[string]string{}
	for _, e := range api.Entries() {
		found[e.Name] = e.Kind
	}
	for name, kind := range map[string]string{"string.rep": "function", "hearth.object": "function",
		"math.pi": "number", "<bytes>.len": "function"} {
		if found[name] != kind {
			t.Errorf("%s is a %q, want %s", name, found[name], kind)
		}
	}
	for _, name := range []string{"os.execute", "os.remove", "debug.sethook", "debug.setupvalue", "debug.getlocal",
		"debug.setmetatable", "dofile", "loadfile", "package.loadlib", "string.dump"} {
		if kind, ok := found[name]; ok {
			t.Errorf("a script reaches %s (%s)", name, kind)
		}
	}
}
