package host

import (
	"net"
	"testing"
)

// closeCounter is a connection that counts its Close calls.
type closeCounter struct {
	net.Conn
	times int
}

func (c *closeCounter) Close() error {
	c.times++
	return nil
}

// TestEvictClosesEachOnce calls makeRoom again before the first evicted connection has ended. The second call evicts
// the next connection.
func TestEvictClosesEachOnce(t *testing.T) {
	h := &Host{}
	h.pyro = newServer(h)
	one, two := &closeCounter{}, &closeCounter{}
	h.pyro.unauthenticated.add(&conn{socket: one})
	h.pyro.unauthenticated.add(&conn{socket: two})
	for range 3 {
		h.pyro.makeRoom()
	}
	if one.times != 1 || two.times != 1 {
		t.Errorf("the oldest was closed %d times, the next %d times; want once each", one.times, two.times)
	}
}
