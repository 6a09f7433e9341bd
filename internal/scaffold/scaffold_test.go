package scaffold_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/internal/scaffold"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id, err := scaffold.ParseID("acme.shop.cart")
	if err != nil {
		t.Fatal(err)
	}
	path, err := scaffold.Write(dir, id)
	if want := filepath.Join(dir, "acme", "shop", "cart.lua"); err != nil || path != want {
		t.Fatalf("Write() = %s, %v; want %s", path, err, want)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), "acme.shop.cart") {
		t.Errorf("the script does not name its object: %v\n%s", err, text)
	}
	if _, err := scaffold.Write(dir, id); err == nil || !strings.Contains(err.Error(), "was not changed") {
		t.Errorf("Write() over a file = %v", err)
	}
}

func TestParseID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"acme":              "for example: hearth new acme.counter",
		"acme.lib.text":     "modules for require",
		"acme.counter_test": "hold tests",
	} {
		if _, err := scaffold.ParseID(id); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseID(%q) = %v, want an error with %q", id, err, want)
		}
	}
}
