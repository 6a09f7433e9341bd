// Package clocktest makes the times that [time.Now] returns after the system's clock was set. Only tests use it.
package clocktest

import (
	"time"
	"unsafe"
)

// Set returns a time of time.Now whose wall clock is changed by a whole number of seconds, and whose monotonic reading
// is the same. It depends on the memory layout of [time.Time], which its test checks.
func Set(t time.Time, by time.Duration) time.Time {
	const (
		nanosecondBits = 30
		hasMonotonic   = 1 << 63
	)
	wall := (*uint64)(unsafe.Pointer(&t)) //nolint:gosec // the first field of time.Time
	if *wall&hasMonotonic == 0 {
		panic("clocktest: the time has no monotonic reading")
	}
	*wall += uint64(by/time.Second) << nanosecondBits
	return t
}
