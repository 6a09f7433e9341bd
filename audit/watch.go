package audit

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"time"
)

// A disk may hang: a write then returns when the disk does, and nothing can end it before. It holds no processor of the
// host, and only decisions wait for it. The watchdog logs it. After a while it lets the decisions that wait go: their
// calls are refused, as on a full disk, and so are new ones at once. Denials and changes are still collected.

// watchTimes says when the watchdog acts.
type watchTimes struct {
	every  time.Duration // between looks
	warn   time.Duration // after which a write or a sync is logged
	again  time.Duration // after which it is logged once more
	refuse time.Duration // after which decisions no longer wait for a write
}

var times = watchTimes{every: time.Second, warn: 2 * time.Second, again: 10 * time.Second, refuse: 10 * time.Second} // a variable for tests

// closePatience bounds how long Close and Share wait for a disk that hangs.
var closePatience = 12 * time.Second // a variable for tests

// errHangs says that the disk did not answer for long.
var errHangs = errors.New("audit log: a write or sync has not finished: the disk hangs")

// stopwatch tells how long an operation is under way, without a look at the clock by those who do it. Its zero value is
// ready.
type stopwatch struct {
	turn   atomic.Uint64 // odd while an operation is under way
	lasted atomic.Int64  // nanoseconds that it had been under way at the last look; 0: none was

	// Of the watchdog.
	seen   uint64        // turn, at the last look
	since  time.Time     // when that was seen first
	warned time.Duration // how long it had lasted when it was logged last; 0: it was not
}

// begin and end enclose an operation. No two are under way at a time.
func (s *stopwatch) begin() { s.turn.Add(1) }
func (s *stopwatch) end()   { s.turn.Add(1) }

// look returns for how long one and the same operation has been under way, 0 if there is none.
func (s *stopwatch) look(now time.Time) time.Duration {
	turn := s.turn.Load()
	if turn%2 == 0 {
		s.seen = turn
		s.lasted.Store(0)
		return 0
	}
	if turn != s.seen {
		s.seen, s.since = turn, now
	}
	d := now.Sub(s.since)
	s.lasted.Store(int64(d))
	return d
}

// report logs an operation that lasts for long, and that it has ended.
func (s *stopwatch) report(d time.Duration, t *watchTimes, what, path string, log *slog.Logger) {
	switch {
	case s.warned > 0 && (d == 0 || d < s.warned): // it may be the next one already
		log.Info("audit log: "+what+" has finished", "path", path, "took_at_least", s.warned.Round(time.Second)) //nolint:sloglint // two operations
		s.warned = 0
	case s.warned == 0 && d >= t.warn, s.warned > 0 && d >= s.warned+t.again:
		log.Warn("audit log: "+what+" has not finished for "+d.Round(time.Second).String(), "path", path) //nolint:sloglint // likewise
		s.warned = d
	}
}

// watch is the watchdog. It ends with the log.
func (l *Log) watch(t watchTimes) {
	tick := time.NewTicker(t.every)
	defer tick.Stop()
	for {
		select {
		case <-l.syncStop:
			return
		case now := <-tick.C:
			d := l.writes.look(now)
			l.writes.report(d, &t, "write", l.cfg.Path, l.cfg.Log)
			l.syncs.report(l.syncs.look(now), &t, "sync", l.cfg.Path, l.cfg.Log)
			if d >= t.refuse {
				l.hang()
			} else {
				l.mu.Lock()
				l.recoverLocked()
				l.mu.Unlock()
			}
		}
	}
}

// hang lets the decisions go that wait for a write which hangs, and has others not wait.
func (l *Log) hang() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writes.turn.Load() != l.writes.seen { // it has ended meanwhile
		return
	}
	l.hangs = true
	for _, b := range []*batch{l.out, l.cur} {
		if b != nil {
			b.late = true
			b.cond.Broadcast()
		}
	}
}

// recoverLocked has decisions wait again: the write that hung has finished.
func (l *Log) recoverLocked() { l.hangs, l.cur.late = false, false }

// Stalled returns for how long a write or sync of the log has been under way, to about a second; 0 if none is for long.
func (l *Log) Stalled() time.Duration {
	return time.Duration(max(l.writes.lasted.Load(), l.syncs.lasted.Load()))
}

// patiently runs do, which may wait for the disk, and returns its error; or errHangs if it has not returned in time. It
// goes on then.
func patiently(do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }() // ends with the disk's answer
	late := time.NewTimer(closePatience)
	defer late.Stop()
	select {
	case err := <-done:
		return err
	case <-late.C:
		return errHangs
	}
}
