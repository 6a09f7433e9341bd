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

func (s *strangers) oldest() *conn {
	if e := s.Front(); e != nil {
		return e.Value.(*conn)
	}
	return nil
}
