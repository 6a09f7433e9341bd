package admit

import (
	"net"
	"testing"
)

// remoteConn is a connection that has only a remote address.
type remoteConn struct {
	net.Conn
	addr net.Addr
}

func (c remoteConn) RemoteAddr() net.Addr { return c.addr }

func TestSourcesAreBounded(t *testing.T) {
	conn := func(ip string, port int) net.Conn {
		return remoteConn{addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: port}}
	}
	s := Sources{}
	for i := range MaxPerSource {
		if !s.Add(conn("192.0.2.1", i)) || !s.Add(conn("2001:db8::1", i)) {
			t.Fatalf("connection %d of a source was rejected", i)
		}
	}
	for ip, want := range map[string]bool{
		"192.0.2.1": false, "::ffff:192.0.2.1": false, "192.0.2.2": true,
		"2001:db8::2": false, "2001:db8:0:1::1": true, "127.0.0.1": true, "::1": true,
	} {
		if got := s.Add(conn(ip, 1)); got != want {
			t.Errorf("one more from %s: %t, want %t", ip, got, want)
		}
	}
	if !s.Add(remoteConn{addr: &net.UnixAddr{Name: "x"}}) {
		t.Error("a Unix socket was rejected")
	}
	for range 3 * MaxPerSource {
		s.Add(conn("127.0.0.1", 1))
	}
	s.Remove(conn("192.0.2.1", 5))
	if !s.Add(conn("192.0.2.1", 9)) {
		t.Error("a source that closed a connection cannot open another")
	}
	for range MaxPerSource {
		s.Remove(conn("192.0.2.1", 1))
		s.Remove(conn("2001:db8::1", 1))
	}
	s.Remove(conn("192.0.2.2", 1))
	s.Remove(conn("2001:db8:0:1::1", 1))
	s.Remove(conn("127.0.0.1", 1))
	if len(s) != 0 {
		t.Errorf("%d sources are counted after their connections closed", len(s))
	}
}
