package plugins

import (
	"testing"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/codec/web"
	"github.com/hearthhost/hearth/wire"
)

// TestFormats compares the texts that this package reads and writes with the formats of codec/pyro.
func TestFormats(t *testing.T) {
	for _, p := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		for _, id := range []codec.ID{codec.Serpent, codec.JSON, codec.Msgpack} {
			f := pyro.FormatOf(p, codec.ByID(id))
			protocol, serializer, known := formatFields(f.Format())
			if !known || protocol != uint32(p) || serializer != f.Name() {
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
	protocol, serializer, known := formatFields(web.JSON)
	if !known || protocol != 0 || serializer != string(web.JSON) {
		t.Errorf("the fields of HTTP calls are %d, %q", protocol, serializer)
	}
	if _, _, known := formatFields("grpc/proto"); known {
		t.Error("plugins take calls in an unknown format")
	}
}
