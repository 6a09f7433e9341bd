package codec_test

import (
	"testing"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
)

func TestBinaryNumbers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		id     codec.ID
		name   string
		p4, p5 uint16
	}{{codec.Msgpack, "msgpack", 6, 4}, {codec.MarshalData, "marshal", 3, 2}} {
		s := codec.ByID(c.id)
		if s.ID() != c.id || s.Name() != c.name || s.WireID(object.Pyro4) != c.p4 || s.WireID(object.Pyro5) != c.p5 {
			t.Errorf("%s: id %d, name %s, wire ids %d and %d", c.name, s.ID(), s.Name(), s.WireID(object.Pyro4), s.WireID(object.Pyro5))
		}
		if codec.ByWire(object.Pyro4, c.p4) != s || codec.ByWire(object.Pyro5, c.p5) != s {
			t.Errorf("%s: ByWire does not find what WireID says", c.name)
		}
	}
}
