package worker

import (
	"sync"
	"time"

	"github.com/hearthhost/hearth/object"
)

// lines keeps a script that logs without end from keeping the host busy with what it would
// drop: beyond what an object may log in a second, its lines end here, and the host is told
// how many did. It counts for itself all the same. Safe for concurrent use.
type lines struct {
	tell func(object.ID, uint64) // at most once a second for each object

	mu sync.Mutex // guards what follows
	of map[object.ID]*linesOf
}

type linesOf struct {
	most  int
	since time.Time
	n     int
	left  uint64 // out, and not told yet
}

// allow says how many lines of an object may be sent a second.
func (l *lines) allow(id object.ID, most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[object.ID]*linesOf{}
	}
	if o := l.of[id]; o != nil {
		o.most = most
		return
	}
	l.of[id] = &linesOf{most: most}
}

// pass reports whether a line of an object goes to the host.
func (l *lines) pass(id object.ID, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.of[id]
	if o == nil {
		return true
	}
	if now.Sub(o.since) >= time.Second {
		o.since, o.n = now, 0
	}
	if o.n++; o.n <= o.most {
		return true
	}
	if o.left++; o.left == 1 {
		time.AfterFunc(time.Second, func() { l.tell(id, l.take(id)) })
	}
	return false
}

// take returns how many lines were left out since it was asked last.
func (l *lines) take(id object.ID) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.of[id].left
	l.of[id].left = 0
	return n
}
