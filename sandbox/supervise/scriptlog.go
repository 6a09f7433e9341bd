package supervise

import (
	"context"
	"log/slog"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// lines counts what one object logs in a second. The reader of the worker's frames alone
// uses it.
type lines struct {
	since   time.Time
	n       int
	dropped int
}

// logScript writes what a script said, marked as its own, unless it says too much. What
// was left out is told with the next line that is not.
func (p *process) logScript(level string, id object.ID, msg string) {
	if !p.knows(id) || !p.passes(p.logged, id) {
		return
	}
	var l slog.Level
	if l.UnmarshalText([]byte(level)) != nil {
		l = slog.LevelInfo
	}
	p.t.cfg.Log.Log(context.Background(), l, "script", "object", string(id), "text", msg)
}

// passes reports whether one more line about an object may be logged, and counts it.
func (p *process) passes(counts logCounts, id object.ID) bool {
	c := counts.of(id)
	if now := time.Now(); now.Sub(c.since) >= time.Second {
		p.tellDropped(id, c)
		*c = lines{since: now}
	}
	if c.n++; c.n > p.t.logLines(id) {
		c.dropped++
		p.t.cfg.Account.DroppedLines(1)
		return false
	}
	return true
}

// logFailure logs why a call failed, as the worker says, with what the host knows of the call.
func (p *process) logFailure(n uint64, d *link.Decoder) {
	raw := d.Raw()
	text := p.t.redact(string(raw[:min(len(raw), maxScriptLine)]))
	p.mu.Lock()
	w := p.pending[n]
	var c object.Call
	if w != nil && w.call != nil {
		c = *w.call
		w.detail = text
	}
	p.mu.Unlock()
	if c.ID != "" && p.passes(p.failed, c.ID) {
		p.logFailed(&c, text)
	}
}

// logFailed writes a line about a call that failed.
func (p *process) logFailed(c *object.Call, why string) {
	method := string(c.Method)
	if c.Kind == object.Batch {
		method = "a batch"
	}
	p.t.cfg.Log.Warn("call failed", "object", string(c.ID), "method", method, "principal", string(c.Caller.Principal),
		"call", object.CorrelationText(c.Corr), "err", why)
}

// leftOut counts lines that the worker did not send: it knows what would become of them.
func (p *process) leftOut(id object.ID, n uint64) {
	if p.knows(id) {
		p.logged.of(id).dropped += int(n)
		p.t.cfg.Account.DroppedLines(n)
	}
}

// logCounts counts lines by object.
type logCounts map[object.ID]*lines

func (l logCounts) of(id object.ID) *lines {
	c := l[id]
	if c == nil {
		c = &lines{}
		l[id] = c
	}
	return c
}

// logDropped tells of what was left out last, when the worker has ended.
func (p *process) logDropped() {
	for _, counts := range []logCounts{p.logged, p.failed} {
		for id, c := range counts {
			p.tellDropped(id, c)
		}
	}
}

func (p *process) tellDropped(id object.ID, c *lines) {
	if c.dropped > 0 {
		p.t.cfg.Log.Warn("more was logged than may be", "object", string(id), "dropped", c.dropped, "per_second", p.t.logLines(id))
	}
}

// logLines returns how many lines an object may log a second. It may have been removed while
// it runs.
func (t *Tenant) logLines(id object.ID) int {
	if v := t.version(id); v != nil {
		return v.Limits.LogLines
	}
	return object.Limits{}.OrDefaults().LogLines
}

// lost logs and counts that an instance ended and its state with it.
func (p *process) lost(d *link.Decoder) {
	id, why := object.ID(d.Text()), d.Text()
	if d.Err != nil || !p.knows(id) {
		return
	}
	p.t.cfg.Account.LostState()
	p.t.cfg.Log.Warn("instance ended, its state is lost", "object", string(id), "why", p.t.redact(why[:min(len(why), maxScriptLine)]))
}
