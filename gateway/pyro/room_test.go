package pyro

import (
	"testing"
	"time"

	"github.com/hearthhost/hearth/internal/clocktest"
)

// TestRoomLogInterval: the interval of logs about closed connections does not depend on the system's clock.
func TestRoomLogInterval(t *testing.T) {
	var s Server
	now := time.Now()
	for i, c := range []struct {
		at   time.Time
		want bool
	}{
		{now, true},
		{now, false},
		{clocktest.Set(now, time.Hour), false},
		{clocktest.Set(now.Add(roomLogEvery+1), -time.Hour), true},
		{now.Add(2*roomLogEvery + 2), true},
	} {
		if got := s.logsRoom(c.at); got != c.want {
			t.Errorf("log %d: %t", i, got)
		}
	}
}
