package admit

import (
	"net"
	"testing"
)

// from is a connection of which only the peer's address is asked.
type from struct {
	net.Conn
	addr net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.addr }

func TestSourcesAreBounded(t *testing.T) {
	at := func(ip string, port int) net.Conn { return from{addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: port}} }
	s := Sources{}
	for i := range MaxPerSource {
		if !s.Add(at("192.0.2.1", i)) || !s.Add(at("2001:db8::1", i)) {
			t.Fatalf("connection %d of a source was refused", i)
		}
	}
	for ip, want := range map[string]bool{
		"192.0.2.1": false, "::ffff:192.0.2.1": false, "192.0.2.2": true,
		"2001:db8::2": false, "2001:db8:0:1::1": true, "127.0.0.1": true, "::1": true,
	} {
		if got := s.Add(at(ip, 1)); got != want {
			t.Errorf("one more from %s: %t, want %t", ip, got, want)
		}
	}
	if !s.Add(from{addr: &net.UnixAddr{Name: "x"}}) {
		t.Error("a Unix socket was refused")
	}
	for range 3 * MaxPerSource {
		s.Add(at("127.0.0.1", 1))
	}
	s.Remove(at("192.0.2.1", 5))
	if !s.Add(at("192.0.2.1", 9)) {
		t.Error("a source that closed a connection cannot open another")
	}
	for range MaxPerSource {
		s.Remove(at("192.0.2.1", 1))
		s.Remove(at("2001:db8::1", 1))
	}
	s.Remove(at("192.0.2.2", 1))
	s.Remove(at("2001:db8:0:1::1", 1))
	s.Remove(at("127.0.0.1", 1))
	if len(s) != 0 {
		t.Errorf("%d sources are remembered after their connections closed", len(s))
	}
}
