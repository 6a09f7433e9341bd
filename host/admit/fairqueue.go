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

// turns shares the host's processors between tenants. While calls of one tenant alone come,
// they all begin at once. While those of several do, so few are under way at a time that the
// next one never waits for long, and the next one is of the tenant that has had least, by its
// weight: whoever floods the host waits behind his own calls. Safe for concurrent use.
//
// A call holds a turn from before it is decided on until it is answered, but no longer than
// maxTurn: turns are for what the host does, not for what an object waits for. Calls of
// objects to others hold none, or two could wait for each other.
type FairQueue struct {
	slots          int          // how many at a time, if few tenants wait
	contendedUntil atomic.Int64 // until when calls of several tenants count as coming, in Unix nanoseconds

	mu          sync.Mutex // guards what follows
	lastFlow    object.Tenant
	light       int       // calls that are no tenant's
	lightSince  time.Time // since when they are counted
	queues      map[object.Tenant]*flowQueue
	waiting     flowHeap // those in which somebody waits
	virtualTime float64  // the most that a queue had had when it was served
	held        int
	oldest      *Slot // of those that are held, which are linked in the order of their beginning
	newest      *Slot
	timer       *time.Timer // runs while somebody waits
	runs        bool        // the timer does
}

// turnQueue is who waits of one tenant, and what it has had.
type flowQueue struct {
	virtual     float64 // turns, by weight
	first, last *Slot   // linked by next
	index       int     // where it is in waiting, if somebody waits
}

// turn is one connection's place in a queue, and then its right to go on. Its zero value is
// ready; a connection has one.
type Slot struct {
	Flow        object.Tenant // whose it is; "" if it neither waits nor was held
	weight      float64
	held        bool
	granted     time.Time
	older, next *Slot         // among those that are held, or wait
	ready       chan struct{} // holds a token when a turn that was waited for is held
}

const (
	SlotsPerProcessor = 8                      // turns at a time for each processor
	flowsPerRound     = 3                      // that wait, for whom there are so many turns
	maxHold           = 2 * time.Millisecond   // how long one counts
	contendedFor      = 500 * time.Millisecond // how long after a call of another tenant
	maxLight          = 100                    // calls in that time that are no tenant's, and make no crowd
)

// own returns what a principal's queue is called for what it does that is no tenant's share:
// asking for what is not there, and for the host's own objects. No tenant is called so.
func PrincipalFlow(who object.Principal) object.Tenant {
	return object.Tenant(principalPrefix + string(who))
}

const principalPrefix = "Pyro."

// turnCount returns how many turns a host has at a time, if few tenants wait.
func DefaultSlots() int { return SlotsPerProcessor * cgroup.Processors() }

func (t *FairQueue) Init(most int) {
	t.slots = most
	t.queues = map[object.Tenant]*flowQueue{}
	t.timer = time.AfterFunc(time.Hour, t.expire)
	t.timer.Stop()
}

// crowded reports whether turns are taken at all now.
func (t *FairQueue) Contended(now time.Time) bool { return now.UnixNano() < t.contendedUntil.Load() }

// begin waits until a call of a tenant may begin. It returns at once, without a turn, if
// there is nobody to share with.
func (t *FairQueue) Acquire(one *Slot, tenant object.Tenant, weight float64, now time.Time) {
	t.mu.Lock()
	if tenant != t.lastFlow && !t.lightLocked(tenant, now) {
		if t.lastFlow != "" {
			t.contendedUntil.Store(now.Add(contendedFor).UnixNano())
		}
		t.lastFlow = tenant
	}
	if !t.Contended(now) {
		t.mu.Unlock()
		return
	}
	one.Flow, one.weight, one.next = tenant, weight, nil
	q := t.queues[tenant]
	if q == nil {
		q = &flowQueue{}
		t.queues[tenant] = q
	}
	if q.first == nil {
		q.virtual = max(q.virtual, t.virtualTime) // what was not asked for is not owed
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

// roomLocked is how many turns may be held: more where many tenants wait, or each of their
// workers would be woken for every single call.
func (t *FairQueue) slotsLocked() int { return t.slots * max(1, len(t.waiting)/flowsPerRound) }

// asideLocked reports whether a call is one of the few that come with others without being
// their rivals: a client that connects asks what its object is.
func (t *FairQueue) lightLocked(tenant object.Tenant, now time.Time) bool {
	if !strings.HasPrefix(string(tenant), principalPrefix) {
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

// end gives a turn back, if one is held. One that was not used is not counted.
func (t *FairQueue) Release(one *Slot, used bool) {
	if one.Flow == "" {
		return
	}
	t.mu.Lock()
	if !used {
		q := t.queues[one.Flow]
		if q.virtual -= 1 / one.weight; q.first != nil {
			heap.Fix(&t.waiting, q.index)
		}
	}
	if one.held {
		t.revokeLocked(one)
		t.nextLocked(time.Now())
	}
	t.mu.Unlock()
	one.Flow = ""
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

// nextLocked gives turns to those who wait, as long as there are any.
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

// expire takes back the turns that were held for long, while somebody waits.
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

// turnQueues is a heap of queues, the one that has had least first.
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
