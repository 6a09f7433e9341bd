package plugins

import (
	"strings"

	"github.com/hearthhost/hearth/object"
)

// The plugin protocol has its own fields for the formats of Pyro clients: the number of the Pyro protocol and the name
// of the serializer. The host's process must not import a codec, so this file reads the names of formats as texts.

// formatFields returns the fields protocol and serializer of a request for calls in a format. protocol is 0 for formats
// of other clients.
func formatFields(f object.Format) (protocol uint32, serializer string) {
	clients, serializer, _ := strings.Cut(string(f), "/")
	switch clients {
	case "pyro4":
		return 48, serializer
	case "pyro5":
		return 502, serializer
	}
	return 0, serializer
}

// objectCallFormat returns the format of a call that a plugin makes with a serializer.
func objectCallFormat(serializer string) (f object.Format, ok bool) {
	switch serializer {
	case "serpent", "json", "msgpack":
		return object.Format("pyro5/" + serializer), true
	}
	return "", false
}
