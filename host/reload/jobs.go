package reload

import (
	"context"
	"sync"
	"time"
)

// Bounds of jobs.
const (
	maxJobs    = 8           // jobs that hold a slot at a time
	maxSlot    = time.Second // time after which a job loses its slot
	jobTimeout = time.Minute // time limit of a job
)

// jobs runs tenants' code, which may be slow, in goroutines, at most one for each key. Its methods are for the
// reloader's goroutine, which applies the results.
type jobs struct {
	running  map[string]uint64          // sequence numbers by key
	count    uint64                     // sequence number of the last job
	finished chan func(old *Generation) // results
	slots    chan struct{}              // one token for each job of the last maxSlot
}

func newJobs() jobs {
	return jobs{
		running:  map[string]uint64{},
		finished: make(chan func(*Generation)),
		slots:    make(chan struct{}, maxJobs),
	}
}

// has reports whether a job of a key is running.
func (j *jobs) has(key string) bool { return j.running[key] != 0 }

// start runs run in a new goroutine, and then finish in the reloader's goroutine, during
// change. No job of the same key may be running.
//
// A slot limits the jobs that start at once. A job that runs longer than maxSlot loses its
// slot and continues: slow code of one tenant must not delay the jobs of the others.
func (j *jobs) start(ctx context.Context, key string, run func(context.Context), finish func(old *Generation)) {
	j.count++
	j.running[key] = j.count
	go func() { // ends with run, which ctx bounds
		j.slots <- struct{}{}
		release := sync.OnceFunc(func() { <-j.slots })
		expire := time.AfterFunc(maxSlot, release)
		ctx, cancel := context.WithTimeout(ctx, jobTimeout)
		run(ctx)
		cancel()
		expire.Stop()
		release()
		j.finished <- func(old *Generation) {
			delete(j.running, key)
			finish(old)
		}
	}()
}
