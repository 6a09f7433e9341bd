// Package admit bounds and shares the resources of the host: connections, bytes in flight, calls under a limit, and the
// slots of the fair queue.
package admit

import (
	"container/heap"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/internal/cgroup"
	"github.com/hearthhost/hearth/object"
)

// Flow names a share of the fair queue: a tenant's, or that of a principal for work that belongs to no tenant.
type Flow string

// principalPrefix begins the flows of principals. No tenant has such a name.
const principalPrefix = object.HostPrefix

// TenantFlow returns the flow of calls to a tenant's objects.
func TenantFlow(t object.Tenant) Flow { return Flow(t) }

// PrincipalFlow returns the flow of a principal's other work: calls of unknown objects, denied calls, and calls of the
// host's own objects.
func PrincipalFlow(p object.Principal) Flow { return Flow(principalPrefix + string(p)) }

// FairQueue shares the host's processors between flows by start-time fair queueing. If only one flow has calls, all of
// them begin at once. If several flows have calls, there are few slots, and a new call never waits long for one. The
// next slot goes to the flow with the least virtual time: a flow that floods the host waits behind its own calls. It is
// safe for concurrent use; call Init first.
//
// A call holds a slot from before its authorization until its reply, but at most maxHold: slots bound the host's work,
// not the running time of an object. Calls between objects hold no slot, as two of them could wait for each other.
type FairQueue struct {
	slots          int          // number of slots, while few flows wait
	origin         time.Time    // time of Init
	contendedUntil atomic.Int64 // end of the contention, in nanoseconds since origin of the monotonic clock

	mu          sync.Mutex // guards the fields below
	lastFlow    Flow       // flow of the last call, light calls excepted
	light       int        // calls of principals' flows since lightSince
	lightSince  time.Time  // start of the count in light
	queues      map[Flow]*flowQueue
	waiting     flowHeap // queues with a waiting slot
	virtualTime float64  // the highest virtual time of a flow that was granted a slot
	held        int      // number of held slots
	oldest      *Slot    // held slots, linked in the order of their grants
	newest      *Slot
	timer       *time.Timer // calls expire; runs while a slot waits
	timerRuns   bool
}

// flowQueue is a flow's waiting slots and its virtual time.
type flowQueue struct {
	virtual     float64 // virtual time: the sum of 1/weight over granted slots
	first, last *Slot   // waiting slots, linked by next
	index       int     // position in FairQueue.waiting
}

// Slot is a connection's place in a flow's queue, and then its permission to run a call. The zero value is ready. It is
// not safe for concurrent use.
type Slot struct {
	flow        Flow // "" while it neither waits nor is in use
	weight      float64
	held        bool
	begun       time.Time     // time of the grant
	older, next *Slot         // neighbours among held slots, or the next waiting slot
	granted     func()        // called when the waiting slot is granted; nil: ready receives a token
	ready       chan struct{} // of a goroutine that waits
}

// Bounds of the fair queue.
const (
	SlotsPerProcessor = 8                      // slots of each processor, while few flows wait
	flowsPerRound     = 3                      // waiting flows for each multiple of the slots
	maxHold           = 2 * time.Millisecond   // time after which a held slot is revoked
	contendedFor      = 500 * time.Millisecond // duration of contention after a call of another flow
	maxLight          = 100                    // calls of principals' flows in contendedFor that cause no contention
)

// DefaultSlots returns the number of slots of a host, while few flows wait.
func DefaultSlots() int { return SlotsPerProcessor * cgroup.Processors() }

// Init sets the number of slots. Call it once, first.
func (f *FairQueue) Init(slots int) {
	f.slots, f.origin = slots, time.Now()
	f.queues = map[Flow]*flowQueue{}
	f.timer = time.AfterFunc(time.Hour, f.expire)
	f.timer.Stop()
}

// Contended reports whether calls need slots at this time. now is a result of time.Now: a change of the system's clock
// does not affect its monotonic reading.
func (f *FairQueue) Contended(now time.Time) bool {
	return int64(now.Sub(f.origin)) < f.contendedUntil.Load()
}

// Acquire waits until a call of a flow may begin. It returns at once, without a slot, while no other flow has calls. It
// first releases the slot if it belongs to another flow, and does nothing if it belongs to this flow already.
func (f *FairQueue) Acquire(slot *Slot, flow Flow, weight float64, now time.Time) {
	if !f.Request(slot, flow, weight, now, nil) {
		<-slot.ready
	}
}

