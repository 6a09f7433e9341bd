package backoff_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hearthhost/hearth/internal/backoff"
)

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rule, cause := backoff.Rule{Most: 4, Quarantine: time.Minute}, errors.New("why")
		var s backoff.State
		for i, want := range []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond, time.Minute} {
			aside := s.Crashed(rule, time.Second, cause)
			wait, isAside := s.Wait()
			if wait != want || aside != (i == 3) || isAside != aside || s.Status(0).Cause != cause {
				t.Errorf("crash %d: wait %s, aside %v and %v, cause %v; want %s", i+1, wait, aside, isAside, s.Status(0).Cause, want)
			}
			time.Sleep(wait)
		}
		if wait, _ := s.Wait(); wait != 0 {
			t.Errorf("after its time it waits %s", wait)
		}
		if !s.Crashed(rule, time.Second, cause) {
			t.Error("one more crash did not set it aside again")
		}
		s.Forgive()
		if wait, _ := s.Wait(); wait != 0 || s.Status(0).Cause != nil {
			t.Errorf("what is forgiven waits %s, for %v", wait, s.Status(0).Cause)
		}
		for range 10 {
			if s.Crashed(rule, time.Hour, cause) || s.Crashes() != 1 {
				t.Error("what ran well between its crashes was set aside")
			}
		}
	})
}
