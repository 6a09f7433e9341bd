package pyro_test

import (
	"testing"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/wire"
)

func TestSerializerNumbers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		id     codec.ID
		name   string
		p4, p5 uint16
	}{
		{codec.Serpent, "serpent", 1, 1},
		{codec.JSON, "json", 2, 3},
		{codec.MarshalData, "marshal", 3, 2},
		{codec.Msgpack, "msgpack", 6, 4},
	} {
		s := codec.ByID(c.id)
		if s.ID() != c.id || s.Name() != c.name {
			t.Errorf("serializer %d is %d, %s", c.id, s.ID(), s.Name())
		}
		for p, want := range map[wire.Protocol]uint16{wire.Pyro4: c.p4, wire.Pyro5: c.p5} {
			if got := pyro.SerializerNumber(p, s); got != want {
				t.Errorf("SerializerNumber(%d, %s) = %d, want %d", p, c.name, got, want)
			}
			if pyro.Serializer(p, want) != s {
				t.Errorf("Serializer(%d, %d) is not %s", p, want, c.name)
			}
		}
	}
}

// TestUnknownNumbers: pickle, dill and cloudpickle execute code and have no serializer.
func TestUnknownNumbers(t *testing.T) {
	t.Parallel()
	for p, numbers := range map[wire.Protocol][]uint16{
		wire.Pyro4: {0, 4, 5, 7, 65535},
		wire.Pyro5: {0, 5, 6, 65535},
	} {
		for _, n := range numbers {
			if s := pyro.Serializer(p, n); s != nil {
				t.Errorf("Serializer(%d, %d) = %s, want nil", p, n, s.Name())
			}
		}
	}
}
