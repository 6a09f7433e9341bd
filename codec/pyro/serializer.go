package pyro

import (
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/wire"
)

// The serializers by their numbers in message headers.
var (
	pyro4Serializers = [...]codec.ID{1: codec.Serpent, 2: codec.JSON, 3: codec.MarshalData, 6: codec.Msgpack}
	pyro5Serializers = [...]codec.ID{1: codec.Serpent, 2: codec.MarshalData, 3: codec.JSON, 4: codec.Msgpack}
)

func serializerIDs(p wire.Protocol) []codec.ID {
	if p == wire.Pyro4 {
		return pyro4Serializers[:]
	}
	return pyro5Serializers[:]
}

// Serializer returns the serializer with a number in messages of p, nil for an unknown number. The numbers of pickle,
// dill and cloudpickle are unknown: reading these formats executes code.
func Serializer(p wire.Protocol, number uint16) codec.Serializer {
	ids := serializerIDs(p)
	if int(number) >= len(ids) {
		return nil
	}
	return codec.ByID(ids[number])
}

// SerializerNumber returns the number of s in messages of p.
func SerializerNumber(p wire.Protocol, s codec.Serializer) uint16 {
	for number, id := range serializerIDs(p) {
		if id == s.ID() {
			return uint16(number)
		}
	}
	return 0
}
