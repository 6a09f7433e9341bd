package launch

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hearthhost/hearth/internal/procstat"
	"github.com/hearthhost/hearth/object"
)

// Bounds on the output of a plugin.
const (
	maxLineBytes = 4 << 10
	linesSecond  = 100 // logged lines per second
	tailLines    = 10  // lines kept to explain a crash
)

// Output logs the lines of one plugin, at most linesSecond per second.
type Output struct {
	log     *slog.Logger
	id      object.ID
	account *procstat.Processes
	redact  func(text string, most int) string // may be nil

	mu      sync.Mutex // guards the fields below
	second  time.Time
	lines   int
	dropped int
	last    []string
}

// NewOutput returns the output of the plugin id. redact removes secrets from the first most bytes of a text; it may be
// nil.
func NewOutput(
	log *slog.Logger, id object.ID, account *procstat.Processes, redact func(text string, most int) string,
) *Output {
	return &Output{log: log, id: id, account: account, redact: redact}
}

// Writer returns a writer that logs each line at level Info.
func (o *Output) Writer(from string) io.Writer {
	return &lineWriter{f: func(s string) { o.Line(slog.LevelInfo, o.id, s, from) }}
}

// Line logs a line. from is its source: "stdout", "stderr" or "log".
func (o *Output) Line(level slog.Level, id object.ID, text, from string) {
	if o.redact != nil {
		text = o.redact(text, maxLineBytes+1) // before clipping: a secret cut in half is not found
	}
	text = Clip(text)
	o.mu.Lock()
	if now := time.Now(); now.Sub(o.second) >= time.Second {
		o.second, o.lines = now, 0
	}
	o.lines++
	if from != "log" {
		if len(o.last) == tailLines {
			o.last = o.last[1:]
		}
		o.last = append(o.last, text)
	}
	if o.lines > linesSecond {
		o.dropped++
		o.account.DroppedLines(1)
		o.mu.Unlock()
		return
	}
	dropped := o.dropped
	o.dropped = 0
	o.mu.Unlock()
	if dropped > 0 {
		o.log.Warn("lines of a plugin were dropped", "object", string(o.id), "lines", dropped)
	}
	o.log.Log(context.Background(), level, "plugin", "object", string(id), "from", from, "text", text)
}

// Tail returns the last lines of stdout and stderr, for error texts.
func (o *Output) Tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.last) == 0 {
		return "it printed nothing"
	}
	return "its last lines: " + strings.Join(o.last, " / ")
}

// Clip cuts a text to the length of a line and makes it valid UTF-8.
func Clip(s string) string {
	if len(s) > maxLineBytes {
		s = s[:maxLineBytes] + "…"
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// eachLine calls f with the first max bytes of each line of r.
func eachLine(r io.Reader, max int, f func(string)) {
	in := bufio.NewReaderSize(r, max)
	more := false
	for {
		line, prefix, err := in.ReadLine()
		if err != nil {
			return
		}
		if !more {
			f(string(line))
		}
		more = prefix
	}
}

// lineWriter splits its input into lines.
type lineWriter struct {
	mu   sync.Mutex // guards rest
	rest []byte
	f    func(string)
}

// Write implements io.Writer. It does not fail; long lines are cut.
func (w *lineWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(b)
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			break
		}
		w.f(string(append(w.rest, b[:min(i, maxLineBytes)]...)))
		w.rest, b = w.rest[:0], b[i+1:]
	}
	w.rest = append(w.rest, b[:min(len(b), max(0, maxLineBytes-len(w.rest)))]...)
	return n, nil
}
