package store

import (
	"sync/atomic"
	"time"
)

// Clock returns times that never decrease.
type Clock struct {
	Now func() time.Time // nil: [time.Now]

	latest atomic.Int64
}

// Millis returns the greatest time so far in milliseconds since 1970.
func (c *Clock) Millis() int64 {
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	t := now().UnixMilli()
	for {
		latest := c.latest.Load()
		if t <= latest {
			return latest
		}
		if c.latest.CompareAndSwap(latest, t) {
			return t
		}
	}
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
