package clocktest_test

import (
	"testing"
	"time"

	"github.com/hearthhost/hearth/internal/clocktest"
)

// TestSet: the wall clock moves, the monotonic clock does not.
func TestSet(t *testing.T) {
	now := time.Now()
	for _, by := range []time.Duration{-time.Hour, 0, time.Second, 1000 * time.Hour} {
		set := clocktest.Set(now, by)
		if d := set.Sub(now); d != 0 {
			t.Errorf("by %s: the monotonic clock moved by %s", by, d)
		}
		if d := set.Round(0).Sub(now.Round(0)); d != by { // Round removes the monotonic reading
			t.Errorf("by %s: the wall clock moved by %s", by, d)
		}
	}
}
