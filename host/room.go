package host

import (
	"cmp"
	"slices"
	"time"

	"github.com/hearthhost/hearth/object"
)

// makeRoomLocked takes connections off the host that are to be closed, some at once because finding them takes
// long: the oldest of those that have not said who they are, if they are more than any principal has, or else
// some that wait for their peers, of the principal that has most. least is how many connections one must have for
// that. closed is nil if all are busy; whose is empty if it is not of a principal.
func (h *Host) makeRoomLocked(least int) (closed []*conn, whose object.Principal) {
	heavy, conns := h.shares.Heaviest()
	if h.strangers.Len() > max(conns, least) {
		return []*conn{h.strangers.evict()}, ""
	}
	var idle []*conn
	if conns > least {
		for c := range h.conns {
			if c.of == heavy && c.waiting.Load() && !c.closing {
				idle = append(idle, c)
			}
		}
		slices.SortFunc(idle, func(a, b *conn) int { return cmp.Compare(a.session.ID(), b.session.ID()) })
		idle = idle[:min(len(idle), closedTogether, max(conns/4, 1))]
	}
	if idle == nil {
		if c := h.strangers.evict(); c != nil {
			return []*conn{c}, ""
		}
		return nil, ""
	}
	for _, c := range idle {
		c.closing = true
	}
	h.usage.ClosedIdle.Add(uint64(len(idle)))
	return idle, heavy.Principal
}

// closeAll closes connections, without the host's lock, and logs whose they were once in a while.
func (h *Host) closeAll(all []*conn, whose object.Principal) {
	for _, c := range all {
		c.socket.Close()
	}
	if whose == "" {
		return
	}
	now := time.Now()
	last := h.roomLogged.Load()
	if now.UnixNano()-last > int64(roomLogEvery) && h.roomLogged.CompareAndSwap(last, now.UnixNano()) {
		h.log.Warn("connections closed to make room: they waited, and their principal has most",
			"principal", string(whose), "closed", h.usage.ClosedIdle.Load())
	}
}

// roomLogEvery is how often it is logged that connections are closed to make room.
const roomLogEvery = 10 * time.Second

// closedTogether is how many idle connections are closed at a time to make room.
const closedTogether = 16
