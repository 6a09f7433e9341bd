package plugins

import (
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/launch"
)

// TestQueueIsNoHang: callers choose how many calls wait for one instance. Those that wait beyond their deadline, while
// the plugin answers others, do not end it and its state. A plugin that answers nothing is ended.
func TestQueueIsNoHang(t *testing.T) {
	t.Parallel()
	late := object.Errorf(object.CodeDeadline, "no answer")
	start := time.Now()
	for _, tc := range []struct {
		name     string
		answered time.Duration // after start; 0: nothing was answered
		began    time.Duration // of the calls that are late
		hung     bool
	}{
		{"nothing is answered", 0, time.Second, true},
		{"answered before they began", time.Second, 2 * time.Second, true},
		{"answered while they waited", 20 * time.Second, time.Second, false},
	} {
		pr := &process{
			p:     &Plugin{},
			calls: map[uint64]*running{},
			run:   launch.New(launch.Config{}, nil, nil, nil, ""),
		}
		if tc.answered > 0 {
			pr.answered = start.Add(tc.answered)
		}
		for n := range uint64(2 * maxOverdue) {
			pr.finish(n, start.Add(tc.began), late)
		}
		if hung := pr.run.Cause() != nil; hung != tc.hung {
			t.Errorf("%s: ended: %v, want %v (%v)", tc.name, hung, tc.hung, pr.run.Cause())
		}
	}
}
