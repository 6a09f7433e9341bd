package tick_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hearthhost/hearth/internal/tick"
)

func TestEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start, calls := time.Now(), 0
		tick.Every(ctx, time.Minute, func(now time.Time) bool {
			calls++
			if now.Sub(start) != time.Duration(calls)*time.Minute {
				t.Errorf("call %d after %s", calls, now.Sub(start))
			}
			return calls < 3
		})
		if calls != 3 {
			t.Errorf("%d calls, want 3: the third returns false", calls)
		}
		tick.Every(ctx, time.Minute, func(time.Time) bool { calls++; cancel(); return true })
		if calls != 4 {
			t.Errorf("%d calls, want 4: the fourth ends the context", calls)
		}
	})
}
