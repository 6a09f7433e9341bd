package host

import (
	"net"
	"net/netip"
)

// sources counts the connections of other machines, each of which has so many and no
// more. An IPv6 machine has a /64 to choose its addresses from, and counts as one. This
// machine's own are not counted: its users share one address, so that one of them could
// lock out the others. The zero value is not ready: make the map.
type sources map[netip.Prefix]int

// sourceOf returns what a connection counts under; ok is false if it does not count.
func sourceOf(nc net.Conn) (source netip.Prefix, ok bool) {
	a, isTCP := nc.RemoteAddr().(*net.TCPAddr)
	if !isTCP {
		return source, false
	}
	addr := a.AddrPort().Addr().Unmap().WithZone("")
	if addr.IsLoopback() {
		return source, false
	}
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	source, err := addr.Prefix(bits)
	return source, err == nil
}

// add counts a connection and reports whether its source may have it.
func (s sources) add(nc net.Conn) bool {
	source, ok := sourceOf(nc)
	if !ok {
		return true
	}
	if s[source] >= maxPerSource {
		return false
	}
	s[source]++
	return true
}

// remove takes back what add counted.
func (s sources) remove(nc net.Conn) {
	if source, ok := sourceOf(nc); ok {
		if s[source]--; s[source] <= 0 {
			delete(s, source)
		}
	}
}
