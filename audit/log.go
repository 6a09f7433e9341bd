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

// Config says where the log is and how it is kept. Path is required.
type Config struct {
	Path string // of the file that is written; old ones lie beside it
	// Rotate is the size in bytes from which on a new file is begun; 0: never.
	Rotate int64
	// Keep is how many old files are kept; 0: all.
	Keep int
	// Drop says that what cannot be written is counted and left out, and that nobody
	// waits for a record to be written. Otherwise it is an error, and the host denies.
	Drop bool
	// Permits says which permits are written: one in so many, 1 all, 0 none. Denials
	// always are.
	Permits uint64
	// From is the log's file as another process shares it ([Log.Share]); nil: nobody does.
	// It belongs to the log then, even if opening fails.
	From *os.File
	Log  *slog.Logger // nil discards
}

// ErrUnwritten says that a record is not in the log. The caller must not act on the
// decision.
var ErrUnwritten = &object.Error{Code: object.CodeUnavailable, Msg: "the host cannot keep its audit log; not executed"}

// maxQueue bounds the bytes of records that wait for one write.
const maxQueue = 1 << 20

// Log is an audit log. All methods may be called concurrently. Whoever comes first writes
// for all who came while the write before was under way, so that many callers share one
// system call and a lone one needs no other goroutine. Where a disk hangs, Write waits, but
// not without end; see watch.go.
type Log struct {
	cfg     Config
	permits atomic.Uint64 // decided so far, for the sample
	written atomic.Uint64 // records, since the log was opened
	lost    atomic.Uint64 // those that were left out

	mu      sync.Mutex // guards what follows
	cur     *batch     // being collected
	out     *batch     // being written; nil: none is
	free    []*batch
	dropped uint64 // not yet said in the log
	late    uint64 // calls that were refused although their records are in the log, not yet said in it
	hangs   bool   // a write has been under way for so long that decisions do not wait for it
	closed  bool

	writing sync.Mutex // held while a batch is written; taken before mu; guards what follows
	file    file
	leaving bool // another process goes on with the log

	writes, syncs stopwatch // of writing's holder; of sync

	syncStop chan struct{}
	syncing  sync.WaitGroup
	keepOnce sync.Once // closes keepStop
	keepStop chan struct{}
	keeping  sync.WaitGroup
	keptSum  string // SHA-256 of the kept file as this process wrote it; the keeper's own
}

// batch is what one write writes.
type batch struct {
	lines   []byte // each the inside of a JSON object, ended by '\n'
	led     bool   // somebody is going to write it
	members int    // who have not seen the result yet
	late    bool   // decisions do not wait for it any longer
	done    bool
	err     error
	cond    sync.Cond
}

