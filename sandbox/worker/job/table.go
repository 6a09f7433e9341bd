// Package job runs requests of the host in a worker. A [Job] decodes the arguments of a call, runs it in a Lua state
// and encodes its reply. A [Table] holds the jobs that wait or run.
//
// The package is independent of objects and instances, which decide when a job runs and in which state.
package job

import (
	"maps"
	"sync"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/worker/services"
)

// Table holds the jobs of a worker that wait or run. Safe for concurrent use.
type Table struct {
	out  Outlet
	log  *services.Log
	open sync.WaitGroup // jobs that were added and not released

	mu      sync.Mutex      // guards running
	running map[uint64]*Job // jobs that wait or run, by request
}

// Outlet sends frames to the host. An error that ends the link is not returned: the goroutine that reads the link finds
// it.
type Outlet interface {
	// Post sends a frame without waiting.
	Post(frame []byte)
	// Reply sends the reply of a job that ran. It returns [link.ErrBacklog] if too many replies wait for the host.
	Reply(r Reply) error
}

// Reply is the reply of a job that ran. The fields after Rest decide how it is sent.
type Reply struct {
	Frame []byte
	Rest  *[2][]byte // parts of the frame behind Frame
	Steps int64      // VM instructions of the job
	Term  uint64     // of the leader if the leader runs the job, otherwise 0
	Last  bool       // no other job waits or runs
}

// NewTable returns a table whose jobs are answered through out. log receives the reasons of failed calls.
func NewTable(out Outlet, log *services.Log) *Table {
	return &Table{out: out, log: log, running: map[uint64]*Job{}}
}

// New returns a job for a request, which is not in the table yet.
func (t *Table) New(id uint64) *Job {
	j, ok := pool.Get().(*Job)
	if !ok {
		j = makeJob()
	}
	j.Accept(id)
	j.table, j.Stream, j.steps, j.replyErr = t, 0, 0, nil
	return j
}

// Read returns the job of a frame Call or Next. It is not in the table yet.
func (t *Table) Read(f link.Frame) (*Job, error) {
	j := t.New(f.ID)
	body := f.Body
	if len(body) <= link.Large { // a larger one belongs to its handler
		j.body = append(j.body[:0], body...)
		body = j.body
	}
	d := link.Decoder{B: body}
	if f.Type == link.Next {
		j.Stream = d.Uint()
	}
	d.CallFields(&j.Call)
	return j, d.Err
}

// Reject answers a job with an error that was not added. It does not wait.
func (t *Table) Reject(j *Job, err *object.Error) {
	j.SetError(err)
	t.out.Post(j.frame.Frame())
}

// Add adds a job.
func (t *Table) Add(j *Job) {
	t.open.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running[j.ID()] = j
}

// Find returns the job of a request, nil if it is answered.
func (t *Table) Find(id uint64) *Job {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.running[id]
}

// Forget removes the job of a request. It reports whether the table is empty then.
func (t *Table) Forget(id uint64) (last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.running, id)
	return len(t.running) == 0
}

// Busy reports whether a job waits or runs.
func (t *Table) Busy() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.running) > 0
}

// Running returns the jobs that have begun, with the times for which they have run.
func (t *Table) Running() (all []link.Running) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for n, j := range t.running {
		if begun := j.BegunAt(n); !begun.IsZero() {
			all = append(all, link.Running{ID: n, For: now.Sub(begun)})
		}
	}
	return all
}

// Cancel cancels all jobs.
func (t *Table) Cancel() {
	t.mu.Lock()
	running := maps.Clone(t.running)
	t.mu.Unlock()
	for id, j := range running {
		j.Cancel(id)
	}
}

// Wait returns when all jobs have been released. Add must not be called meanwhile.
func (t *Table) Wait() { t.open.Wait() }
