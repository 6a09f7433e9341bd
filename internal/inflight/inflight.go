// Package inflight counts the bytes that a host holds for others, before it makes room for them: messages that
// arrive, payloads that are unpacked, answers that wait to be read.
//
// Accounts form a tree of two levels. The root is the host's. Its children are those on whose behalf bytes are
// held, principals and tenants. A child has a limit, and in addition no child may hold more than the root has
// left, so that whatever some of them take, others find room. A child that holds nothing may take more than its
// limit, one item, if the root has it: a limit below the largest message does not make that message impossible.
//
// All methods of an [Account] may be called concurrently. [Account.Acquire] and [Account.Release] are a few
// atomic additions and never wait. Acquisitions that overlap may be refused although one of them has room.
package inflight

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hearthhost/hearth/internal/bytesize"
)

// Account counts the bytes of one child, or of the root.
type Account struct {
	name  string
	limit atomic.Int64
	used  atomic.Int64
	root  *Account // itself, if it is the root

	waiters atomic.Int64 // of the root: acquisitions that wait
	mu      sync.Mutex   // of the root: guards what follows, in all accounts
	queues  []*Account   // of the root: the children with waiters, the next to be served first
	queue   []*waiter    // of a child, in the order of their coming
}

// waiter is an acquisition that waits.
type waiter struct {
	bytes   int64
	granted chan struct{} // closed when it is
}

// Full is the error of an acquisition for which there is no room.
type Full struct {
	Account string // the one without room
	Limit   int64  // its limit, in bytes; of a child that may not have its own now, what it may have
}

// Error says which account is full.
func (e *Full) Error() string {
	return fmt.Sprintf("too many bytes in flight of %s: limit %s", e.Account, bytesize.Text(e.Limit))
}

// New returns a root with a limit in bytes.
func New(name string, limit int64) *Account {
	a := &Account{name: name}
	a.root = a
	a.limit.Store(limit)
	return a
}

// Child returns an account below a root, which needs no closing.
func (a *Account) Child(name string, limit int64) *Account {
	c := &Account{name: name, root: a.root}
	c.limit.Store(limit)
	return c
}

// SetLimit changes a limit. What is held stays.
func (a *Account) SetLimit(limit int64) {
	a.limit.Store(limit)
	a.serve()
}

// Used returns how many bytes are held.
func (a *Account) Used() int64 { return a.used.Load() }

// Limit returns the limit in bytes.
func (a *Account) Limit() int64 { return a.limit.Load() }

// Quiet reports whether so little is held that keeping a buffer for later harms nobody: an eighth of the limits.
func (a *Account) Quiet() bool {
	return a.used.Load() <= a.limit.Load()/8 && a.root.used.Load() <= a.root.limit.Load()/8
}

// Acquire takes n bytes, or none: the error is a *[Full].
func (a *Account) Acquire(n int) error {
	if full := a.take(int64(n)); full != nil {
		return full
	}
	return nil
}

// take is Acquire. It counts first and looks then, so that no two acquisitions get the same room.
func (a *Account) take(n int64) *Full {
	if n <= 0 {
		return nil
	}
	root := a.root
	most := root.limit.Load()
	total := root.used.Add(n)
	if total > most {
		root.used.Add(-n)
		return &Full{root.name, most}
	}
	if a == root {
		return nil
	}
	used := a.used.Add(n)
	if used == n {
		return nil
	}
	limit := min(a.limit.Load(), max(most-total+n, 0))
	if used <= limit {
		return nil
	}
	a.used.Add(-n)
	root.used.Add(-n)
	return &Full{a.name, limit}
}

// Release gives back n bytes.
func (a *Account) Release(n int) {
	if n <= 0 {
		return
	}
	if a != a.root {
		a.used.Add(-int64(n))
	}
	a.root.used.Add(-int64(n))
	a.serve()
}

// serve grants what waits and has room now.
func (a *Account) serve() {
	r := a.root
	if r.waiters.Load() == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serveLocked()
}

// serveLocked grants what waits and has room, in turn among the accounts and in order within each.
func (a *Account) serveLocked() {
	for i := 0; i < len(a.queues); {
		c := a.queues[i]
		if c.take(c.queue[0].bytes) != nil {
			i++
			continue
		}
		close(c.queue[0].granted)
		a.waiters.Add(-1)
		c.queue = c.queue[1:]
		a.queues = slices.Delete(a.queues, i, i+1)
		if len(c.queue) > 0 {
			a.queues = append(a.queues, c)
		}
		i = 0 // the others first, and then this one again
	}
}

// Wait takes n bytes of a child, waiting for room until ctx is done. The error is the last *[Full].
func (a *Account) Wait(ctx context.Context, n int) error {
	r := a.root
	w := &waiter{bytes: int64(n), granted: make(chan struct{})}
	r.mu.Lock()
	r.waiters.Add(1) // before looking, so that whoever releases afterwards looks here
	if a.queue = append(a.queue, w); len(a.queue) == 1 {
		r.queues = append(r.queues, a)
	}
	r.serveLocked()
	r.mu.Unlock()
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(a.queue, w)
	if i < 0 { // granted meanwhile
		return nil
	}
	a.queue = slices.Delete(a.queue, i, i+1)
	r.waiters.Add(-1)
	if len(a.queue) == 0 {
		r.queues = slices.DeleteFunc(r.queues, func(c *Account) bool { return c == a })
	}
	full := a.take(w.bytes)
	r.serveLocked() // those behind it may need less
	if full != nil {
		return full
	}
	return nil
}
