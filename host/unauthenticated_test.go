package host

import (
	"net"
	"testing"
)

// closing is a connection that counts how often it is closed.
type closing struct {
	net.Conn
	times int
}

func (c *closing) Close() error {
	c.times++
	return nil
}

// TestEachStrangerIsDroppedOnce makes room twice before whoever was dropped first has gone:
// the second time another one is dropped.
func TestEachStrangerIsDroppedOnce(t *testing.T) {
	h := &Host{}
	one, two := &closing{}, &closing{}
	h.unauthenticated.add(&conn{socket: one})
	h.unauthenticated.add(&conn{socket: two})
	for range 3 {
		h.makeRoom()
	}
	if one.times != 1 || two.times != 1 {
		t.Errorf("the oldest was closed %d times, the next %d times; want once each", one.times, two.times)
	}
}
