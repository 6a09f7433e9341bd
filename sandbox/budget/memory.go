package budget

import (
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/internal/bytesize"
	"github.com/hearthhost/hearth/object"
)

// Usage reports the memory of a running state to another goroutine. The zero value is ready to use.
type Usage struct {
	requested, answered atomic.Uint64 // rounds of Request
	held                atomic.Int64
}

// Request requests a count of the bytes in use, within some thousand steps. Each round has another number, above 0.
func (u *Usage) Request(round uint64) { u.requested.Store(round) }

// Held returns the bytes in use that were counted for a round. ok is false before the count: the state may be idle,
// may wait for another object, or the round was not requested.
func (u *Usage) Held(round uint64) (bytes int64, ok bool) {
	if u.answered.Load() != round {
		return 0, false
	}
	return u.held.Load(), true
}

// memoryLimit is the memory limit of a state. The VM counts allocated bytes, but not bytes that become garbage. The
// limit cannot be exceeded before the bytes in use at the last count plus all bytes allocated since exceed it. Only
// then the values in use are counted again. The limit is accurate to one eighth.
//
// The soft memory limit of the process bounds the garbage of all states. Near it, a call waits until the process has
// ended the calls that use most memory. Memory is counted before it is allocated, so the size of a single allocation is
// checked in advance.
type memoryLimit struct {
	config            Config
	inUse             int64       // bytes in use at the last count
	allocatedAtCount  int64       // the VM's allocated bytes at the last count
	allocatedAtSample int64       // the VM's allocated bytes at the last check of the process heap
	running           reservation // for allocations in progress
	result            reservation // for the result
	usage             *Usage      // nil if not reported
}

// sampleEvery is the number of bytes that a script allocates between two checks of the process's heap.
const sampleEvery = 1 << 20

func newMemoryLimit(c Config) memoryLimit {
	return memoryLimit{config: c, running: newReservation(), result: newReservation()}
}

// begin starts a call: the result of the last one was sent.
func (l *memoryLimit) begin() { heap.release(&l.result) }

// end releases the reservation of a run that has ended.
func (l *memoryLimit) end() { heap.release(&l.running) }

// reserve takes n bytes of the process's memory, and waits for them if necessary.
func (l *memoryLimit) reserve(m *Meter, r *reservation, n int64) *object.Error {
	if heap.take(r, n) {
		return nil
	}
	return l.await(m, r, n)
}

// check returns an error if the limit is exceeded.
func (l *memoryLimit) check(m *Meter) *object.Error {
	heap.release(&l.running) // it has been allocated
	allocated := l.config.VM.Allocated
	limit := l.config.Memory
	round := l.pendingRound()
	if round > 0 || l.inUse+allocated-l.allocatedAtCount > limit {
		l.allocatedAtCount = allocated
		l.inUse = l.config.Held(limit)
		if round > 0 {
			l.usage.held.Store(l.inUse)
			l.usage.answered.Store(round)
		}
		if l.inUse > limit {
			return object.Errorf(object.CodeExhausted, "limit exceeded: %s of memory; the call was executed in part",
				bytesize.Text(limit))
		}
		l.inUse = min(l.inUse, limit-limit/8) // otherwise the next count would be due at once
	}
	if coming := allocated - l.allocatedAtSample; coming >= sampleEvery {
		l.allocatedAtSample = allocated
		return l.reserve(m, &l.running, coming)
	}
	return nil
}

// pendingRound returns the round of Usage.Request that is not answered, or 0.
func (l *memoryLimit) pendingRound() uint64 {
	if l.usage == nil {
		return 0
	}
	if round := l.usage.requested.Load(); round != l.usage.answered.Load() {
		return round
	}
	return 0
}

const (
	heapAttempts     = 400                  // attempts of a call to reserve memory of the process
	heapInterval     = 5 * time.Millisecond // between two attempts
	attemptsPerClean = 8                    // attempts per garbage collection
)

// await retries until n bytes fit into the process. Meanwhile the process ends the calls that use most memory.
func (l *memoryLimit) await(m *Meter, r *reservation, n int64) *object.Error {
	m.arm()
	for attempt := range heapAttempts {
		<-time.After(heapInterval)
		if err := m.callEnded(); err != nil {
			return err
		}
		if attempt%attemptsPerClean == 0 {
			heap.tryCollect(r) // the values of ended calls may be garbage by now
		}
		if heap.take(r, n) {
			return nil
		}
	}
	return object.Errorf(object.CodeExhausted, "limit exceeded: the memory of the tenant's worker; the call was "+
		"executed in part")
}
