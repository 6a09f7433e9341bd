package admin

import (
	"net"
	"sync"
)

// limitedListener limits the open connections of a listener: the host's descriptors are for
// calls. More connections wait to be accepted.
type limitedListener struct {
	net.Listener
	room chan struct{}
}

// Accept waits until fewer connections are open than the limit.
func (b *limitedListener) Accept() (net.Conn, error) {
	b.room <- struct{}{}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.room
		return nil, err
	}
	return &limitedConn{Conn: c, b: b}, nil
}

// limitedConn releases its slot when it is closed.
type limitedConn struct {
	net.Conn
	b    *limitedListener
	once sync.Once
}

func (c *limitedConn) Close() error {
	c.once.Do(func() { <-c.b.room })
	return c.Conn.Close()
}
