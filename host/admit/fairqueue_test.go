package admit

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// newContended returns a contended queue with a number of slots, all of them free.
func newContended(slots int) *FairQueue {
	t := new(FairQueue)
	t.Init(SlotsPerProcessor)
	t.slots = slots
	t.Acquire(new(Slot), "a", 1, time.Now())
	t.Acquire(new(Slot), "b", 1, time.Now()) // contended from now on
	t.oldest, t.newest, t.held = nil, nil, 0
	for _, q := range t.queues {
		q.virtual = 0
	}
	return t
}

// TestOneFlow: calls of a single flow do not wait and hold no slots.
func TestOneFlow(t *testing.T) {
	var queue FairQueue
	queue.Init(SlotsPerProcessor)
	for range 10 * queue.slots {
		queue.Acquire(new(Slot), "a", 1, time.Now())
	}
	if queue.held != 0 || len(queue.queues) != 0 {
		t.Errorf("%d slots are held and there are %d queues, want 0 and 0", queue.held, len(queue.queues))
	}
}

// TestLightCalls: a few calls of principals' flows, such as metadata requests, cause no contention with a tenant's
// calls. Many of them do.
func TestLightCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var queue FairQueue
		queue.Init(SlotsPerProcessor)
		call := func(flow Flow) {
			var slot Slot
			queue.Acquire(&slot, flow, 1, time.Now())
			queue.Release(&slot, true)
		}
		for range 10 {
			for range maxLight {
				call("a")
				call(PrincipalFlow("alice"))
			}
			if queue.Contended(time.Now()) {
				t.Fatalf("%d light calls beside the calls of slot tenant cause contention", maxLight)
			}
			time.Sleep(2 * contendedFor)
		}
		for range maxLight + 1 {
			call("a")
			call(PrincipalFlow("alice"))
		}
		if !queue.Contended(time.Now()) {
			t.Error("more than the permitted number of light calls cause no contention")
		}
	})
}

// TestFlood: a call of a new flow runs before the hundred waiting calls of another flow.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := newContended(2)
		begun := make(chan Flow, 200)
		acquire := func(tenant Flow, weight float64) *Slot {
			slot := new(Slot)
			go func() {
				queue.Acquire(slot, tenant, weight, time.Now())
				begun <- tenant
			}()
			synctest.Wait()
			return slot
		}
		first := acquire("a", 1)
		second := acquire("a", 1)
		rest := make([]*Slot, 100)
		for i := range rest {
			rest[i] = acquire("a", 1)
		}
		late := acquire("b", 1)
		if got := drained(begun); got != "aa" {
			t.Fatalf("%q began while two slots are held, want aa", got)
		}
		queue.Release(first, true)
		synctest.Wait()
		if got := drained(begun); got != "b" {
			t.Fatalf("%q is next, want b: it has the least virtual time", got)
		}
		queue.Release(second, true)
		queue.Release(late, true)
		for _, slot := range rest {
			synctest.Wait()
			queue.Release(slot, true)
		}
		synctest.Wait()
		if got := drained(begun); got != strings.Repeat("a", 100) {
			t.Errorf("%d of the waiting calls began, want 100", len(got))
		}
		if queue.held != 0 || queue.oldest != nil || queue.newest != nil || len(queue.waiting) != 0 {
			t.Errorf("%d slots are held at the end, and %d queues wait", queue.held, len(queue.waiting))
		}
	})
}

func drained(c chan Flow) string {
	var b strings.Builder
	for {
		select {
		case tenant := <-c:
			b.WriteString(string(tenant))
		default:
			return b.String()
		}
	}
}

// began is the n-th call of a tenant, after it got its slot.
type began struct {
	tenant Flow
	n      int
}

// runQueued queues a number of calls of each tenant behind a held slot. It releases that slot and returns the calls in
// the order in which they begin. The queue must have one slot.
func runQueued(queue *FairQueue, calls int, weights map[Flow]float64) []began {
	gate := new(Slot)
	queue.Acquire(gate, "gate", 1, time.Now())
	var order []began // one goroutine at a time holds the slot
	var done sync.WaitGroup
	for n := range calls {
		for tenant, weight := range weights {
			done.Go(func() {
				var slot Slot
				queue.Acquire(&slot, tenant, weight, time.Now())
				order = append(order, began{tenant, n})
				queue.Release(&slot, true)
			})
			synctest.Wait()
		}
	}
	queue.Release(gate, true)
	done.Wait()
	return order
}

