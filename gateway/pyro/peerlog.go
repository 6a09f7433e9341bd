package pyro

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/hearthhost/hearth/object"
)

// PeerLines bounds the log lines a second that a principal can cause, or all unauthenticated peers together.
const PeerLines = 20

// peerLog bounds the log lines that peers can cause at will, by refused connections or failed calls. It counts the
// lines beyond the bound, and one line reports their number. The zero value is empty; it is safe for concurrent use.
type peerLog struct {
	mu     sync.Mutex // guards counts
	counts map[object.Principal]*peerCount
}

// peerCount counts the lines about one principal in a second.
type peerCount struct {
	since          time.Time
	lines, dropped int
}

// pass reports whether one more line about a principal may be logged; first reports whether it is the first dropped
// line since the last take.
func (l *peerLog) pass(who object.Principal, now time.Time) (may, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts = map[object.Principal]*peerCount{}
	}
	c := l.counts[who]
	if c == nil {
		c = &peerCount{since: now}
		l.counts[who] = c
	}
	if now.Sub(c.since) >= time.Second {
		c.since, c.lines = now, 0
	}
	if c.lines < PeerLines {
		c.lines++
		return true, false
	}
	c.dropped++
	return false, c.dropped == 1
}

// take returns the number of dropped lines about a principal and resets it.
func (l *peerLog) take(who object.Principal) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	dropped := l.counts[who].dropped
	delete(l.counts, who)
	return dropped
}

// logPeer logs a line that a peer can cause at will. Its principal is "" before the handshake.
func (s *Server) logPeer(who object.Principal, level slog.Level, msg string, attrs ...any) {
	may, first := s.peerLog.pass(who, time.Now())
	switch {
	case may:
		s.log.Log(context.Background(), level, msg, attrs...) //nolint:sloglint // callers pass constants
	case first:
		time.AfterFunc(time.Second, func() {
			s.log.Warn("lines about a peer were dropped",
				"principal", string(who), "lines", s.peerLog.take(who), "per_second", PeerLines)
		})
	}
}

// log is logPeer about the connection's peer.
func (c *conn) log(level slog.Level, msg string, attrs ...any) {
	who := object.Principal("")
	if c.share != nil { // after the handshake
		who = c.caller.Principal
	}
	c.s.logPeer(who, level, msg, attrs...)
}
