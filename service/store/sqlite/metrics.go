package sqlite

import (
	"errors"
	"slices"
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

	Sync  Histogram // nanoseconds of successful commits at the disk: the write of the WAL and its fsync
	Group Histogram // batches of each transaction
}

// Bounds of the histograms, inclusive. Larger numbers are in one more class.
var (
	SyncBounds = []int64{
		100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000,
		250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000,
	}
	GroupBounds = []int64{1, 2, 5, 10, 20, 50, 100, 200, 500}
)

// Histogram counts numbers in classes. The zero value is empty. Safe for concurrent use.
type Histogram struct {
	counts [16]atomic.Uint64 // by class; the last ones are not used if there are fewer bounds
	sum    atomic.Int64
}

func (h *Histogram) observe(bounds []int64, n int64) {
	class, _ := slices.BinarySearch(bounds, n)
	h.counts[class].Add(1)
	h.sum.Add(n)
}

// Load returns the number of observations in each class, one more than bounds, and the sum of all numbers.
func (h *Histogram) Load(bounds []int64) (counts []uint64, sum int64) {
	for i := range len(bounds) + 1 {
		counts = append(counts, h.counts[i].Load())
	}
	return counts, h.sum.Load()
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
	m.Group.observe(GroupBounds, int64(len(group)))
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
