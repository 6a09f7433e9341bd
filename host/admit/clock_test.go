package admit

import (
	"testing"
	"time"

	"github.com/hearthhost/hearth/internal/clocktest"
)

// TestClockSet sets the system's clock while tenants contend. Contention neither ends early nor lasts longer.
func TestClockSet(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, time.Hour} {
		var f FairQueue
		f.Init(4)
		now := time.Now()
		var slots [2]Slot
		f.Acquire(&slots[0], "a", 1, now)
		f.Acquire(&slots[1], "b", 1, now)
		for _, c := range []struct {
			after time.Duration
			want  bool
		}{{0, true}, {contendedFor - 1, true}, {contendedFor, false}} {
			if got := f.Contended(clocktest.Set(now.Add(c.after), by)); got != c.want {
				t.Errorf("clock set by %s: %s after the contention began, Contended = %t", by, c.after, got)
			}
		}
		// A later call contends again, although it has a time of the other clock.
		later := clocktest.Set(now.Add(time.Minute), by)
		f.Acquire(new(Slot), "c", 1, later)
		if !f.Contended(later) || !f.Contended(now.Add(time.Minute)) || f.Contended(now.Add(2*time.Minute)) {
			t.Errorf("clock set by %s: contention after the change does not last %s", by, contendedFor)
		}
	}
}
