package audit

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/object"
)

// Config configures a log. Path is required.
type Config struct {
	Path string // file that is written; old files are in the same folder
	// Rotate is the size in bytes at which a new file is started; 0 disables rotation.
	Rotate int64
	// Keep is the number of old files to keep; 0 keeps all.
	Keep int
	// Drop makes the log drop and count records that cannot be written, and callers never wait for a write. Without it
	// a failed write is an error, and the host denies the call.
	Drop bool
	// Permits is the sampling rate of permits: one in Permits is written; 1 writes all, 0 none. Denials are always
	// written.
	Permits uint64
	// From is the log's file as shared by another process ([Log.Share]); nil if the log is not shared. The log owns
	// it, even if opening fails.
	From *os.File
	Log  *slog.Logger // nil discards
}

// ErrUnwritten reports that a record is not in the log. The caller must not act on the decision.
var ErrUnwritten = &object.Error{Code: object.CodeUnavailable, Msg: "the host cannot keep its audit log; not executed"}

// maxQueue bounds the bytes of records that wait for one write.
const maxQueue = 1 << 20

// Log is an audit log. All methods are safe for concurrent use. The first caller of a batch writes for all callers
// that arrived during the previous write: many callers share one system call, and a single caller needs no other
// goroutine. If the disk hangs, Write waits for a bounded time; see watch.go.
type Log struct {
	cfg     Config
	rounds  sync.Pool     // empty rounds of Write and Post
	permits atomic.Uint64 // permits so far, for sampling
	written atomic.Uint64 // records written since the log was opened
	lost    atomic.Uint64 // records dropped since the log was opened

	mu      sync.Mutex // guards the fields below
	cur     *batch     // batch that collects records
	out     *batch     // batch that is being written; nil if no write is running
	free    []*batch
	dropped uint64 // dropped records that the log does not report yet
	late    uint64 // refused calls whose records are in the log, not reported in it yet
	stalled bool   // the current write takes too long: decisions do not wait for it
	closed  bool

	writing    sync.Mutex // held during a write; locked before mu; guards the fields below
	file       file
	handedOver bool // another process continues the log

	writes, syncs stopwatch // writes are timed by the holder of writing, syncs by sync

	syncStop chan struct{}
	syncing  sync.WaitGroup
	keepOnce sync.Once // closes keepStop
	keepStop chan struct{}
	keeping  sync.WaitGroup
	keptSum  string // SHA-256 of the kept file that this process wrote; used by keep only
}

// batch is the records of one write.
type batch struct {
	lines   []byte // each line is the inside of a JSON object and ends with '\n'
	claimed bool   // a caller will write it
	waiters int    // callers that have not read the result yet
	late    bool   // decisions no longer wait for it
	done    bool
	err     error
	cond    sync.Cond
}

// Open opens or creates the log and verifies its end. It fails if another process holds the log or if the file is not
// an audit log.
func Open(cfg Config) (*Log, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l := &Log{cfg: cfg, syncStop: make(chan struct{}), keepStop: make(chan struct{})}
	l.file.cfg, l.file.rotated = &l.cfg, make(chan struct{}, 1)
	l.cur = l.batch()
	l.rounds.New = func() any { return l.NewRound() }
	if err := l.file.open(); err != nil {
		return nil, err
	}
	cfg.Log.Info("audit log", "path", cfg.Path, "seq", l.file.seq, "head", l.file.headText())
	l.syncing.Go(l.sync)
	t := times
	l.syncing.Go(func() { l.watch(t) })
	l.keeping.Go(l.keep)
	return l, nil
}

// Write writes a decision to the log and returns when it is written. With [Config.Drop] it does not wait. The error is
// [ErrUnwritten]. A denial without an error may be queued only.
func (l *Log) Write(rec *Record) error {
	r := l.rounds.Get().(*Round)
	defer l.rounds.Put(r)
	r.Add(rec)
	return r.Commit()
}

// Post is Write without waiting for the disk, for decisions that stand even if the record is lost.
func (l *Log) Post(rec *Record) {
	r := l.rounds.Get().(*Round)
	defer l.rounds.Put(r)
	r.Add(rec)
	r.post()
}

// records reports whether the log takes a record; permits may be sampled.
func (l *Log) records(r *Record) bool {
	return !r.Permit || l.cfg.Permits == 1 || l.cfg.Permits > 0 && l.permits.Add(1)%l.cfg.Permits == 1
}

// Note writes an event that is not a decision and returns when it is written. attrs are names and values in pairs.
func (l *Log) Note(event string, attrs ...string) error {
	return l.put(note, noteLine(event, attrs), 1)
}

// PostNote is Note without waiting for the disk.
func (l *Log) PostNote(event string, attrs ...string) {
	_ = l.put(noWait, noteLine(event, attrs), 1)
}

func noteLine(event string, attrs []string) []byte {
	b := appendEvent(nil, time.Now(), event)
	for i := 0; i+1 < len(attrs); i += 2 {
		b = appendField(b, attrs[i], attrs[i+1])
	}
	return append(b, '\n')
}

// waiting is how long a caller waits for its line.
type waiting int

const (
	noWait   waiting = iota
	decision         // until it is written, or the write stalls
	note             // until it is written
)

// errNotQueued reports that lines are not in the log and will not be written.
var errNotQueued = &object.Error{Code: ErrUnwritten.Code, Msg: ErrUnwritten.Msg}

