package admin

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestPublicMetrics checks that any number of metrics requests by local users costs at most one collection in
// publicEvery.
func TestPublicMetrics(t *testing.T) {
	t.Parallel()
	var p publicMetrics
	collections := 0
	request := func(at time.Time) string {
		return string(p.current(at, func() []byte { collections++; return fmt.Append(nil, collections) }))
	}
	start := time.Now()
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if got := request(start); got != "1" {
				t.Errorf("at first %s, want 1", got)
			}
		})
	}
	all.Wait()
	for _, tc := range []struct {
		after time.Duration
		want  string
	}{
		{publicEvery - 1, "1"},
		{publicEvery, "2"},
		{publicEvery + 1, "2"},
		{0, "3"}, // the clock was set back
	} {
		if got := request(start.Add(tc.after)); got != tc.want {
			t.Errorf("%s later %s, want %s", tc.after, got, tc.want)
		}
	}
}
