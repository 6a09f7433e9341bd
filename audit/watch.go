package audit

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"time"
)

// A write or sync on a disk that hangs cannot be cancelled. It holds no processor of the host, and only decisions wait
// for it. The watchdog logs it. After a while it releases the waiting decisions: their calls are refused, as on a full
// disk, and so are new calls at once. Denials and changes are still queued.

// watchTimes configures the watchdog.
type watchTimes struct {
	poll   time.Duration // poll interval
	warn   time.Duration // duration of a write or sync before it is logged
	repeat time.Duration // interval of further log lines about the same operation
	refuse time.Duration // duration of a write before decisions stop waiting for it
}

// times is a variable for tests.
var times = watchTimes{
	poll:   time.Second,
	warn:   2 * time.Second,
	repeat: 10 * time.Second,
	refuse: 10 * time.Second,
}

// closeTimeout bounds the wait of Close and Share for a disk that hangs.
var closeTimeout = 12 * time.Second // a variable for tests

// errStalled reports a write or sync that exceeded closeTimeout.
var errStalled = errors.New("audit log: a write or sync has not finished: the disk hangs")

// stopwatch measures the duration of an operation. The operation itself does not read the clock. The zero value is
// ready.
type stopwatch struct {
	ops    atomic.Uint64 // odd during an operation
	lasted atomic.Int64  // nanoseconds of the current operation at the last poll; 0 if none was running

	// Fields of the watchdog.
	seen   uint64        // ops at the last poll
	since  time.Time     // first poll that saw this value of ops
	warned time.Duration // duration at the last log line; 0 if the operation was not logged
}

// begin and end enclose an operation. Operations do not overlap.
func (s *stopwatch) begin() { s.ops.Add(1) }
func (s *stopwatch) end()   { s.ops.Add(1) }

// poll returns the duration of the current operation, 0 if none is running.
func (s *stopwatch) poll(now time.Time) time.Duration {
	ops := s.ops.Load()
	if ops%2 == 0 {
		s.seen = ops
		s.lasted.Store(0)
		return 0
	}
	if ops != s.seen {
		s.seen, s.since = ops, now
	}
	d := now.Sub(s.since)
	s.lasted.Store(int64(d))
	return d
}

// report logs an operation that takes too long, and its end.
func (s *stopwatch) report(d time.Duration, t *watchTimes, op, path string, log *slog.Logger) {
	switch {
	case s.warned > 0 && (d == 0 || d < s.warned): // ended; d may belong to the next operation
		//nolint:sloglint // the message names one of two operations
		log.Info("audit log: "+op+" has finished", "path", path, "took_at_least", s.warned.Round(time.Second))
		s.warned = 0
	case s.warned == 0 && d >= t.warn, s.warned > 0 && d >= s.warned+t.repeat:
		//nolint:sloglint // the message names one of two operations
		log.Warn("audit log: "+op+" has not finished for "+d.Round(time.Second).String(), "path", path)
		s.warned = d
	}
}

// watch is the watchdog. It returns when the log closes.
func (l *Log) watch(t watchTimes) {
	tick := time.NewTicker(t.poll)
	defer tick.Stop()
	for {
		select {
		case <-l.syncStop:
			return
		case now := <-tick.C:
			d := l.writes.poll(now)
			l.writes.report(d, &t, "write", l.cfg.Path, l.cfg.Log)
			l.syncs.report(l.syncs.poll(now), &t, "sync", l.cfg.Path, l.cfg.Log)
			if d >= t.refuse {
				l.stall()
			} else {
				l.mu.Lock()
				l.recoverLocked()
				l.mu.Unlock()
			}
		}
	}
}

// stall releases the decisions that wait for a stalled write. New decisions do not wait either.
func (l *Log) stall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writes.ops.Load() != l.writes.seen { // the write has ended since the poll
		return
	}
	l.stalled = true
	for _, b := range []*batch{l.out, l.cur} {
		if b != nil {
			b.late = true
			b.cond.Broadcast()
		}
	}
}

// recoverLocked makes decisions wait again after a stalled write has finished.
func (l *Log) recoverLocked() { l.stalled, l.cur.late = false, false }

// Stalled returns the duration of the current write or sync, to about a second; 0 if none takes long.
func (l *Log) Stalled() time.Duration {
	return time.Duration(max(l.writes.lasted.Load(), l.syncs.lasted.Load()))
}

// waitForDisk runs do, which may block on the disk, and returns its error. After closeTimeout it returns errStalled; do
// keeps running.
func waitForDisk(do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }() // ends when the disk answers
	late := time.NewTimer(closeTimeout)
	defer late.Stop()
	select {
	case err := <-done:
		return err
	case <-late.C:
		return errStalled
	}
}
