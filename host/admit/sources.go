package admit

import (
	"net"
	"net/netip"

	"github.com/hearthhost/hearth/transport"
)

// maxPerSource bounds the connections of one other machine.
const MaxPerSource = 1000

// sources counts the connections of other machines, each of which has so many and no
// more. An IPv6 machine has a /64 to choose its addresses from, and counts as one. This
// machine's own are not counted: its users share one address, so that one of them could
// lock out the others. The zero value is not ready: make the map.
type Sources map[netip.Prefix]int

// add counts a connection and reports whether its source may have it.
func (s Sources) Add(nc net.Conn) bool {
	source, ok := transport.Network(nc)
	if !ok {
		return true
	}
	if s[source] >= MaxPerSource {
		return false
	}
	s[source]++
	return true
}

// remove takes back what add counted.
func (s Sources) Remove(nc net.Conn) {
	if source, ok := transport.Network(nc); ok {
		if s[source]--; s[source] <= 0 {
			delete(s, source)
		}
	}
}
