package sqlite

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
)

// Metrics counts the work of an engine.
type Metrics struct {
	Commits   atomic.Int64 // transactions
	Batches   atomic.Int64 // batches in them
	Nanos     atomic.Int64 // time of transactions, fsync included
	Longest   atomic.Int64 // nanoseconds of the longest transaction
	Conflicts atomic.Int64 // batches that required another version
	Full      atomic.Int64 // batches beyond a quota
	Fenced    atomic.Int64 // batches after another process had taken the store
	Failures  atomic.Int64 // failed operations on files
}

// Metrics returns the counters of the engine.
func (e *Engine) Metrics() *Metrics { return &e.metrics }

// OpenFiles returns the number of open files.
func (e *Engine) OpenFiles() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.files)
}

func (m *Metrics) observe(group []*commit, d time.Duration) {
	m.Commits.Add(1)
	m.Batches.Add(int64(len(group)))
	m.Nanos.Add(int64(d))
	if longest := m.Longest.Load(); int64(d) > longest {
		m.Longest.CompareAndSwap(longest, int64(d))
	}
	for _, c := range group {
		e, ok := errors.AsType[*object.Error](c.err)
		switch {
		case !ok:
		case e.Class == store.ClassConflict:
			m.Conflicts.Add(1)
		case e.Class == store.ClassFull:
			m.Full.Add(1)
		}
	}
}
