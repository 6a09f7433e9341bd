package store

import (
	"sync"
	"time"
)

// Clock returns times that never decrease. While the system's clock is set back, they continue to increase at its rate:
// they are then ahead of it.
type Clock struct {
	Now func() time.Time // nil: [time.Now]

	mu     sync.Mutex // guards the fields below
	latest int64      // latest reading of Now
	ahead  int64      // sum of the steps back
}

// Millis returns the time in milliseconds since 1970.
func (c *Clock) Millis() int64 {
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := now().UnixMilli()
	if t < c.latest {
		c.ahead += c.latest - t
	}
	c.latest = t
	return t + c.ahead
}

// Expiry returns the time at which a key with this time to live expires, 0 for never.
func Expiry(now int64, ttl time.Duration) int64 {
	if ttl == 0 {
		return 0
	}
	return now + ttl.Milliseconds()
}

// Expired reports whether a key with this expiry is missing at a time.
func Expired(expires, now int64) bool { return expires != 0 && expires <= now }
