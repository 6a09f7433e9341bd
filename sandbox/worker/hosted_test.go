package worker

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// TestParallel: of an object of mode "call" as many calls run at a time as may, as many wait,
// and one more is refused, not executed.
func TestParallel(t *testing.T) {
	var sent bytes.Buffer
	w := &process{out: link.NewWriter(&sent), running: map[uint64]*job{}}
	o := newHosted(w, "acme.o", object.Limits{Parallel: 2, Queue: 1})
	o.working = 2 // are at work already
	var refused []uint64
	for id := range uint64(3) {
		j := newJob(w, id)
		w.jobs.Add(1)
		before := sent.Len()
		o.parallelLocked(j)
		if sent.Len() > before {
			refused = append(refused, id)
		}
	}
	if len(o.waiting) != 1 || o.working != 2 || len(refused) != 2 || refused[0] != 1 {
		t.Errorf("%d wait, %d work, %v are refused; want 1, 2, [1 2]", len(o.waiting), o.working, refused)
	}
	if n := strings.Count(sent.String(), "limit exceeded: 1 calls of acme.o are waiting; not executed"); n != 2 {
		t.Errorf("%d are told why, want 2: %q", n, sent.String())
	}
}
