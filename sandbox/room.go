package sandbox

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
)

// heapRoom is the heap of the process up to its soft memory limit, which all states share. A state takes the bytes of an
// allocation before it makes it, and gives them back when the heap includes them.
//
// Garbage is collected when half of the room that the last collection left is used up: scripts that make strings of
// megabytes are faster than the collector, which may then not keep the process within its limit.
type heapRoom struct {
	collecting sync.Mutex   // held during a collection: the states wait for each other's
	collected  atomic.Int64 // bytes of the heap after the last collection
	taken      atomic.Int64 // bytes that states have taken
}

// processRoom is the room of the process.
var processRoom heapRoom

// share is the part of the room that a state has taken.
type share struct {
	bytes  int64
	sample [1]metrics.Sample
}

func newShare() share {
	var s share
	s.sample[0].Name = "/memory/classes/heap/objects:bytes"
	return s
}

// take takes n bytes. It reports false if they do not fit, garbage aside.
func (r *heapRoom) take(s *share, n int64) bool {
	soft := debug.SetMemoryLimit(-1)
	if soft == math.MaxInt64 {
		return true
	}
	s.bytes += n
	all := r.taken.Add(n)
	held, due := r.heap(s, soft)
	if held+all > due {
		held = r.collect(s, soft, n)
	}
	if held+r.taken.Load() > soft {
		s.bytes -= n
		r.taken.Add(-n)
		return false
	}
	return true
}

// release gives back what the state has taken.
func (r *heapRoom) release(s *share) {
	if s.bytes > 0 {
		r.taken.Add(-s.bytes)
		s.bytes = 0
	}
}

// collect collects garbage, unless another state just did, and returns the bytes of the heap.
func (r *heapRoom) collect(s *share, soft, n int64) int64 {
	r.collecting.Lock()
	defer r.collecting.Unlock()
	if held, due := r.heap(s, soft); held+n <= due {
		return held
	}
	return r.collectLocked(s)
}

func (r *heapRoom) collectLocked(s *share) int64 {
	runtime.GC()
	held, _ := r.heap(s, 0)
	r.collected.Store(held)
	return held
}

// tryCollect collects garbage if no other state does.
func (r *heapRoom) tryCollect(s *share) {
	if r.collecting.TryLock() {
		defer r.collecting.Unlock()
		r.collectLocked(s)
	}
}

// heap returns the bytes of the process's heap, garbage included, and at how many it is collected next.
func (r *heapRoom) heap(s *share, soft int64) (held, due int64) {
	metrics.Read(s.sample[:])
	held = int64(s.sample[0].Value.Uint64())
	base := r.collected.Load()
	for held < base && !r.collected.CompareAndSwap(base, held) { // the runtime has collected meanwhile
		base = r.collected.Load()
	}
	base = min(base, held)
	return held, base + max(soft-base, soft/4)/2
}
