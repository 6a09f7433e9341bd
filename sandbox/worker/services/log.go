package services

import (
	"cmp"
	"sync"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// Log sends log lines to the host. It implements [services.Log].
type Log struct {
	calls    *hostCalls
	secrets  *secrets
	scripts  lineLimiter // lines of scripts
	failures lineLimiter // lines about calls that failed
}

// init connects the log with the services that it uses.
func (l *Log) init(calls *hostCalls, s *secrets) {
	l.calls, l.secrets = calls, s
	l.scripts.report = l.dropped
	l.failures.report = func(object.ID, uint64) {} // the host counts those beyond its own limit
}

// allow sets how many lines of an object are sent per second.
func (l *Log) allow(id object.ID, lines int) {
	l.scripts.allow(id, lines)
	l.failures.allow(id, 2*lines)
}

// Line sends a line of a script. It may wait until the host reads.
func (l *Log) Line(id object.ID, level, text string) {
	if l.scripts.pass(id.Family(), time.Now()) {
		l.calls.send(logHead(id, link.LogLine), func(e *link.Encoder) { e.PutLogLine(levels[level], text) })
	}
}

// levels maps the levels of [services.Log] to those of the link.
var levels = map[string]link.Level{
	"debug": link.LevelDebug,
	"info":  link.LevelInfo,
	"warn":  link.LevelWarn,
	"error": link.LevelError,
}

// dropped reports how many lines of an object were not sent.
func (l *Log) dropped(id object.ID, n uint64) {
	l.calls.send(logHead(id, link.LogDropped), func(e *link.Encoder) { e.Uint(n) })
}

// Failure reports why a call of an object failed. It must come before the reply to the request.
func (l *Log) Failure(id object.ID, request uint64, why func() string) {
	if !l.failures.pass(id.Family(), time.Now()) {
		return
	}
	text := l.secrets.Redact(why(), link.MaxLogLineBytes)
	head := logHead(id, link.LogFailure)
	head.Request = request
	l.calls.post(head, func(e *link.Encoder) { e.Raw([]byte(text)) })
}

// Lost reports that an instance was ended, and its state with it.
func (l *Log) Lost(id object.ID, why *object.Error) {
	text := "the call ended it"
	if why != nil {
		text = cmp.Or(why.Msg, why.Error())
	}
	l.calls.post(logHead(id, link.LogLost), func(e *link.Encoder) { e.Raw([]byte(text)) })
}

// Unloaded reports that an idle instance of a keyed object was unloaded.
func (l *Log) Unloaded(id object.ID) {
	l.calls.post(logHead(id, link.LogUnload), func(*link.Encoder) {})
}

// logHead returns the head of an op of the log service.
func logHead(id object.ID, op link.Op) link.HostCallHead {
	return link.HostCallHead{Object: id, Service: link.Log, Op: op}
}

// lineLimiter limits the lines per second of each object, so that a script that logs in a loop does not keep the host
// busy with lines that it would drop. The host limits the lines, too. Safe for concurrent use.
type lineLimiter struct {
	report func(object.ID, uint64) // receives the dropped lines of an object, at most once per second

	mu      sync.Mutex // guards the fields below
	objects map[object.ID]*lineCount
}

// lineCount counts the lines of one object.
type lineCount struct {
	limit   int       // lines per second
	since   time.Time // start of the second
	n       int       // lines since then
	dropped uint64    // lines not reported yet
}

// allow sets how many lines per second of an object pass.
func (l *lineLimiter) allow(id object.ID, limit int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.objects == nil {
		l.objects = map[object.ID]*lineCount{}
	}
	if c := l.objects[id]; c != nil {
		c.limit = limit
		return
	}
	l.objects[id] = &lineCount{limit: limit}
}

// pass reports whether a line of an object is sent. An object without a limit passes.
func (l *lineLimiter) pass(id object.ID, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.objects[id]
	if c == nil {
		return true
	}
	if now.Sub(c.since) >= time.Second {
		c.since, c.n = now, 0
	}
	c.n++
	if c.n <= c.limit {
		return true
	}
	c.dropped++
	if c.dropped == 1 {
		time.AfterFunc(time.Second, func() { l.report(id, l.take(id)) })
	}
	return false
}

// take returns how many lines were dropped since the last report.
func (l *lineLimiter) take(id object.ID) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.objects[id]
	n := c.dropped
	c.dropped = 0
	return n
}
