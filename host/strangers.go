package host

import "container/list"

// strangers is the list of connections that have not finished their handshake, in the
// order in which they came. The host's mutex guards it.
type strangers struct{ list.List }

func (s *strangers) add(c *conn) { c.stranger = s.PushBack(c) }

func (s *strangers) remove(c *conn) {
	if c.stranger != nil {
		s.Remove(c.stranger)
		c.stranger = nil
	}
}

// evict takes the oldest off the list and returns it, for its socket to be closed: it is no
// candidate a second time while its goroutine has not ended. nil if there is none.
func (s *strangers) evict() *conn {
	e := s.Front()
	if e == nil {
		return nil
	}
	c := e.Value.(*conn)
	s.remove(c)
	return c
}
