package admit

import (
	"fmt"
	"sync"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// quotas counts what the policy's limits bound: the calls of each principal to each
// object. It outlives policies, so that a reload gives nobody a fresh start. The zero
// value is empty; it is safe for concurrent use.
type Quotas struct {
	mu    sync.Mutex // guards what follows
	of    map[quotaKey]*quota
	sweep int // the size at which idle ones are thrown out
}

type quotaKey struct {
	limit  string
	caller object.Principal
	id     object.ID
}

// quota is one count. Calls at a rate are counted by the time at which they would all
// have come at that rate exactly (the generic cell rate algorithm).
type quota struct {
	due     time.Time // when the calls so far are paid for
	running int
}

// take counts n calls that are about to begin, or refuses them all and says which limit
// stands against them and when to come again.
func (q *Quotas) Take(limits []*policy.Limit, who object.Principal, id object.ID, n int, now time.Time) (*policy.Limit, error) {
	if len(limits) == 0 {
		return nil, nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range limits {
		c := q.get(l, who, id, now)
		if l.Concurrent > 0 && c.running >= l.Concurrent {
			return l, object.Errorf(object.CodeExhausted, "limit exceeded: %d calls of %s at a time; not executed", l.Concurrent, id)
		}
		if l.Interval == 0 {
			continue
		}
		if n > l.Burst {
			return l, object.Errorf(object.CodeExhausted, "limit exceeded: a batch of %d calls of %s, and at most %d may come at once; not executed", n, id, l.Burst)
		}
		if wait := c.after(l, n, now).Sub(now) - time.Duration(l.Burst)*l.Interval; wait > 0 {
			return l, object.Errorf(object.CodeExhausted, "limit exceeded: %s calls of %s; not executed, try again in %s", l.Rate, id, roughly(wait))
		}
	}
	for _, l := range limits {
		c := q.get(l, who, id, now)
		c.running++
		if l.Interval > 0 {
			c.due = c.after(l, n, now)
		}
	}
	return nil, nil
}

// release ends calls that take let begin.
func (q *Quotas) Release(limits []*policy.Limit, who object.Principal, id object.ID) {
	if len(limits) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range limits {
		if c := q.of[quotaKey{l.Name, who, id}]; c != nil {
			c.running--
		}
	}
}

// after is when calls are paid for if n more come now.
func (c *quota) after(l *policy.Limit, n int, now time.Time) time.Time {
	due := c.due
	if due.Before(now) {
		due = now
	}
	return due.Add(time.Duration(n) * l.Interval)
}

func (q *Quotas) get(l *policy.Limit, who object.Principal, id object.ID, now time.Time) *quota {
	key := quotaKey{l.Name, who, id}
	c := q.of[key]
	if c == nil {
		if q.of == nil {
			q.of = map[quotaKey]*quota{}
		}
		if len(q.of) >= q.sweep {
			for k, old := range q.of {
				if old.running == 0 && old.due.Before(now) {
					delete(q.of, k)
				}
			}
			q.sweep = 2*len(q.of) + 1024
		}
		c = &quota{}
		q.of[key] = c
	}
	return c
}

// roughly rounds a wait up to what a person reads easily.
func roughly(d time.Duration) string {
	unit := time.Millisecond
	if d > time.Second {
		unit = time.Second / 10
	}
	return fmt.Sprint((d + unit - 1).Truncate(unit))
}
