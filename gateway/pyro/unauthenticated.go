package pyro

import (
	"container/list"
)

// unauthenticated lists the connections that have not finished their handshake, oldest first. The host's mutex guards
// it.
type unauthenticated struct{ list.List }

func (s *unauthenticated) add(c *conn) { c.pending = s.PushBack(c) }

func (s *unauthenticated) remove(c *conn) {
	if c.pending != nil {
		s.Remove(c.pending)
		c.pending = nil
	}
}

// evict removes the oldest connection and returns it, nil for an empty list. The caller closes its socket.
func (s *unauthenticated) evict() *conn {
	e := s.Front()
	if e == nil {
		return nil
	}
	c := e.Value.(*conn)
	s.remove(c)
	return c
}
