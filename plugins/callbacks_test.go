package plugins

import (
	"testing"

	"github.com/hearthhost/hearth/codec"
)

// TestSerializers holds the protocol's names against the codec's.
func TestSerializers(t *testing.T) {
	for id, name := range serializers {
		if name != "" && codec.ByID(codec.ID(id)).Name() != name {
			t.Errorf("serializer %d is not %q", id, name)
		}
	}
}
