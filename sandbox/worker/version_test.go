package worker

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// TestParallel makes calls of an object of mode "call" up to its limits. One more call is refused, not executed.
func TestParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent bytes.Buffer
		w := &process{out: link.NewWriter(&sent), running: map[uint64]*job{}}
		o := newObjectVersion(w, "acme.o", object.Limits{Parallel: 2, Queue: 1})
		o.working = 2 // both run
		for id := range uint64(3) {
			w.jobs.Add(1)
			w.running[id] = newJob(w, id)
			o.parallelLocked(w.running[id])
		}
		if len(o.waiting) != 1 || o.working != 2 || w.running[0] == nil || len(w.running) != 1 {
			t.Errorf("%d wait, %d run, table %v; want 1, 2, the first", len(o.waiting), o.working, w.running)
		}
		synctest.Wait() // for the writer
		if n := strings.Count(sent.String(), "limit exceeded: 1 calls of acme.o are waiting; not executed"); n != 2 {
			t.Errorf("%d answers give the reason, want 2: %q", n, sent.String())
		}
		// A withdrawn call leaves room in the queue.
		if !o.waiting[0].Withdraw(0) {
			t.Error("a job that waits cannot be withdrawn")
		}
		w.jobs.Add(1)
		o.parallelLocked(newJob(w, 3))
		if len(o.waiting) != 1 || o.waiting[0].ID() != 3 {
			t.Errorf("%d wait, want the last one alone", len(o.waiting))
		}
	})
}