// Open opens or makes the log and verifies its end. It fails if another process has it, or
// if what is there is not an audit log.
func Open(cfg Config) (*Log, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l := &Log{cfg: cfg, syncStop: make(chan struct{}), keepStop: make(chan struct{})}
	l.file.cfg, l.file.aside = &l.cfg, make(chan struct{}, 1)
	l.cur = l.batch()
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

// Write puts a decision into the log before it returns, unless the log is one that drops.
// The error is [ErrUnwritten].
func (l *Log) Write(r *Record) error {
	if !l.wants(r) {
		return nil
	}
	line := func(b []byte) []byte { return append(r.append(b, time.Now()), '\n') }
	if l.cfg.Drop {
		return l.put(noWait, line)
	}
	err := l.put(decision, line)
	if err == errNotTaken { //nolint:errorlint // it is not wrapped
		if r.Permit {
			return ErrUnwritten
		}
		err = l.put(noWait, line) // it is denied in any case
	}
	return err
}

// Post is Write for callers that must not wait for the disk: what is decided counts in any case.
func (l *Log) Post(r *Record) {
	if l.wants(r) {
		_ = l.put(noWait, func(b []byte) []byte { return append(r.append(b, time.Now()), '\n') })
	}
}

// wants reports whether a record is one that is kept: of permits, perhaps a sample is.
func (l *Log) wants(r *Record) bool {
	return !r.Permit || l.cfg.Permits == 1 || l.cfg.Permits > 0 && l.permits.Add(1)%l.cfg.Permits == 1
}

// Note puts something into the log that is no decision, and returns when it is written: attrs
// are names and values, in pairs.
func (l *Log) Note(event string, attrs ...string) error {
	return l.put(note, func(b []byte) []byte { return appendNote(b, event, attrs) })
}

// PostNote is Note for callers that must not wait for the disk.
func (l *Log) PostNote(event string, attrs ...string) {
	_ = l.put(noWait, func(b []byte) []byte { return appendNote(b, event, attrs) })
}

func appendNote(b []byte, event string, attrs []string) []byte {
	b = appendEvent(b, time.Now(), event)
	for i := 0; i+1 < len(attrs); i += 2 {
		b = appendField(b, attrs[i], attrs[i+1])
	}
	return append(b, '\n')
}

// waiting says how long a caller waits for its line to be written.
type waiting int

const (
	noWait   waiting = iota
	decision         // until it is written, or the write hangs
	note             // until it is written
)

// errNotTaken says that a line was not put into the log, and never will be.
var errNotTaken = &object.Error{Code: ErrUnwritten.Code, Msg: ErrUnwritten.Msg}

// put adds a line with its end, and returns when it is written, if the caller waits for that.
func (l *Log) put(wait waiting, appendTo func([]byte) []byte) error {
	l.mu.Lock()
	b := l.cur
	if full := l.closed || len(b.lines) > maxQueue; full || l.hangs && wait == decision {
		defer l.mu.Unlock()
		switch wait { //nolint:exhaustive // the others need nothing
		case noWait:
			l.dropped++
			l.lost.Add(1)
			return nil
		case note:
			return ErrUnwritten
		}
		return errNotTaken
	}
	b.lines = appendTo(b.lines)
	first := !b.led
	b.led = true
	if wait != noWait || first {
		b.members++
	}
	switch {
	case !first && wait == noWait:
		l.mu.Unlock()
		return nil
	case !first:
		for !b.done && (!b.late || wait == note) {
			b.cond.Wait()
		}
		defer l.mu.Unlock()
		if !b.done {
			l.late++
			_ = l.leave(b)
			return ErrUnwritten
		}
		return l.leave(b)
	}
	l.mu.Unlock()
	if wait == noWait {
		go func() { _ = l.lead(b) }() // ends with this one write; Close waits for it
		return nil
	}
	return l.lead(b)
}

// lead writes a batch, once the one before is written, for all who are in it by then.
func (l *Log) lead(b *batch) error {
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
	if err != nil {
		l.late += late
	}
	if err != nil && l.cfg.Drop {
		lost -= min(dropped, 1) + min(late, 1) // the lines about these are none of them
		l.dropped += lost + dropped
		l.lost.Add(lost)
	}
	b.done, b.err = true, err
	b.cond.Broadcast()
	return l.leave(b)
}

// appendCount adds an event with a count, unless that is 0.
func appendCount(b []byte, event string, n uint64) []byte {
	if n == 0 {
		return b
	}
	return fmt.Appendf(appendEvent(b, time.Now(), event), `,"count":%d`+"\n", n)
}

// leave returns what became of a batch and gives it back when everybody knows.
func (l *Log) leave(b *batch) error {
	err := b.err
	if b.members--; b.members == 0 && len(l.free) < 4 {
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

// sync puts what was written on the disk every second: after a crash of the machine, not
// of the host, the last second may be missing. And it looks for the file, also when nobody
// writes.
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
			if l.writing.TryLock() { // who has it looks as well
				if l.file.turn == nil {
					l.writes.begin()
					l.file.look()
					l.writes.end()
				}
				l.writing.Unlock()
			}
		}
	}
}

// Close writes what waits, notes the end and closes the file. The error says that the end
// is not in the log. A disk that hangs does not keep it for long.
func (l *Log) Close() error { return patiently(l.end) }

func (l *Log) end() error {
	l.keepOnce.Do(func() { close(l.keepStop) })
	l.keeping.Wait() // it writes records
	var why []string
	l.writing.Lock()
	if l.leaving {
		why = []string{"why", "handed over"}
	}
	l.writing.Unlock()
	err := l.Note("stop", why...) // after all that came before it
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

// Counts returns how many records were written since the log was opened, and how many were
// left out, which only a log that drops does. It waits for nobody.
func (l *Log) Counts() (written, lost uint64) { return l.written.Load(), l.lost.Load() }
