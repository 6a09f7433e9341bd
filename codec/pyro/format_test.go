package pyro_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

var (
	format4 = pyro.FormatOf(wire.Pyro4, codec.ByID(codec.JSON))
	format5 = pyro.FormatOf(wire.Pyro5, codec.ByID(codec.Msgpack))
)

func TestFormats(t *testing.T) {
	t.Parallel()
	for _, f := range []*pyro.Format{format4, format5, pyro.ObjectCalls} {
		if pyro.Lookup(f.Format()) != f {
			t.Errorf("Lookup(%q) is not the format of this name", f.Format())
		}
		if len(f.Format()) > object.MaxFormatBytes {
			t.Errorf("%q has more than %d bytes", f.Format(), object.MaxFormatBytes)
		}
	}
	if format4.Format() != "pyro4/json" || format5.Format() != "pyro5/msgpack" {
		t.Errorf("formats %q and %q", format4.Format(), format5.Format())
	}
	for _, name := range []object.Format{"", "json", "pyro5", "pyro5/marshal", "pyro6/json", "http/json"} {
		if f := pyro.Lookup(name); f != nil {
			t.Errorf("Lookup(%q) is a format", name)
		}
	}
}

func TestClass(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, to4, to5 string
		known          bool
	}{
		{"Pyro4.core.URI", "Pyro4.core.URI", "Pyro5.core.URI", true},
		{"Pyro5.client.Proxy", "Pyro4.core.Proxy", "Pyro5.client.Proxy", true},
		{"Pyro4.errors.NamingError", "Pyro4.errors.NamingError", "Pyro5.errors.NamingError", false},
		{"Pyro5.errors.Unknown", "Pyro4.errors.Unknown", "Pyro5.errors.Unknown", false},
		{"Pyro6.errors.NamingError", "Pyro6.errors.NamingError", "Pyro6.errors.NamingError", true},
		{"Pyro5.core._ExceptionWrapper", "Pyro5.core._ExceptionWrapper", "Pyro5.core._ExceptionWrapper", false},
		{"shop.Item", "shop.Item", "shop.Item", true},
		{"a custom name", "a custom name", "a custom name", true},
		{"SystemExit", "SystemExit", "SystemExit", false},
		{"builtins.SystemExit", "builtins.SystemExit", "builtins.SystemExit", false},
		{"Pyro5.core.Other", "Pyro5.core.Other", "Pyro5.core.Other", false},
		{"builtins.ValueError", "builtins.ValueError", "builtins.ValueError", false},
		{"", "", "", false},
	} {
		four, known4 := format4.Class(tt.name)
		five, known5 := format5.Class(tt.name)
		if four != tt.to4 || five != tt.to5 || known4 != tt.known || known5 != tt.known {
			t.Errorf("%q is %q, %v in Pyro4 and %q, %v in Pyro5", tt.name, four, known4, five, known5)
		}
	}
}

func TestState(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		class    string
		n        int
		to4, to5 []int
	}{
		{"Pyro4.core.Proxy", 9, nil, []int{1, 2, 3, 4, 7, 9}},
		{"Pyro4.core.Proxy", 6, nil, nil},
		{"Pyro5.client.Proxy", 6, []int{1, 2, 3, 4, 0, 0, 5, -1, 6}, nil},
		{"Pyro5.client.Proxy", 9, nil, nil},
		{"Pyro5.core.URI", 6, nil, nil},
	} {
		if diff := cmp.Diff([][]int{tt.to4, tt.to5},
			[][]int{format4.State(tt.class, tt.n), format5.State(tt.class, tt.n)}); diff != "" {
			t.Errorf("the state of %s with %d elements (-want +got):\n%s", tt.class, tt.n, diff)
		}
	}
}
