package host

import (
	"strconv"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport"
)

// Limit is one of the host's fixed limits, for those who ask.
type Limit struct{ Name, Value string }

// Limits returns the host's own limits, which nothing sets.
func Limits() []Limit {
	return []Limit{
		{"message size of strangers", strconv.Itoa(object.DefaultMessageBytes>>20) + " MiB"},
		{"time for the handshake", handshakeTimeout.String()},
		{"time for a call to begin", callTimeout.String()},
		{"time to finish calls when told to stop", drainTimeout.String()},
		{"connections", strconv.Itoa(maxConns)},
		{"connections that have not introduced themselves", strconv.Itoa(maxStrangers)},
		{"connections of one other machine", strconv.Itoa(maxPerSource)},
		{"bytes of a TLS handshake", strconv.Itoa(transport.MaxHandshakeBytes>>10) + " KiB"},
		{"bytes of all unfinished TLS handshakes", strconv.Itoa(transport.MaxHandshakesBytes>>20) + " MiB"},
		{"certificates that a client shows", strconv.Itoa(transport.MaxClientCerts)},
		{"calls under way while several tenants are called", strconv.Itoa(turnCount())},
		{"oneway calls of a connection under way", strconv.Itoa(maxOneways)},
		{"item streams of a principal", strconv.Itoa(maxStreams)},
		{"objects calling objects", strconv.Itoa(maxCallDepth) + " deep"},
	}
}
