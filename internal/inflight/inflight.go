// Package inflight limits the bytes of messages in flight: incoming messages, inflated payloads and unread answers.
// Bytes are acquired before their memory is allocated.
//
// Accounts form a tree of two levels. The root is the host, its children are principals and tenants. A child has a
// limit. In addition no child can hold more bytes than the root has left, so that some room always remains for
// others. A child that holds nothing can acquire one item above its limit if the root has room for it: a limit below
// the size of the largest message does not make that message impossible.
//
// All methods of an [Account] may be called concurrently. [Account.Acquire] and [Account.Release] are a few atomic
// additions and never wait. Of two concurrent acquisitions both can fail although one of them would have room.
package inflight

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hearthhost/hearth/internal/bytesize"
)

// Account counts the bytes of a child or of the root.
type Account struct {
	name  string
	limit atomic.Int64
	used  atomic.Int64
	root  *Account // the account itself for the root

	waiters atomic.Int64 // of the root: waiting acquisitions
	mu      sync.Mutex   // of the root: guards the fields below of all accounts
	queues  []*Account   // of the root: children with waiters, in the order of service
	queue   []*waiter    // of a child, in the order of arrival
}

// waiter is a waiting acquisition.
type waiter struct {
	bytes   int64
	granted chan struct{} // closed when the bytes are acquired
}

// Full is the error of an acquisition without room.
type Full struct {
	Account string // name of the full account
	Limit   int64  // its limit in bytes, or the lower number of bytes that the root leaves to a child
}

// Error implements error.
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

// Child returns a new account below a root. It needs no Close.
func (a *Account) Child(name string, limit int64) *Account {
	c := &Account{name: name, root: a.root}
	c.limit.Store(limit)
	return c
}

// SetLimit changes a limit. Acquired bytes stay acquired.
func (a *Account) SetLimit(limit int64) {
	a.limit.Store(limit)
	a.serve()
}

// Used returns the number of acquired bytes.
func (a *Account) Used() int64 { return a.used.Load() }

// Limit returns the limit in bytes.
func (a *Account) Limit() int64 { return a.limit.Load() }

// Quiet reports whether the account and the root are used to at most an eighth, so that a caller can keep a buffer
// for later.
func (a *Account) Quiet() bool {
	return a.used.Load() <= a.limit.Load()/8 && a.root.used.Load() <= a.root.limit.Load()/8
}

// Acquire acquires n bytes. With an error, a *[Full], it acquires none.
func (a *Account) Acquire(n int) error {
	if full := a.take(int64(n)); full != nil {
		return full
	}
	return nil
}

// take is Acquire. It adds first and compares then, so that two acquisitions never get the same room.
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

// Release returns n bytes.
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

// serve grants waiting acquisitions that have room now.
func (a *Account) serve() {
	r := a.root
	if r.waiters.Load() == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serveLocked()
}

// serveLocked is serve, with the lock held: round robin among the accounts, in order within each.
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
		i = 0 // every account gets one grant before this one gets another
	}
}

// Wait acquires n bytes of a child and waits for room until ctx ends. The error is the last *[Full].
func (a *Account) Wait(ctx context.Context, n int) error {
	r := a.root
	w := &waiter{bytes: int64(n), granted: make(chan struct{})}
	r.mu.Lock()
	r.waiters.Add(1) // before the first check, so that a later Release serves this waiter
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
	if i < 0 { // granted after ctx ended
		return nil
	}
	a.queue = slices.Delete(a.queue, i, i+1)
	r.waiters.Add(-1)
	if len(a.queue) == 0 {
		r.queues = slices.DeleteFunc(r.queues, func(c *Account) bool { return c == a })
	}
	full := a.take(w.bytes)
	r.serveLocked() // the next waiters may need fewer bytes
	if full != nil {
		return full
	}
	return nil
}
