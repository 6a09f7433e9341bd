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
const principalPrefix = string(object.HostPrefix)

// TenantFlow returns the flow of calls to a tenant's objects.
func TenantFlow(t object.Tenant) Flow { return Flow(t) }

// PrincipalFlow returns the flow of a principal's other work: calls of unknown objects, denied calls, and calls of the
// host's own objects.
func PrincipalFlow(who object.Principal) Flow { return Flow(principalPrefix + string(who)) }

// FairQueue shares the host's processors between flows by start-time fair queueing. While calls of one flow alone arrive,
// they all begin at once. While several flows have calls, few slots exist, so that the next call never waits for long, and
// the next slot goes to the flow with the least virtual time: a flow that floods the host waits behind its own calls. It is
// safe for concurrent use; call Init first.
//
// A call holds a slot from before its authorization until its answer, but at most maxHold: slots are for the host's work,
// not for the time that an object takes. Calls of objects to others hold no slot, as two of them could wait for each other.
type FairQueue struct {
	slots          int          // at a time, while few flows wait
	contendedUntil atomic.Int64 // the time until which several flows count as having calls, in Unix nanoseconds

	mu          sync.Mutex // guards the fields below
	lastFlow    Flow
	light       int // calls of principals' flows since lightSince
	lightSince  time.Time
	queues      map[Flow]*flowQueue
	waiting     flowHeap // queues with a waiting slot
	virtualTime float64  // the highest virtual time of a flow that was granted a slot
	held        int
	oldest      *Slot // held slots, linked in the order of their grants
	newest      *Slot
	timer       *time.Timer // runs while a slot waits
	runs        bool        // the timer runs
}

// flowQueue is a flow's waiting slots and its virtual time.
type flowQueue struct {
	virtual     float64 // granted slots, each divided by its weight
	first, last *Slot   // linked by next
	index       int     // position in FairQueue.waiting
}

// Slot is a connection's place in a flow's queue and then its right to go on. The zero value is ready.
type Slot struct {
	flow        Flow // "" while it neither waits nor is in use
	weight      float64
	held        bool
	granted     time.Time
	older, next *Slot         // neighbours among held slots, or the next waiting slot
	ready       chan struct{} // receives a token when a waiting slot is granted
}

const (
	SlotsPerProcessor = 8                      // slots at a time for each processor
	flowsPerRound     = 3                      // waiting flows for each multiple of these slots
	maxHold           = 2 * time.Millisecond   // for which a slot counts
	contendedFor      = 500 * time.Millisecond // after a call of another flow
	maxLight          = 100                    // calls of principals' flows in that time that cause no contention
)

// DefaultSlots returns the number of slots of a host, while few flows wait.
func DefaultSlots() int { return SlotsPerProcessor * cgroup.Processors() }

// Init prepares the queue for a number of slots.
func (t *FairQueue) Init(slots int) {
	t.slots = slots
	t.queues = map[Flow]*flowQueue{}
	t.timer = time.AfterFunc(time.Hour, t.expire)
	t.timer.Stop()
}

// Contended reports whether calls need slots at a time.
func (t *FairQueue) Contended(now time.Time) bool { return now.UnixNano() < t.contendedUntil.Load() }

// Switch acquires a slot of a flow, and first releases the slot of another flow. It does nothing if the slot is held for
// that flow.
func (t *FairQueue) Switch(one *Slot, flow Flow, weight float64, now time.Time) {
	if one.flow != flow {
		t.Release(one, false)
		t.Acquire(one, flow, weight, now)
	}
}

