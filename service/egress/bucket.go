package egress

import (
	"sync"
	"time"
)

// bucket bounds a rate. The zero value permits everything. Safe for concurrent use.
type bucket struct {
	interval time.Duration // between two requests; 0: no bound
	burst    int

	mu   sync.Mutex
	next time.Time // at which the bucket is full again
}

// take takes one request at a time, or reports that the rate is exceeded.
func (b *bucket) take(now time.Time) bool {
	if b.interval == 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if full := now.Add(-time.Duration(b.burst-1) * b.interval); b.next.Before(full) {
		b.next = full
	}
	if b.next.After(now) {
		return false
	}
	b.next = b.next.Add(b.interval)
	return true
}
