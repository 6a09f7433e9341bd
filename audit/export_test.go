package audit

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/audit/evidence"
	"github.com/hearthhost/hearth/audit/trail"
)

// Break replaces the open file by a file that cannot be written, like a failed disk. repair undoes it.
func (l *Log) Break() (repair func()) {
	l.writing.Lock()
	defer l.writing.Unlock()
	good := l.file.f.Load()
	bad, err := os.Open(l.cfg.Path)
	if err != nil {
		panic(err)
	}
	l.file.f.Store(bad)
	return func() {
		l.writing.Lock()
		defer l.writing.Unlock()
		l.file.f.Store(good)
		bad.Close()
	}
}

// Hang makes the disk hang until the result is called.
func (l *Log) Hang() (goOn func()) {
	l.writing.Lock()
	return l.writing.Unlock
}

// Look makes the next write compare the path with the file.
func (l *Log) Look() {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.file.checked = l.file.checked.Add(-1e12)
}

// Refuses reports whether decisions do not wait for the current write.
func (l *Log) Refuses() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stalled
}

// MaxShare is the bound on one owner's share of the kept file.
const MaxShare = evidence.MaxShare

// Files returns the files of a log, oldest first. The last is the current file.
func Files(path string) ([]string, error) {
	old, err := trail.Rotated(path)
	return append(old, path), err
}

// Head returns the number and hash of the last record.
func (l *Log) Head() (seq uint64, hash string) {
	l.writing.Lock()
	defer l.writing.Unlock()
	return l.file.seq, l.file.headText()
}

// HangWrites shortens the intervals of the watchdog. After hang, writes block until goOn.
func HangWrites() (hang, goOn, restore func()) {
	good, usual, patience := writeAt, times, closeTimeout
	times = watchTimes{
		poll:   time.Millisecond,
		warn:   5 * time.Millisecond,
		repeat: time.Hour,
		refuse: 20 * time.Millisecond,
	}
	closeTimeout = 50 * time.Millisecond
	var hangs atomic.Bool
	end := make(chan struct{})
	writeAt = func(h *os.File, p []byte, at int64) error {
		if hangs.Load() {
			<-end
		}
		return good(h, p, at)
	}
	return func() { hangs.Store(true) },
		sync.OnceFunc(func() { hangs.Store(false); close(end) }),
		func() { writeAt, times, closeTimeout = good, usual, patience }
}

// HookWrites makes hook do the writes of all logs until restore. write writes the first n bytes of p.
func HookWrites(hook func(p []byte, write func(n int) error) error) (restore func()) {
	good := writeAt
	writeAt = func(h *os.File, p []byte, at int64) error {
		return hook(p, func(n int) error { return good(h, p[:n], at) })
	}
	return func() { writeAt = good }
}
