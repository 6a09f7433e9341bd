// Package largebuf keeps the large buffers of ended messages for the next ones.
//
// A new buffer of megabytes costs more than the copy of a message into it: the runtime clears it, the kernel maps its
// pages one by one, and the garbage collector runs often and returns the pages.
package largebuf

import (
	"sync"
	"time"
)

const (
	// MinBytes is the least capacity of a buffer that is kept.
	MinBytes = 256 << 10
	// MaxKept bounds the sum of the capacities of the kept buffers.
	MaxKept = 32 << 20

	// idleTime is the time without use after which a buffer is dropped. It is kept for at most twice as long.
	idleTime = 2 * time.Second

	// slack is the capacity of a buffer beyond the requested length. A message that is cut from a buffer loses the
	// bytes before it, and the rest can still hold a message of the same size.
	slack = 8 << 10
	// excess bounds the capacity of a buffer that Get returns, as a multiple of the requested length.
	excess = 2
)

// pool has the kept buffers. It is one for the process: any message can use the memory of any other.
var pool struct {
	mu     sync.Mutex
	kept   []entry // in the order of Put
	bytes  int     // sum of the capacities
	expiry *time.Timer
}

type entry struct {
	b   []byte
	old bool // the timer has seen it
}

// Get returns a buffer of n bytes. Its contents are undefined: it may hold parts of earlier messages. Give it to Put,
// or to the garbage collector.
func Get(n int) []byte {
	if n < MinBytes {
		return make([]byte, n)
	}
	pool.mu.Lock()
	for i := len(pool.kept) - 1; i >= 0; i-- {
		if b := pool.kept[i].b; cap(b) >= n && cap(b)/excess <= n {
			removeLocked(i)
			pool.mu.Unlock()
			return b[:n]
		}
	}
	pool.mu.Unlock()
	return make([]byte, n, n+slack)
}

// Put keeps a buffer for a later Get. The caller must not use the memory up to the capacity of b afterwards, and
// nothing may alias it. It returns the bytes that are garbage now: those of b if it is small, and of the buffers that
// were kept for the longest time if too many are kept.
func Put(b []byte) (garbage int) {
	if cap(b) < MinBytes || cap(b) > MaxKept {
		return cap(b)
	}
	pool.mu.Lock()
	defer pool.mu.Unlock()
	for pool.bytes+cap(b) > MaxKept {
		garbage += cap(pool.kept[0].b)
		removeLocked(0)
	}
	pool.kept = append(pool.kept, entry{b: b})
	pool.bytes += cap(b)
	if pool.expiry == nil {
		pool.expiry = time.AfterFunc(idleTime, expire)
	} else if len(pool.kept) == 1 {
		pool.expiry.Reset(idleTime)
	}
	return garbage
}

// Kept returns the sum of the capacities of the kept buffers in bytes.
func Kept() int {
	pool.mu.Lock()
	defer pool.mu.Unlock()
	return pool.bytes
}

// Drop drops the kept buffers, for a process whose memory is at its limit. It reports whether there were any.
func Drop() bool {
	pool.mu.Lock()
	defer pool.mu.Unlock()
	dropped := len(pool.kept) > 0
	clear(pool.kept)
	pool.kept, pool.bytes = pool.kept[:0], 0
	return dropped
}

func removeLocked(i int) {
	pool.bytes -= cap(pool.kept[i].b)
	last := len(pool.kept) - 1
	copy(pool.kept[i:], pool.kept[i+1:])
	pool.kept[last] = entry{}
	pool.kept = pool.kept[:last]
}

// expire drops the buffers that were not used since its last run.
func expire() {
	pool.mu.Lock()
	defer pool.mu.Unlock()
	for i := len(pool.kept) - 1; i >= 0; i-- {
		if pool.kept[i].old {
			removeLocked(i)
		} else {
			pool.kept[i].old = true
		}
	}
	if len(pool.kept) > 0 {
		pool.expiry.Reset(idleTime)
	}
}
