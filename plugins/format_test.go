package plugins

import (
	"testing"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/wire"
)

// TestFormats compares the texts that this package reads and writes with the formats of codec/pyro.
func TestFormats(t *testing.T) {
	for _, p := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		for _, id := range []codec.ID{codec.Serpent, codec.JSON, codec.Msgpack} {
			f := pyro.FormatOf(p, codec.ByID(id))
			if protocol, serializer := formatFields(f.Format()); protocol != uint32(p) || serializer != f.Name() {
				t.Errorf("the fields of %s are %d, %q", f.Format(), protocol, serializer)
			}
			back, ok := objectCallFormat(f.Name())
			if g := pyro.Lookup(back); !ok || g == nil || g.Generation() != wire.Pyro5 || g.Name() != f.Name() {
				t.Errorf("objects call others in the format %q of %s", back, f.Name())
			}
		}
	}
	if _, ok := objectCallFormat("marshal"); ok {
		t.Error("a plugin may call objects in marshal")
	}
	if protocol, _ := formatFields("http/json"); protocol != 0 {
		t.Errorf("a format of HTTP clients is Pyro's %d", protocol)
	}
}
