package host

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
type turns struct {
	most   int          // how many at a time, if few tenants wait
	shared atomic.Int64 // until when calls of several tenants count as coming, in Unix nanoseconds

	mu      sync.Mutex // guards what follows
	last    object.Tenant
	aside   int       // calls that are no tenant's
	from    time.Time // since when they are counted
	queues  map[object.Tenant]*turnQueue
	waiting turnQueues // those in which somebody waits
	clock   float64    // the most that a queue had had when it was served
	held    int
	oldest  *turn // of those that are held, which are linked in the order of their beginning
	newest  *turn
	timer   *time.Timer // runs while somebody waits
	runs    bool        // the timer does
}

// turnQueue is who waits of one tenant, and what it has had.
type turnQueue struct {
	had         float64 // turns, by weight
	first, last *turn   // linked by next
	at          int     // where it is in waiting, if somebody waits
}

// turn is one connection's place in a queue, and then its right to go on. Its zero value is
// ready; a connection has one.
type turn struct {
	tenant      object.Tenant // whose it is; "" if it neither waits nor was held
	weight      float64
	held        bool
	begun       time.Time
	older, next *turn         // among those that are held, or wait
	ready       chan struct{} // holds a token when a turn that was waited for is held
}

const (
	turnsEach   = 8                      // turns at a time for each processor
	tenantsEach = 3                      // that wait, for whom there are so many turns
	maxTurn     = 2 * time.Millisecond   // how long one counts
	sharedFor   = 500 * time.Millisecond // how long after a call of another tenant
	maxAside    = 100                    // calls in that time that are no tenant's, and make no crowd
)

// own returns what a principal's queue is called for what it does that is no tenant's share:
// asking for what is not there, and for the host's own objects. No tenant is called so.
func own(who object.Principal) object.Tenant { return object.Tenant(ownPrefix + string(who)) }

const ownPrefix = "Pyro."

// turnCount returns how many turns a host has at a time, if few tenants wait.
func turnCount() int { return turnsEach * cgroup.Processors() }

func (t *turns) init(most int) {
	t.most = most
	t.queues = map[object.Tenant]*turnQueue{}
	t.timer = time.AfterFunc(time.Hour, t.expire)
	t.timer.Stop()
}

// crowded reports whether turns are taken at all now.
func (t *turns) crowded(now time.Time) bool { return now.UnixNano() < t.shared.Load() }

// begin waits until a call of a tenant may begin. It returns at once, without a turn, if
// there is nobody to share with.
func (t *turns) begin(one *turn, tenant object.Tenant, weight float64, now time.Time) {
	t.mu.Lock()
	if tenant != t.last && !t.asideLocked(tenant, now) {
		if t.last != "" {
			t.shared.Store(now.Add(sharedFor).UnixNano())
		}
		t.last = tenant
	}
	if !t.crowded(now) {
		t.mu.Unlock()
		return
	}
	one.tenant, one.weight, one.next = tenant, weight, nil
	q := t.queues[tenant]
	if q == nil {
		q = &turnQueue{}
		t.queues[tenant] = q
	}
	if q.first == nil {
		q.had = max(q.had, t.clock) // what was not asked for is not owed
	}
	if len(t.waiting) == 0 && t.held < t.roomLocked() {
		t.giveLocked(q, one, now)
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
		t.timer.Reset(maxTurn)
	}
	t.mu.Unlock()
	<-one.ready
}

// roomLocked is how many turns may be held: more where many tenants wait, or each of their
// workers would be woken for every single call.
func (t *turns) roomLocked() int { return t.most * max(1, len(t.waiting)/tenantsEach) }

// asideLocked reports whether a call is one of the few that come with others without being
// their rivals: a client that connects asks what its object is.
func (t *turns) asideLocked(tenant object.Tenant, now time.Time) bool {
	if !strings.HasPrefix(string(tenant), ownPrefix) {
		return false
	}
	if now.Sub(t.from) > sharedFor {
		t.from, t.aside = now, 0
	}
	t.aside++
	return t.aside <= maxAside
}

func (t *turns) giveLocked(q *turnQueue, one *turn, now time.Time) {
	t.clock = max(t.clock, q.had)
	q.had += 1 / one.weight
	t.held++
	one.held, one.begun, one.older, one.next = true, now, t.newest, nil
	if t.newest != nil {
		t.newest.next = one
	} else {
		t.oldest = one
	}
	t.newest = one
}

// end gives a turn back, if one is held. One that was not used is not counted.
func (t *turns) end(one *turn, used bool) {
	if one.tenant == "" {
		return
	}
	t.mu.Lock()
	if !used {
		q := t.queues[one.tenant]
		if q.had -= 1 / one.weight; q.first != nil {
			heap.Fix(&t.waiting, q.at)
		}
	}
	if one.held {
		t.takeBackLocked(one)
		t.nextLocked(time.Now())
	}
	t.mu.Unlock()
	one.tenant = ""
}

func (t *turns) takeBackLocked(one *turn) {
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
func (t *turns) nextLocked(now time.Time) {
	for len(t.waiting) > 0 && t.held < t.roomLocked() {
		q := t.waiting[0]
		one := q.first
		q.first = one.next
		t.giveLocked(q, one, now)
		if q.first != nil {
			heap.Fix(&t.waiting, 0)
		} else {
			heap.Pop(&t.waiting)
		}
		one.ready <- struct{}{}
	}
}

// expire takes back the turns that were held for long, while somebody waits.
func (t *turns) expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for t.oldest != nil && now.Sub(t.oldest.begun) >= maxTurn {
		t.takeBackLocked(t.oldest)
	}
	t.nextLocked(now)
	if t.runs = len(t.waiting) > 0; t.runs {
		t.timer.Reset(maxTurn)
	}
}

// turnQueues is a heap of queues, the one that has had least first.
type turnQueues []*turnQueue

func (q turnQueues) Len() int           { return len(q) }
func (q turnQueues) Less(i, j int) bool { return q[i].had < q[j].had }
func (q turnQueues) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

func (q *turnQueues) Push(x any) {
	one := x.(*turnQueue) //nolint:forcetypeassert // heap passes what we push
	one.at = len(*q)
	*q = append(*q, one)
}

func (q *turnQueues) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return x
}
