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
		rule, cause := backoff.Rule{MaxCrashes: 4, Quarantine: time.Minute}, errors.New("why")
		var s backoff.State
		for i, want := range []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond, time.Minute} {
			now := s.Crashed(rule, time.Second, cause)
			wait, quarantined := s.Wait()
			if wait != want || now != (i == 3) || quarantined != now || s.Status(0).Cause != cause {
				t.Errorf("crash %d: wait %s, quarantined %v and %v, cause %v; want %s",
					i+1, wait, now, quarantined, s.Status(0).Cause, want)
			}
			time.Sleep(wait)
		}
		if wait, _ := s.Wait(); wait != 0 {
			t.Errorf("after the quarantine it waits %s", wait)
		}
		if !s.Crashed(rule, time.Second, cause) {
			t.Error("one more crash did not lead to quarantine")
		}
		s.Reset()
		if wait, _ := s.Wait(); wait != 0 || s.Status(0).Cause != nil {
			t.Errorf("after Reset it waits %s, because of %v", wait, s.Status(0).Cause)
		}
		for range 10 {
			if s.Crashed(rule, time.Hour, cause) || s.Crashes() != 1 {
				t.Error("a process with long runs between its crashes is quarantined")
			}
		}
	})
}