// Request is Acquire for an event loop, which must not wait. It returns true if the call may begin at once. Otherwise
// granted is called once, when the call may begin: in any goroutine, possibly before Request returns. granted must not
// wait and must not use the queue. The caller does not use the slot before that.
func (f *FairQueue) Request(slot *Slot, flow Flow, weight float64, now time.Time, granted func()) bool {
	if slot.flow == flow {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if slot.flow != "" {
		f.releaseLocked(slot, false, now)
	}
	f.noteLocked(flow, now)
	if !f.Contended(now) {
		return true
	}
	slot.flow, slot.weight = flow, weight
	q := f.queues[flow]
	if q == nil {
		q = &flowQueue{}
		f.queues[flow] = q
	}
	if q.first == nil {
		q.virtual = max(q.virtual, f.virtualTime) // an idle flow does not accumulate credit
	}
	if len(f.waiting) == 0 && f.held < f.slotsLocked() {
		f.grantLocked(q, slot, now)
		return true
	}
	if slot.granted = granted; granted == nil && slot.ready == nil {
		slot.ready = make(chan struct{}, 1)
	}
	if q.first == nil {
		q.first, q.last = slot, slot
		heap.Push(&f.waiting, q) // the heap holds queues with a waiting slot only
	} else {
		q.last.next, q.last = slot, slot
	}
	f.nextLocked(now) // one more waiting flow may add slots
	if !f.timerRuns && len(f.waiting) > 0 {
		f.timerRuns = true
		f.timer.Reset(maxHold)
	}
	return false
}

// noteLocked notes a call of a flow. Two flows in succession: contention begins or is extended.
func (f *FairQueue) noteLocked(flow Flow, now time.Time) {
	if flow == f.lastFlow || f.lightLocked(flow, now) {
		return
	}
	if f.lastFlow != "" {
		f.contendedUntil.Store(int64(now.Sub(f.origin) + contendedFor))
	}
	f.lastFlow = flow
}

// slotsLocked returns the number of slots that may be held. It grows with the waiting flows: with fewer slots each call
// would wake up the worker of another flow.
func (f *FairQueue) slotsLocked() int { return f.slots * max(1, len(f.waiting)/flowsPerRound) }

// lightLocked reports whether a call causes no contention: one of the first maxLight calls of principals' flows, such
// as the metadata request of a client that connects.
func (f *FairQueue) lightLocked(flow Flow, now time.Time) bool {
	if !strings.HasPrefix(string(flow), principalPrefix) {
		return false
	}
	if now.Sub(f.lightSince) > contendedFor {
		f.lightSince, f.light = now, 0
	}
	f.light++
	return f.light <= maxLight
}

// grantLocked gives a slot of queue q to a call and appends it to the held slots.
func (f *FairQueue) grantLocked(q *flowQueue, slot *Slot, now time.Time) {
	f.virtualTime = max(f.virtualTime, q.virtual)
	q.virtual += 1 / slot.weight
	f.held++
	slot.held, slot.begun = true, now
	slot.older, slot.next = f.newest, nil
	if f.newest != nil {
		f.newest.next = slot
	} else {
		f.oldest = slot
	}
	f.newest = slot
}

// Release returns a slot, if it is in use. If used is false, the slot does not count in the flow's virtual time.
func (f *FairQueue) Release(slot *Slot, used bool) {
	if slot.flow == "" {
		return
	}
	f.mu.Lock()
	f.releaseLocked(slot, used, time.Now())
	f.mu.Unlock()
}

func (f *FairQueue) releaseLocked(slot *Slot, used bool, now time.Time) {
	if !used {
		q := f.queues[slot.flow]
		q.virtual -= 1 / slot.weight
		if q.first != nil {
			heap.Fix(&f.waiting, q.index)
		}
	}
	slot.flow = ""
	if slot.held {
		f.revokeLocked(slot)
		f.nextLocked(now)
	}
}

// revokeLocked removes a slot from the held slots.
func (f *FairQueue) revokeLocked(slot *Slot) {
	f.held--
	slot.held = false
	if slot.older != nil {
		slot.older.next = slot.next
	} else {
		f.oldest = slot.next
	}
	if slot.next != nil {
		slot.next.older = slot.older
	} else {
		f.newest = slot.older
	}
	slot.older, slot.next = nil, nil
}

// nextLocked grants free slots to waiting calls.
func (f *FairQueue) nextLocked(now time.Time) {
	for len(f.waiting) > 0 && f.held < f.slotsLocked() {
		q := f.waiting[0]
		slot := q.first
		q.first = slot.next
		f.grantLocked(q, slot, now)
		if q.first != nil {
			heap.Fix(&f.waiting, 0)
		} else {
			heap.Pop(&f.waiting)
		}
		if slot.granted != nil {
			slot.granted()
		} else {
			slot.ready <- struct{}{}
		}
	}
}

// expire revokes the slots that have been held for maxHold. It runs while a call waits.
func (f *FairQueue) expire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for f.oldest != nil && now.Sub(f.oldest.begun) >= maxHold {
		f.revokeLocked(f.oldest)
	}
	f.nextLocked(now)
	f.timerRuns = len(f.waiting) > 0
	if f.timerRuns {
		f.timer.Reset(maxHold)
	}
}

// flowHeap is a heap of queues, the one with the least virtual time first.
type flowHeap []*flowQueue

func (q flowHeap) Len() int           { return len(q) }
func (q flowHeap) Less(i, j int) bool { return q[i].virtual < q[j].virtual }
func (q flowHeap) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *flowHeap) Push(x any) {
	queue := x.(*flowQueue) //nolint:forcetypeassert // the heap holds queues only
	queue.index = len(*q)
	*q = append(*q, queue)
}

func (q *flowHeap) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return x
}
