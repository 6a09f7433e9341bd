package object_test

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
)

func TestValidClass(t *testing.T) {
	for _, s := range []string{"shop.OutOfStock", "a.b.c", "_a._b1", "sqlite3.OperationalError", "Pyro6.errors.X",
		"a." + strings.Repeat("b", 198)} {
		if !object.ValidClass(s) {
			t.Errorf("%q is not a class", s)
		}
	}
	for _, s := range []string{"", ".", "OutOfStock", "shop.", ".OutOfStock", "shop..X", "shop.1x",
		"shop.X y", "shop.é", "shop.__class__",
		"a__b.X", "builtins.X", "exceptions.X", "Pyro4.errors.X", "Pyro5.core.URI", "shop.X\n",
		"a." + strings.Repeat("b", 199)} {
		if object.ValidClass(s) {
			t.Errorf("%q is a class", s)
		}
	}
}

func TestBareClass(t *testing.T) {
	for name, want := range map[string]string{
		"builtins.ValueError":      "ValueError",
		"exceptions.KeyError":      "KeyError",
		"Pyro5.errors.NamingError": "NamingError",
		"Pyro5.core.URI":           "Pyro5.core.URI",
		"shop.OutOfStock":          "shop.OutOfStock",
		"ValueError":               "ValueError",
	} {
		if got := object.BareClass(name); got != want {
			t.Errorf("BareClass(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestValidField(t *testing.T) {
	for s, want := range map[string]bool{"left": true, "a_1": true, "": false, "_x": false, "__class__": false,
		"_pyroTraceback": false, "args": false, "a b": false, "1a": false, strings.Repeat("a", 101): false} {
		if object.ValidField(s) != want {
			t.Errorf("ValidField(%q) = %v, want %v", s, !want, want)
		}
	}
}
