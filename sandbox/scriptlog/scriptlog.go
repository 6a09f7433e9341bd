// Package scriptlog logs the reports of one worker process about its objects: lines of scripts, failed calls and lost
// instances. It bounds the lines per second of each object, so that a script or a compromised worker cannot fill the
// host's log.
package scriptlog

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/hearthhost/hearth/internal/procstat"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// Config is the configuration of a [Log].
type Config struct {
	Out     *slog.Logger
	Account *procstat.Processes // counts dropped lines and lost instances
	// Redact returns a text of the worker without secrets, in at most [link.MaxLogLineBytes] bytes.
	Redact func(text string) string
	// Lines returns the limit of lines per second of an object.
	Lines func(id object.ID) int
}

// Log logs the reports of one worker process. Only the reader of its frames uses it.
type Log struct {
	cfg   Config
	lines counts // lines of scripts
	// lines about failed calls; separate, so that callers cannot displace lines of scripts
	failed counts
}

// New returns the log of a process.
func New(cfg Config) *Log { return &Log{cfg: cfg, lines: counts{}, failed: counts{}} }

// Op takes one op of the log service about an object that the worker has, except [link.LogFailure]. An error means that
// the worker broke the protocol.
func (l *Log) Op(id object.ID, op link.Op, d *link.Decoder) error {
	switch op {
	case link.LogLine:
		if level, text := d.LogLineFields(); d.Err == nil && l.allow(l.lines, id) {
			l.cfg.Out.Log(context.Background(), levels[level], "script",
				"object", string(id), "text", l.cfg.Redact(text))
		}
	case link.LogDropped:
		if n := d.Dropped(); d.Err == nil {
			l.lines.of(id.Family()).dropped += int(n)
			l.cfg.Account.DroppedLines(n)
		}
	case link.LogLost:
		l.cfg.Account.LostState()
		l.cfg.Out.Warn("instance ended, its state is lost", "object", string(id), "why", l.cfg.Redact(d.LogText()))
	case link.LogUnload:
		l.cfg.Account.Unloaded()
	default:
		return fmt.Errorf("link: unknown op %d of the log service", op)
	}
	return d.Err
}

// levels maps the levels of the link to those of the log.
var levels = [...]slog.Level{
	link.LevelDebug: slog.LevelDebug,
	link.LevelInfo:  slog.LevelInfo,
	link.LevelWarn:  slog.LevelWarn,
	link.LevelError: slog.LevelError,
}

// Failed logs why a call failed, as the worker reports it, unless too many calls of the object have failed.
func (l *Log) Failed(c *object.Call, why string) {
	if !l.allow(l.failed, c.ID) {
		return
	}
	method := string(c.Method)
	if c.Kind == object.Batch {
		method = "a batch"
	}
	l.cfg.Out.Warn("call failed", "object", string(c.ID), "method", method, "principal", string(c.Caller.Principal),
		"call", object.CorrelationText(c.Corr), "err", l.cfg.Redact(why))
}

// Close reports the last dropped lines when the worker has ended.
func (l *Log) Close() {
	for _, c := range []counts{l.lines, l.failed} {
		for id, n := range c {
			l.reportDropped(id, n)
		}
	}
}

// count counts the lines of one object in a second.
type count struct {
	since   time.Time
	n       int
	dropped int
}

// counts counts lines by object.
type counts map[object.ID]*count

// of returns the count of an object.
func (c counts) of(id object.ID) *count {
	n := c[id]
	if n == nil {
		n = &count{}
		c[id] = n
	}
	return n
}

// allow reports whether one more line about an object may be logged, and counts it. The next line that is logged
// reports how many were dropped.
func (l *Log) allow(in counts, id object.ID) bool {
	id = id.Family() // all keys have one limit
	c := in.of(id)
	if now := time.Now(); now.Sub(c.since) >= time.Second {
		l.reportDropped(id, c)
		*c = count{since: now}
	}
	if c.n++; c.n > l.cfg.Lines(id) {
		c.dropped++
		l.cfg.Account.DroppedLines(1)
		return false
	}
	return true
}

func (l *Log) reportDropped(id object.ID, c *count) {
	if c.dropped > 0 {
		l.cfg.Out.Warn("too many log lines", "object", string(id), "dropped", c.dropped, "per_second", l.cfg.Lines(id))
	}
}
