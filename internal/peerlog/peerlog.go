// Package peerlog bounds the log lines that peers can cause at will, by refused connections or failed calls.
package peerlog

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/hearthhost/hearth/object"
)

// MaxLines bounds the lines a second that a principal can cause, or all unauthenticated peers together.
const MaxLines = 20

// Log counts the lines beyond the bound, and one line reports their number. It is safe for concurrent use.
type Log struct {
	log *slog.Logger

	mu     sync.Mutex // guards counts
	counts map[object.Principal]*count
}

// count counts the lines about one principal in a second.
type count struct {
	since          time.Time
	lines, dropped int
}

// New returns a bounded log that writes to log.
func New(log *slog.Logger) *Log { return &Log{log: log, counts: map[object.Principal]*count{}} }

// pass reports whether one more line about a principal may be logged; first reports whether it is the first dropped
// line since the last take.
func (l *Log) pass(who object.Principal, now time.Time) (may, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.counts[who]
	if c == nil {
		c = &count{since: now}
		l.counts[who] = c
	}
	if now.Sub(c.since) >= time.Second {
		c.since, c.lines = now, 0
	}
	if c.lines < MaxLines {
		c.lines++
		return true, false
	}
	c.dropped++
	return false, c.dropped == 1
}

// take returns the number of dropped lines about a principal and resets it.
func (l *Log) take(who object.Principal) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	dropped := l.counts[who].dropped
	delete(l.counts, who)
	return dropped
}

// Log logs a line about a principal, "" for a peer before the handshake.
func (l *Log) Log(who object.Principal, level slog.Level, msg string, attrs ...any) {
	may, first := l.pass(who, time.Now())
	switch {
	case may:
		l.log.Log(context.Background(), level, msg, attrs...) //nolint:sloglint // callers pass constants
	case first:
		time.AfterFunc(time.Second, func() {
			l.log.Warn("lines about a peer were dropped",
				"principal", string(who), "lines", l.take(who), "per_second", MaxLines)
		})
	}
}
