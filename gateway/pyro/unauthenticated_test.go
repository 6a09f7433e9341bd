package pyro

import (
	"net"
	"testing"
	"time"

	"github.com/hearthhost/hearth/host/admit"
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
	var shares admit.Shares
	s := NewServer(Config{Shares: &shares})
	one, two := &closeCounter{}, &closeCounter{}
	for _, socket := range []net.Conn{one, two} {
		c := new(conn)
		c.socket.Init(socket, time.Minute)
		s.unauthenticated.add(c)
	}
	for range 3 {
		s.makeRoom()
	}
	if one.times != 1 || two.times != 1 {
		t.Errorf("the oldest was closed %d times, the next %d times; want once each", one.times, two.times)
	}
}
