package admit

import (
	"net"
	"net/netip"

	"github.com/hearthhost/hearth/transport/peer"
)

// MaxPerSource bounds the connections from one remote machine.
const MaxPerSource = 1000

// Sources counts the connections from remote machines. All addresses of one IPv6 /64 count as one machine, since a
// machine may choose its addresses from a /64. Local connections are not counted: local users share one address, so
// that one user could lock out the others. Make the map before use. It is not safe for concurrent use.
type Sources map[netip.Prefix]int

// Add counts a connection. It reports false, and counts nothing, if its source has MaxPerSource connections.
func (s Sources) Add(nc net.Conn) bool {
	source, ok := peer.Network(nc)
	if !ok {
		return true
	}
	if s[source] >= MaxPerSource {
		return false
	}
	s[source]++
	return true
}

// Remove ends a connection that Add counted.
func (s Sources) Remove(nc net.Conn) {
	if source, ok := peer.Network(nc); ok {
		s[source]--
		if s[source] <= 0 {
			delete(s, source)
		}
	}
}
