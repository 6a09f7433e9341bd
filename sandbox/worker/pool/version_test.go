package pool

import (
	"bytes"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/worker/job"
)

// outlet collects the replies to jobs.
type outlet struct{ bytes.Buffer }

func (o *outlet) Post(frame []byte) { o.Write(frame) }

func (o *outlet) Reply(r job.Reply) error {
	o.Write(r.Frame)
	return nil
}

// TestParallel makes calls of an object of mode "call" up to its limits. One more call is refused, not executed.
func TestParallel(t *testing.T) {
	var sent outlet
	jobs := job.NewTable(&sent, nil)
	o := newObjectVersion(New(nil, nil, nil), "acme.o", object.Limits{Parallel: 2, Queue: 1})
	o.working = 2 // both run
	for id := range uint64(3) {
		j := jobs.New(id)
		jobs.Add(j)
		o.parallelLocked(j)
	}
	if len(o.waiting) != 1 || o.working != 2 || jobs.Find(0) == nil || jobs.Find(1) != nil {
		t.Errorf("%d wait, %d run; want 1, 2, and only the first in the table", len(o.waiting), o.working)
	}
	const why = "limit exceeded: 1 calls of acme.o are waiting; not executed"
	if n := bytes.Count(sent.Bytes(), []byte(why)); n != 2 {
		t.Errorf("%d answers give the reason, want 2: %q", n, &sent)
	}
	// A withdrawn call leaves room in the queue.
	if !o.waiting[0].Withdraw(0) {
		t.Error("a job that waits cannot be withdrawn")
	}
	j := jobs.New(3)
	jobs.Add(j)
	o.parallelLocked(j)
	if len(o.waiting) != 1 || o.waiting[0].ID() != 3 {
		t.Errorf("%d wait, want the last one alone", len(o.waiting))
	}
}
