package web

import "net"

// newStrict returns the connection for HTTP/1.
func newStrict(nc net.Conn) net.Conn { return nc }
