package budget

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
)

// processHeap shares the heap of the process, up to its soft memory limit, among all states. A state takes the bytes of
// an allocation before it makes it, and releases them when the heap includes them.
//
// Garbage is collected when half of the free memory after the last collection is used. Scripts that make strings of
// megabytes outrun the collector, which then cannot keep the process within its limit.
type processHeap struct {
	collecting       sync.Mutex   // held during a collection, so that states share one
	sizeAtCollection atomic.Int64 // bytes of the heap after the last collection
	reserved         atomic.Int64 // bytes of all reservations
}

// heap is the heap of this process.
var heap processHeap

// reservation is a part of the heap that a state has taken. It belongs to the goroutine of the state.
type reservation struct {
	bytes  int64
	sample [1]metrics.Sample
}

func newReservation() reservation {
	var r reservation
	r.sample[0].Name = "/memory/classes/heap/objects:bytes"
	return r
}

// take adds n bytes to a reservation. It returns false if they do not fit even after a garbage collection.
func (h *processHeap) take(r *reservation, n int64) bool {
	soft := debug.SetMemoryLimit(-1)
	if soft == math.MaxInt64 {
		return true
	}
	r.bytes += n
	all := h.reserved.Add(n)
	held, due := h.size(r, soft)
	if held+all > due {
		held = h.collect(r, soft, n)
	}
	if held+h.reserved.Load() > soft {
		r.bytes -= n
		h.reserved.Add(-n)
		return false
	}
	return true
}

// release empties a reservation.
func (h *processHeap) release(r *reservation) {
	if r.bytes > 0 {
		h.reserved.Add(-r.bytes)
		r.bytes = 0
	}
}

// collect runs the garbage collector unless another state just did. It returns the size of the heap in bytes.
func (h *processHeap) collect(r *reservation, soft, n int64) int64 {
	h.collecting.Lock()
	defer h.collecting.Unlock()
	if held, due := h.size(r, soft); held+n <= due {
		return held
	}
	return h.collectLocked(r)
}

func (h *processHeap) collectLocked(r *reservation) int64 {
	runtime.GC()
	held, _ := h.size(r, 0)
	h.sizeAtCollection.Store(held)
	return held
}

// tryCollect runs the garbage collector unless another state does.
func (h *processHeap) tryCollect(r *reservation) {
	if h.collecting.TryLock() {
		defer h.collecting.Unlock()
		h.collectLocked(r)
	}
}

// size returns the size of the process's heap including garbage, and the size at which to collect next, in bytes.
func (h *processHeap) size(r *reservation, soft int64) (held, due int64) {
	metrics.Read(r.sample[:])
	held = int64(r.sample[0].Value.Uint64())
	base := h.sizeAtCollection.Load()
	for held < base && !h.sizeAtCollection.CompareAndSwap(base, held) { // the runtime has collected in the meantime
		base = h.sizeAtCollection.Load()
	}
	base = min(base, held)
	return held, base + max(soft-base, soft/4)/2
}
