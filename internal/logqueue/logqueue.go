// Package logqueue moves the writing of log lines to another goroutine, for callers that must not wait for the output:
// an event loop would otherwise stop for all connections while a full pipe or a slow disk takes a line.
package logqueue

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// maxLines bounds the lines that wait.
const maxLines = 4096

// closeTimeout bounds how long Close waits for the output.
const closeTimeout = 2 * time.Second

// Queue is a bounded queue of log lines, written in order. It is safe for concurrent use.
type Queue struct {
	mu      sync.Mutex // guards the fields below
	changed sync.Cond  // signals lines and closed
	lines   []line
	dropped int // since the last line that was written
	closed  bool

	done chan struct{}
}

// line is a record and where it is written.
type line struct {
	to     slog.Handler
	record slog.Record
}

// New returns an empty queue. Its goroutine ends with Close.
func New() *Queue {
	q := &Queue{done: make(chan struct{})}
	q.changed.L = &q.mu
	go q.run()
	return q
}

// Logger returns a logger whose lines l writes in the queue's goroutine. If the queue is full, a line is dropped. A
// later line reports the number of dropped lines.
func (q *Queue) Logger(l *slog.Logger) *slog.Logger { return slog.New(handler{q, l.Handler()}) }

// Close writes the lines that wait, but waits for the output 2 seconds at most. Later lines are dropped.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	q.changed.Signal()
	q.mu.Unlock()
	select {
	case <-q.done:
	case <-time.After(closeTimeout):
	}
}

func (q *Queue) put(l line) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
	case len(q.lines) >= maxLines:
		q.dropped++
	default:
		q.lines = append(q.lines, l)
		q.changed.Signal()
	}
}

func (q *Queue) run() {
	defer close(q.done)
	for {
		q.mu.Lock()
		for len(q.lines) == 0 && !q.closed {
			q.changed.Wait()
		}
		lines, dropped := q.lines, q.dropped
		q.lines, q.dropped = nil, 0
		q.mu.Unlock()
		if len(lines) == 0 {
			return
		}
		for _, l := range lines {
			_ = l.to.Handle(context.Background(), l.record) // there is nowhere to report an error of the log
		}
		if dropped > 0 {
			slog.New(lines[0].to).Warn("log lines were dropped: the output is slow", "lines", dropped)
		}
	}
}

// handler is a [slog.Handler] that queues its records.
type handler struct {
	q  *Queue
	to slog.Handler
}

func (h handler) Enabled(ctx context.Context, l slog.Level) bool { return h.to.Enabled(ctx, l) }

func (h handler) Handle(_ context.Context, r slog.Record) error {
	h.q.put(line{h.to, r.Clone()})
	return nil
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.q, h.to.WithAttrs(attrs)}
}

func (h handler) WithGroup(name string) slog.Handler { return handler{h.q, h.to.WithGroup(name)} }
