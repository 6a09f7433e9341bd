package admit

import (
	"fmt"
	"sync"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// Quotas counts the calls of each principal to each object under the policy's limits. It outlives policies, so that a
// reload resets no quota. The zero value is empty. It is safe for concurrent use.
type Quotas struct {
	mu    sync.Mutex // guards the fields below
	byKey map[quotaKey]*quota
	sweep int // size of byKey at which idle quotas are removed
}

type quotaKey struct {
	limit  string
	caller object.Principal
	id     object.ID
}

// quota is the state of one limit for one caller and one object. A rate is limited by the generic cell rate algorithm.
type quota struct {
	due     time.Time // theoretical arrival time of the next call
	running int       // number of running calls
}

// Take counts n calls that are about to begin. If a limit is exceeded, it counts none of them and returns that limit
// and the error for the caller, with the time until the next attempt.
func (q *Quotas) Take(
	limits []*policy.Limit, caller object.Principal, id object.ID, n int, now time.Time,
) (*policy.Limit, error) {
	if len(limits) == 0 {
		return nil, nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range limits {
		c := q.get(l, caller, id, now)
		if l.Concurrent > 0 && c.running >= l.Concurrent {
			return l, object.Errorf(object.CodeExhausted,
				"limit exceeded: %d calls of %s at a time; not executed", l.Concurrent, id)
		}
		if l.Interval == 0 {
			continue
		}
		if n > l.Burst {
			return l, object.Errorf(object.CodeExhausted,
				"limit exceeded: a batch of %d calls of %s, and at most %d may come at once; not executed",
				n, id, l.Burst)
		}
		if wait := c.dueAfter(l, n, now).Sub(now) - time.Duration(l.Burst)*l.Interval; wait > 0 {
			return l, object.Errorf(object.CodeExhausted,
				"limit exceeded: %s calls of %s; not executed, try again in %s", l.Rate, id, roundUp(wait))
		}
	}
	for _, l := range limits {
		c := q.get(l, caller, id, now)
		c.running++
		if l.Interval > 0 {
			c.due = c.dueAfter(l, n, now)
		}
	}
	return nil, nil
}

// Release ends the calls of one Take.
func (q *Quotas) Release(limits []*policy.Limit, caller object.Principal, id object.ID) {
	if len(limits) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range limits {
		if c := q.byKey[quotaKey{l.Name, caller, id}]; c != nil {
			c.running--
		}
	}
}

// dueAfter returns the theoretical arrival time after n more calls.
func (c *quota) dueAfter(l *policy.Limit, n int, now time.Time) time.Time {
	due := c.due
	if due.Before(now) {
		due = now
	}
	return due.Add(time.Duration(n) * l.Interval)
}

// get returns a quota and makes it if needed. It removes idle quotas when there are many.
func (q *Quotas) get(l *policy.Limit, caller object.Principal, id object.ID, now time.Time) *quota {
	key := quotaKey{l.Name, caller, id}
	c := q.byKey[key]
	if c == nil {
		if q.byKey == nil {
			q.byKey = map[quotaKey]*quota{}
		}
		if len(q.byKey) >= q.sweep {
			for k, old := range q.byKey {
				if old.running == 0 && old.due.Before(now) {
					delete(q.byKey, k)
				}
			}
			q.sweep = 2*len(q.byKey) + 1024
		}
		c = &quota{}
		q.byKey[key] = c
	}
	return c
}

// roundUp formats a duration, rounded up to 1 ms, or to 0.1 s if it is longer than 1 s.
func roundUp(d time.Duration) string {
	unit := time.Millisecond
	if d > time.Second {
		unit = time.Second / 10
	}
	return fmt.Sprint((d + unit - 1).Truncate(unit))
}
