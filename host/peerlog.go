package host

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/hearthhost/hearth/object"
)

// peerLines is how many lines of the log a principal can cause in a second, or all peers that have not said who they
// are together.
const peerLines = 20

// peerLog bounds the lines of the log that peers can cause at will: by connections that are refused, or by calls that
// fail. Lines beyond are counted, and a line reports their number. The zero value is empty; it is safe for concurrent
// use.
type peerLog struct {
	mu sync.Mutex // guards what follows
	of map[object.Principal]*peerCount
}

// peerCount counts the lines about one principal in a second.
type peerCount struct {
	since          time.Time
	lines, dropped int
}

// pass reports whether one more line about a principal may be logged; first reports whether it is the first one that
// may not, since the number of dropped lines was taken.
func (l *peerLog) pass(who object.Principal, now time.Time) (may, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[object.Principal]*peerCount{}
	}
	c := l.of[who]
	if c == nil {
		c = &peerCount{since: now}
		l.of[who] = c
	}
	if now.Sub(c.since) >= time.Second {
		c.since, c.lines = now, 0
	}
	if c.lines < peerLines {
		c.lines++
		return true, false
	}
	c.dropped++
	return false, c.dropped == 1
}

// take returns how many lines about a principal were dropped, and forgets it.
func (l *peerLog) take(who object.Principal) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	dropped := l.of[who].dropped
	delete(l.of, who)
	return dropped
}

// logPeer logs a line that a peer can cause at will. who is its principal, "" before it is known.
func (h *Host) logPeer(who object.Principal, level slog.Level, msg string, attrs ...any) {
	may, first := h.peerLog.pass(who, time.Now())
	switch {
	case may:
		h.log.Log(context.Background(), level, msg, attrs...) //nolint:sloglint // callers pass constants
	case first:
		time.AfterFunc(time.Second, func() {
			h.log.Warn("lines about a peer were dropped", "principal", string(who), "lines", h.peerLog.take(who), "per_second", peerLines)
		})
	}
}

// log is logPeer about the connection's peer.
func (c *conn) log(level slog.Level, msg string, attrs ...any) {
	who := object.Principal("")
	if c.of != nil { // it has introduced itself
		who = c.caller.Principal
	}
	c.h.logPeer(who, level, msg, attrs...)
}
