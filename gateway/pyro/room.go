package pyro

import (
	"cmp"
	"slices"
	"time"

	"github.com/hearthhost/hearth/object"
)

// makeRoomLocked selects connections to close: the oldest unauthenticated one, if these are more than the connections
// of any principal, otherwise idle ones of the principal with the most connections, which must be more than least. It
// selects several at once, because the search takes long. closed is nil if all are busy; whose is "" for an
// unauthenticated one.
func (s *Server) makeRoomLocked(least int) (closed []*conn, whose object.Principal) {
	heavy, conns := s.shares.Heaviest()
	if s.unauthenticated.Len() > max(conns, least) {
		return []*conn{s.unauthenticated.evict()}, ""
	}
	var idle []*conn
	if conns > least {
		for c := range s.conns {
			if c.share == heavy && c.waiting.Load() && !c.closing {
				idle = append(idle, c)
			}
		}
		slices.SortFunc(idle, func(a, b *conn) int { return cmp.Compare(a.session.ID(), b.session.ID()) })
		idle = idle[:min(len(idle), closedTogether, max(conns/4, 1))]
	}
	if idle == nil {
		if c := s.unauthenticated.evict(); c != nil {
			return []*conn{c}, ""
		}
		return nil, ""
	}
	for _, c := range idle {
		c.closing = true
	}
	s.usage.ClosedIdle.Add(uint64(len(idle)))
	return idle, heavy.Principal
}

// closeAll closes connections and logs their principal, at most once in roomLogEvery. The caller does not hold the
// server's lock.
func (s *Server) closeAll(all []*conn, whose object.Principal) {
	for _, c := range all {
		c.socket.Abort()
	}
	if whose == "" {
		return
	}
	if s.logsRoom(time.Now()) {
		s.log.Warn("idle connections of the principal with the most connections were closed to make room",
			"principal", string(whose), "closed", s.usage.ClosedIdle.Load())
	}
}

// logsRoom reports whether closed connections are logged at this time. The next logs are due after roomLogEvery on the
// monotonic clock.
func (s *Server) logsRoom(now time.Time) bool {
	last := s.roomLogged.Load()
	return (last == nil || now.Sub(*last) > roomLogEvery) && s.roomLogged.CompareAndSwap(last, &now)
}

// roomLogEvery is the interval between logs of connections that are closed to make room.
const roomLogEvery = 10 * time.Second

// closedTogether bounds the idle connections that are closed at a time to make room.
const closedTogether = 16
