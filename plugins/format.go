package plugins

import (
	"strings"

	"github.com/hearthhost/hearth/object"
)

// The plugin protocol has its own fields for the formats of calls: the number of the Pyro protocol and the name of the
// serializer. The host's process must not import a codec of arguments, so this file reads the names of formats as
// texts.

// Names in a plugin's list of what it supports.
const (
	webJSON      = "http/json" // also the format of HTTP calls, and their serializer in the protocol
	supportsOnce = "once"
)

// supports is what a plugin supports besides the calls of Pyro clients.
type supports struct {
	web  bool // calls of HTTP clients
	once bool // calls with an idempotency key
}

// formatFields returns the fields protocol and serializer of a request for calls in a format. protocol is 0 for formats
// of other clients than Pyro's. known is false for a format that no plugin takes.
func formatFields(f object.Format) (protocol uint32, serializer string, known bool) {
	clients, serializer, _ := strings.Cut(string(f), "/")
	switch {
	case f == webJSON:
		return 0, webJSON, true
	case clients == "pyro4":
		return 48, serializer, true
	case clients == "pyro5":
		return 502, serializer, true
	}
	return 0, "", false
}

// checkFormat returns an error if the plugin does not take calls in a format.
func (pr *process) checkFormat(f object.Format) error {
	if f == webJSON && !pr.supports.web {
		return object.Errorf(object.CodeInvalid,
			"%s does not take calls over HTTP: build it with a newer SDK; not executed", pr.p.cfg.ID)
	}
	return nil
}

// objectCallFormat returns the format of a call that a plugin makes with a serializer.
func objectCallFormat(serializer string) (f object.Format, ok bool) {
	switch serializer {
	case "serpent", "json", "msgpack":
		return object.Format("pyro5/" + serializer), true
	}
	return "", false
}
