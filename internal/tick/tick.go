// Package tick calls functions at intervals.
package tick

import (
	"context"
	"time"
)

// Every calls f at each interval until f returns false or ctx is done. It does not call f at once. If f takes longer
// than an interval, calls are skipped.
func Every(ctx context.Context, interval time.Duration, f func(now time.Time) bool) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if ctx.Err() != nil || !f(now) {
				return
			}
		}
	}
}
