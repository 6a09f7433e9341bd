package host

import (
	"fmt"
	"strconv"

	"github.com/hearthhost/hearth/gateway/pyro"
	"github.com/hearthhost/hearth/gateway/pyro/handshake"
	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/builtin"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/internal/peerlog"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport"
)

// Limit is one of the host's fixed limits, as text for operators.
type Limit struct{ Name, Value string }

// Limits returns the host's fixed limits.
func Limits() []Limit {
	return []Limit{
		{"message size before authentication", strconv.Itoa(object.DefaultMessageBytes>>20) + " MiB"},
		{"time for the handshake", handshake.Timeout.String()},
		{"time for a call to begin", dispatch.StartTimeout.String()},
		{"time to finish running calls before the stop", drainTimeout.String()},
		{"connections", strconv.Itoa(admit.MaxConns) + ", less if there are not as many descriptors"},
		{"connections of a principal", "a quarter of all, or connections of a limit block"},
		{"bytes in flight", fmt.Sprintf("a quarter of the memory, %d MiB to %d MiB",
			admit.LeastFlightBytes>>20, admit.MostFlightBytes>>20)},
		{"bytes in flight of a principal", "a quarter of all, or in_flight of a limit block"},
		{"arguments of the host's own objects", strconv.Itoa(builtin.MaxArgumentBytes>>10) + " KiB"},
		{"calls in a batch", strconv.Itoa(object.MaxBatch)},
		{"unauthenticated connections", strconv.Itoa(pyro.MaxUnauthenticated)},
		{"connections of one other machine", strconv.Itoa(admit.MaxPerSource)},
		{"bytes of a TLS handshake", strconv.Itoa(transport.MaxHandshakeBytes>>10) + " KiB"},
		{"bytes of all unfinished TLS handshakes", strconv.Itoa(transport.MaxHandshakesBytes>>20) + " MiB"},
		{"certificates in a client's chain", strconv.Itoa(transport.MaxClientCerts)},
		{"running calls while several tenants have calls", strconv.Itoa(admit.DefaultSlots())},
		{"running oneway calls of a connection", strconv.Itoa(pyro.MaxOneways)},
		{"item streams of a principal, without a limit", strconv.Itoa(dispatch.MaxStreams)},
		{"log lines about one principal's connections and oneway calls", strconv.Itoa(peerlog.MaxLines) + " a second"},
		{"size of a regular expression for the name server", strconv.Itoa(builtin.MaxRegexSize)},
		{"objects calling objects", strconv.Itoa(dispatch.MaxCallDepth) + " deep"},
	}
}
