package host

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestPublicMetrics: any number of metrics requests by users of this machine costs no more than one request a
// second.
func TestPublicMetrics(t *testing.T) {
	t.Parallel()
	var p publicMetrics
	made := 0
	ask := func(at time.Time) string {
		return string(p.current(at, func() []byte { made++; return fmt.Append(nil, made) }))
	}
	start := time.Now()
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if got := ask(start); got != "1" {
				t.Errorf("at first %s, want 1", got)
			}
		})
	}
	all.Wait()
	for _, tc := range []struct {
		after time.Duration
		want  string
	}{{publicEvery - 1, "1"}, {publicEvery, "2"}, {publicEvery + 1, "2"}, {0, "3"}} { // a clock that was set back
		if got := ask(start.Add(tc.after)); got != tc.want {
			t.Errorf("%s later %s, want %s", tc.after, got, tc.want)
		}
	}
}