// TestWeights: the waiting calls of tenants of weights 3 and 1 begin in the ratio 3 to 1. The calls of each tenant
// begin in the order of their arrival.
func TestWeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := newContended(1)
		order := runQueued(queue, 40, map[Flow]float64{"heavy": 3, "light": 1})
		count := map[Flow]int{}
		for _, b := range order[:40] {
			if b.n != count[b.tenant] {
				t.Fatalf("call %d of %s began when %d of its calls had: %v", b.n, b.tenant, count[b.tenant], order)
			}
			count[b.tenant]++
		}
		if count["heavy"] < 29 || count["heavy"] > 31 {
			t.Errorf("of the first 40 calls %d are of the tenant of weight 3, want about 30", count["heavy"])
		}
	})
}

// TestSlotsExpire: a call that waits for its object delays other calls for maxHold only.
func TestSlotsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := newContended(1)
		slow := new(Slot)
		queue.Acquire(slow, "a", 1, time.Now())
		start := time.Now()
		quick := new(Slot)
		queue.Acquire(quick, "b", 1, time.Now())
		if waited := time.Since(start); waited > 2*maxHold {
			t.Errorf("the second call waited for %s, want at most %s", waited, 2*maxHold)
		}
		queue.Release(slow, true) // the slot was revoked: nothing is returned twice
		if queue.held != 1 || queue.oldest != quick || queue.newest != quick {
			t.Errorf("%d slots are held, want only that of the second call", queue.held)
		}
		queue.Release(quick, true)
		if queue.held != 0 {
			t.Errorf("%d slots are held at the end", queue.held)
		}
	})
}

// TestUnusedSlots: slots that are released unused do not count.
func TestUnusedSlots(t *testing.T) {
	queue := newContended(1)
	var slot Slot
	for range 1000 {
		queue.Acquire(&slot, "a", 1, time.Now())
		queue.Release(&slot, false)
	}
	if virtual := queue.queues["a"].virtual; virtual != 0 {
		t.Errorf("the virtual time of the tenant is %v, want 0", virtual)
	}
}

// TestEarlierCalls: slots that a tenant used while no call waited do not delay it when another tenant floods the host
// later.
func TestEarlierCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := newContended(1)
		var slot Slot
		for range 1000 {
			queue.Acquire(&slot, "early", 1, time.Now())
			queue.Release(&slot, true)
		}
		early := 0
		for _, b := range runQueued(queue, 20, map[Flow]float64{"late": 1, "early": 1})[:10] {
			if b.tenant == "early" {
				early++
			}
		}
		if early < 4 || early > 6 {
			t.Errorf("of the first 10 waiting calls %d are of the tenant that called earlier, want about 5", early)
		}
	})
}

// TestUnusedSlotOfWaitingFlow: after an unused release, the heap of waiting flows is still ordered by virtual time.
func TestUnusedSlotOfWaitingFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := newContended(2)
		gate, idle := new(Slot), new(Slot)
		queue.Acquire(gate, "gate", 1, time.Now())
		queue.Acquire(idle, "d", 1, time.Now())
		begun := make(chan Flow, 5)
		var done sync.WaitGroup
		for tenant, virtual := range map[Flow]float64{"a": 0.1, "b": 0.5, "c": 0.6, "e": 1.1, "d": 1} {
			queue.mu.Lock()
			if q := queue.queues[tenant]; q == nil {
				queue.queues[tenant] = new(flowQueue)
			}
			queue.queues[tenant].virtual = virtual
			queue.mu.Unlock()
		}
		for _, tenant := range []Flow{"a", "b", "c", "d", "e"} { // d is below b in the heap then
			done.Go(func() {
				var slot Slot
				queue.Acquire(&slot, tenant, 1, time.Now())
				begun <- tenant
				queue.Release(&slot, true)
			})
			synctest.Wait()
		}
		queue.Release(idle, false)
		done.Wait()
		queue.Release(gate, true)
		if got := drained(begun); got != "dabce" {
			t.Errorf("the calls began in the order %q, want dabce", got)
		}
	})
}

// TestConcurrentCalls runs many calls of many tenants concurrently: all begin, the number of held slots is bounded, and
// no slot is held at the end.
func TestConcurrentCalls(t *testing.T) {
	queue := newContended(4)
	var done sync.WaitGroup
	for tenant := range 8 {
		for range 50 {
			done.Go(func() {
				var slot Slot
				for range 20 {
					queue.Acquire(&slot, Flow(fmt.Sprint("t", tenant)), float64(1+tenant), time.Now())
					queue.mu.Lock()
					if queue.held > 8/flowsPerRound*queue.slots || queue.held < 0 {
						t.Errorf("%d slots are held, want at most %d", queue.held, 8/flowsPerRound*queue.slots)
					}
					queue.mu.Unlock()
					queue.Release(&slot, true)
				}
			})
		}
	}
	done.Wait()
	if queue.held != 0 || len(queue.waiting) != 0 || queue.oldest != nil || queue.newest != nil {
		t.Errorf("%d slots are held at the end, and %d queues wait", queue.held, len(queue.waiting))
	}
}
