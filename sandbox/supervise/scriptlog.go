package supervise

import (
	"context"
	"log/slog"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/hostcall"
	"github.com/hearthhost/hearth/sandbox/link"
)

// lineCount counts the lines of one object in a second. Only the reader of the worker's frames uses it.
type lineCount struct {
	since   time.Time
	n       int
	dropped int
}

// logOp takes one op of the log service: an object's line, or a report of the worker about an object. The reader
// calls it, in the order of the frames.
func (p *process) logOp(head link.HostCallHead, d *link.Decoder) error {
	id := head.Object
	switch head.Op {
	case link.LogLine:
		if level, text := d.LogLineFields(); d.Err == nil {
			p.logLine(id, level, p.t.redact(text))
		}
	case link.LogDropped:
		if n := d.Dropped(); d.Err == nil {
			p.logged.count(id).dropped += int(n)
			p.t.cfg.Account.DroppedLines(n)
		}
	case link.LogFailure:
		p.logFailure(head.Request, p.t.redact(d.LogText()))
	case link.LogLost:
		p.t.cfg.Account.LostState()
		p.t.cfg.Log.Warn("instance ended, its state is lost", "object", string(id), "why", p.t.redact(d.LogText()))
	default:
		return hostcall.ErrUnknown
	}
	return d.Err
}

// logLine logs a line of a script, unless the object has logged too many. The next line that is logged reports how
// many were dropped.
func (p *process) logLine(id object.ID, level link.Level, text string) {
	if p.allowLine(p.logged, id) {
		p.t.cfg.Log.Log(context.Background(), levels[level], "script", "object", string(id), "text", text)
	}
}

// levels maps the levels of the link to those of the log.
var levels = [...]slog.Level{
	link.LevelDebug: slog.LevelDebug,
	link.LevelInfo:  slog.LevelInfo,
	link.LevelWarn:  slog.LevelWarn,
	link.LevelError: slog.LevelError,
}

// allowLine reports whether one more line about an object may be logged, and counts it.
func (p *process) allowLine(counts logCounts, id object.ID) bool {
	c := counts.count(id)
	if now := time.Now(); now.Sub(c.since) >= time.Second {
		p.reportDropped(id, c)
		*c = lineCount{since: now}
	}
	if c.n++; c.n > p.t.logLines(id) {
		c.dropped++
		p.t.cfg.Account.DroppedLines(1)
		return false
	}
	return true
}

// logFailure logs why a call failed: the reason as the worker reports it, the call from the host's table.
func (p *process) logFailure(request uint64, text string) {
	p.mu.Lock()
	w := p.pending[request]
	var c object.Call
	if w != nil && w.call != nil {
		c = *w.call
		w.detail = text
	}
	p.mu.Unlock()
	if c.ID != "" && p.allowLine(p.failed, c.ID) {
		p.logFailed(&c, text)
	}
}

// logFailed logs a call that failed.
func (p *process) logFailed(c *object.Call, why string) {
	method := string(c.Method)
	if c.Kind == object.Batch {
		method = "a batch"
	}
	p.t.cfg.Log.Warn("call failed", "object", string(c.ID), "method", method, "principal", string(c.Caller.Principal),
		"call", object.CorrelationText(c.Corr), "err", why)
}

// logCounts counts lines by object.
type logCounts map[object.ID]*lineCount

func (l logCounts) count(id object.ID) *lineCount {
	c := l[id]
	if c == nil {
		c = &lineCount{}
		l[id] = c
	}
	return c
}

// logDropped reports the last dropped lines when the worker has ended.
func (p *process) logDropped() {
	for _, counts := range []logCounts{p.logged, p.failed} {
		for id, c := range counts {
			p.reportDropped(id, c)
		}
	}
}

func (p *process) reportDropped(id object.ID, c *lineCount) {
	if c.dropped > 0 {
		p.t.cfg.Log.Warn(
			"too many log lines", "object", string(id), "dropped", c.dropped, "per_second", p.t.logLines(id))
	}
}

// logLines returns the limit of log lines per second of an object. An object that was removed while it runs has the
// default.
func (t *Tenant) logLines(id object.ID) int {
	if v := t.version(id); v != nil {
		return v.Limits.LogLines
	}
	return object.Limits{}.WithDefaults().LogLines
}