// Acquire waits until a call of a flow may begin. It returns at once, without a slot, while no other flow has calls.
func (t *FairQueue) Acquire(one *Slot, flow Flow, weight float64, now time.Time) {
	t.mu.Lock()
	if flow != t.lastFlow && !t.lightLocked(flow, now) {
		if t.lastFlow != "" {
			t.contendedUntil.Store(now.Add(contendedFor).UnixNano())
		}
		t.lastFlow = flow
	}
	if !t.Contended(now) {
		t.mu.Unlock()
		return
	}
	one.flow, one.weight, one.next = flow, weight, nil
	q := t.queues[flow]
	if q == nil {
		q = &flowQueue{}
		t.queues[flow] = q
	}
	if q.first == nil {
		q.virtual = max(q.virtual, t.virtualTime) // unused shares are not saved up
	}
	if len(t.waiting) == 0 && t.held < t.slotsLocked() {
		t.grantLocked(q, one, now)
		t.mu.Unlock()
		return
	}
	if one.ready == nil {
		one.ready = make(chan struct{}, 1)
	}
	if q.first == nil {
		q.first, q.last = one, one
		heap.Push(&t.waiting, q)
	} else {
		q.last.next, q.last = one, one
	}
	if !t.runs {
		t.runs = true
		t.timer.Reset(maxHold)
	}
	t.mu.Unlock()
	<-one.ready
}

// slotsLocked returns the number of slots that may be held. It grows with the waiting flows: otherwise each of their workers
// would be woken for every single call.
func (t *FairQueue) slotsLocked() int { return t.slots * max(1, len(t.waiting)/flowsPerRound) }

// lightLocked reports whether a call causes no contention: one of the few calls of principals' flows that accompany others,
// such as the metadata request of a client that connects.
func (t *FairQueue) lightLocked(flow Flow, now time.Time) bool {
	if !strings.HasPrefix(string(flow), principalPrefix) {
		return false
	}
	if now.Sub(t.lightSince) > contendedFor {
		t.lightSince, t.light = now, 0
	}
	t.light++
	return t.light <= maxLight
}

func (t *FairQueue) grantLocked(q *flowQueue, one *Slot, now time.Time) {
	t.virtualTime = max(t.virtualTime, q.virtual)
	q.virtual += 1 / one.weight
	t.held++
	one.held, one.granted, one.older, one.next = true, now, t.newest, nil
	if t.newest != nil {
		t.newest.next = one
	} else {
		t.oldest = one
	}
	t.newest = one
}

// Release gives a slot back, if it is in use. An unused slot does not count in the flow's virtual time.
func (t *FairQueue) Release(one *Slot, used bool) {
	if one.flow == "" {
		return
	}
	t.mu.Lock()
	if !used {
		q := t.queues[one.flow]
		if q.virtual -= 1 / one.weight; q.first != nil {
			heap.Fix(&t.waiting, q.index)
		}
	}
	if one.held {
		t.revokeLocked(one)
		t.nextLocked(time.Now())
	}
	t.mu.Unlock()
	one.flow = ""
}

func (t *FairQueue) revokeLocked(one *Slot) {
	t.held--
	if one.held = false; one.older != nil {
		one.older.next = one.next
	} else {
		t.oldest = one.next
	}
	if one.next != nil {
		one.next.older = one.older
	} else {
		t.newest = one.older
	}
	one.older, one.next = nil, nil
}

// nextLocked grants free slots to waiting calls.
func (t *FairQueue) nextLocked(now time.Time) {
	for len(t.waiting) > 0 && t.held < t.slotsLocked() {
		q := t.waiting[0]
		one := q.first
		q.first = one.next
		t.grantLocked(q, one, now)
		if q.first != nil {
			heap.Fix(&t.waiting, 0)
		} else {
			heap.Pop(&t.waiting)
		}
		one.ready <- struct{}{}
	}
}

// expire takes back the slots that have been held for maxHold, while a call waits.
func (t *FairQueue) expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for t.oldest != nil && now.Sub(t.oldest.granted) >= maxHold {
		t.revokeLocked(t.oldest)
	}
	t.nextLocked(now)
	if t.runs = len(t.waiting) > 0; t.runs {
		t.timer.Reset(maxHold)
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
	one := x.(*flowQueue) //nolint:forcetypeassert // heap passes what we push
	one.index = len(*q)
	*q = append(*q, one)
}

func (q *flowHeap) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return x
}