// put adds n lines, each of which ends with '\n', to the current batch. It returns when they are written, or as wait
// requires. One write contains all of them.
func (l *Log) put(wait waiting, lines []byte, n int) error {
	l.mu.Lock()
	b := l.cur
	if full := l.closed || len(b.lines) > maxQueue; full || l.stalled && wait == decision {
		defer l.mu.Unlock()
		switch wait { //nolint:exhaustive // the others need nothing
		case noWait:
			l.dropped += uint64(n)
			l.lost.Add(uint64(n))
			return nil
		case note:
			return ErrUnwritten
		}
		// The round decides: a denial may be queued without waiting, a permit must not.
		return errNotQueued
	}
	b.lines = append(b.lines, lines...)
	first := !b.claimed
	b.claimed = true
	if wait != noWait || first {
		b.waiters++
	}
	switch {
	case !first && wait == noWait:
		l.mu.Unlock()
		return nil
	case !first: // another caller writes this batch
		for !b.done && (!b.late || wait == note) {
			b.cond.Wait()
		}
		defer l.mu.Unlock()
		if !b.done {
			l.late += uint64(n)
			_ = l.result(b)
			return ErrUnwritten
		}
		return l.result(b)
	}
	l.mu.Unlock()
	if wait == noWait {
		go func() { _ = l.writeBatch(b) }() // ends with this write; Close waits for it
		return nil
	}
	return l.writeBatch(b)
}

// writeBatch waits for the previous write, then writes all records collected in b until then.
func (l *Log) writeBatch(b *batch) error {
	l.writing.Lock()
	l.mu.Lock()
	l.cur, l.out = l.batch(), b
	dropped, late := l.dropped, l.late
	l.dropped, l.late = 0, 0
	b.lines = appendCount(b.lines, "dropped", dropped)
	b.lines = appendCount(b.lines, "late", late)
	l.mu.Unlock()
	l.writes.begin()
	lost, err := l.file.write(b.lines)
	l.writes.end()
	if err == nil {
		l.written.Add(uint64(bytes.Count(b.lines, []byte("\n"))))
	}
	l.writing.Unlock()

	l.mu.Lock()
	defer l.mu.Unlock()
	l.recoverLocked()
	l.out = nil
	if err != nil { // the line about the late calls was lost: report them again
		l.late += late
	}
	if err != nil && l.cfg.Drop {
		lost -= min(dropped, 1) + min(late, 1) // the lines with these counts are not records
		l.dropped += lost + dropped
		l.lost.Add(lost)
	}
	b.done, b.err = true, err
	b.cond.Broadcast()
	return l.result(b)
}

// appendCount appends an event with a count, unless the count is 0.
func appendCount(b []byte, event string, n uint64) []byte {
	if n == 0 {
		return b
	}
	return fmt.Appendf(appendEvent(b, time.Now(), event), `,"count":%d`+"\n", n)
}

// result returns the result of a batch. The last waiter returns the batch to the free list.
func (l *Log) result(b *batch) error {
	err := b.err
	b.waiters--
	if b.waiters == 0 && len(l.free) < 4 {
		l.free = append(l.free, b)
	}
	if err != nil {
		return ErrUnwritten
	}
	return nil
}

// batch returns an empty batch.
func (l *Log) batch() *batch {
	if n := len(l.free); n > 0 {
		b := l.free[n-1]
		l.free = l.free[:n-1]
		*b = batch{lines: b.lines[:0], cond: sync.Cond{L: &l.mu}}
		return b
	}
	return &batch{cond: sync.Cond{L: &l.mu}}
}

// sync flushes the file to the disk every second, so a crash of the machine loses at most the last second. A crash of
// the host loses nothing. It also checks the path while no records are written.
func (l *Log) sync() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-l.syncStop:
			return
		case <-tick.C:
			l.syncs.begin()
			l.file.sync()
			l.syncs.end()
			if l.writing.TryLock() { // a running write checks the path itself
				if l.file.lease == nil {
					l.writes.begin()
					l.file.checkPath()
					l.writes.end()
				}
				l.writing.Unlock()
			}
		}
	}
}

// Close writes the queued records and a "stop" record and closes the file. An error means that the stop record is not
// in the log. If the disk hangs, Close returns after a bounded time.
func (l *Log) Close() error { return waitForDisk(l.end) }

func (l *Log) end() error {
	l.keepOnce.Do(func() { close(l.keepStop) })
	l.keeping.Wait() // keep writes records
	var why []string
	l.writing.Lock()
	if l.handedOver {
		why = []string{"why", "handed over"}
	}
	l.writing.Unlock()
	err := l.Note("stop", why...) // last record: all earlier records are queued already
	l.mu.Lock()
	closed := l.closed
	l.closed = true
	l.mu.Unlock()
	if closed {
		return nil
	}
	close(l.syncStop)
	l.syncing.Wait()
	l.writing.Lock()
	defer l.writing.Unlock()
	l.cfg.Log.Info("audit log closed", "path", l.cfg.Path, "seq", l.file.seq, "head", l.file.headText())
	return errors.Join(err, l.file.close())
}

// Counts returns the number of records written and dropped since the log was opened. Only a log with [Config.Drop]
// drops records. Counts does not block.
func (l *Log) Counts() (written, lost uint64) { return l.written.Load(), l.lost.Load() }
