package admit

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sharing returns turns, so many at a time, that two tenants make use of.
func sharing(most int) *FairQueue {
	t := new(FairQueue)
	t.Init(SlotsPerProcessor)
	t.slots = most
	t.Acquire(new(Slot), "a", 1, time.Now())
	t.Acquire(new(Slot), "b", 1, time.Now()) // shares from now on; nobody holds a's
	t.oldest, t.newest, t.held = nil, nil, 0
	for _, q := range t.queues {
		q.virtual = 0
	}
	return t
}

// TestTurnsAlone has one tenant call alone: nobody waits, and no turn is held.
func TestTurnsAlone(t *testing.T) {
	var all FairQueue
	all.Init(SlotsPerProcessor)
	for range 10 * all.slots {
		all.Acquire(new(Slot), "a", 1, time.Now())
	}
	if all.held != 0 || len(all.queues) != 0 {
		t.Errorf("%d turns are held and there are %d queues, want none: there is nobody to share with", all.held, len(all.queues))
	}
}

// TestTurnsAside has clients of one tenant ask what its objects are, which takes no turns of it;
// whoever asks without end is somebody to share with.
func TestTurnsAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all FairQueue
		all.Init(SlotsPerProcessor)
		call := func(tenant Flow) {
			var one Slot
			all.Acquire(&one, tenant, 1, time.Now())
			all.Release(&one, true)
		}
		for range 10 {
			for range maxLight {
				call("a")
				call(PrincipalFlow("alice"))
			}
			if all.Contended(time.Now()) {
				t.Fatalf("%d questions beside calls of one tenant make a crowd", maxLight)
			}
			time.Sleep(2 * contendedFor)
		}
		for range maxLight + 1 {
			call("a")
			call(PrincipalFlow("alice"))
		}
		if !all.Contended(time.Now()) {
			t.Error("questions without end are shared with nobody")
		}
	})
}

// TestTurnsFlood has one tenant wait with a hundred calls, and another come then: it is next.
func TestTurnsFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := sharing(2)
		begun := make(chan Flow, 200)
		ask := func(tenant Flow, weight float64) *Slot {
			one := new(Slot)
			go func() {
				all.Acquire(one, tenant, weight, time.Now())
				begun <- tenant
			}()
			synctest.Wait()
			return one
		}
		first := ask("a", 1)
		second := ask("a", 1)
		rest := make([]*Slot, 100)
		for i := range rest {
			rest[i] = ask("a", 1)
		}
		late := ask("b", 1)
		if got := drained(begun); got != "aa" {
			t.Fatalf("%q began while two turns are held, want aa", got)
		}
		all.Release(first, true)
		synctest.Wait()
		if got := drained(begun); got != "b" {
			t.Fatalf("%q is next, want b: it has had least", got)
		}
		all.Release(second, true)
		all.Release(late, true)
		for _, one := range rest {
			synctest.Wait()
			all.Release(one, true)
		}
		synctest.Wait()
		if got := drained(begun); got != strings.Repeat("a", 100) {
			t.Errorf("%d of those that waited began, want 100", len(got))
		}
		if all.held != 0 || all.oldest != nil || all.newest != nil || len(all.waiting) != 0 {
			t.Errorf("%d turns are held at the end, and %d queues wait", all.held, len(all.waiting))
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

// began is the n-th call of a tenant, which has its turn.
type began struct {
	tenant Flow
	n      int
}

// queued has calls wait, so many of each tenant in turn, behind one turn that is held, and
// returns them in the order in which they then begin. There is one turn at a time.
func queued(all *FairQueue, calls int, weights map[Flow]float64) []began {
	gate := new(Slot)
	all.Acquire(gate, "gate", 1, time.Now())
	var order []began // one goroutine at a time has the turn
	var done sync.WaitGroup
	for n := range calls {
		for tenant, weight := range weights {
			done.Go(func() {
				var one Slot
				all.Acquire(&one, tenant, weight, time.Now())
				order = append(order, began{tenant, n})
				all.Release(&one, true)
			})
			synctest.Wait()
		}
	}
	all.Release(gate, true)
	done.Wait()
	return order
}

// TestTurnsByWeight has tenants of weights 3 and 1 wait all the time: they begin 3 to 1, and
// in the order in which they came within each.
func TestTurnsByWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := sharing(1)
		order := queued(all, 40, map[Flow]float64{"heavy": 3, "light": 1})
		count := map[Flow]int{}
		for _, b := range order[:40] {
			if b.n != count[b.tenant] {
				t.Fatalf("call %d of %s began when %d of its calls had: %v", b.n, b.tenant, count[b.tenant], order)
			}
			count[b.tenant]++
		}
		if count["heavy"] < 29 || count["heavy"] > 31 {
			t.Errorf("of the first 40 calls %d are of the tenant of weight 3, want 30 or so", count["heavy"])
		}
	})
}

// TestTurnsExpire has calls that wait for their objects: they hold up others for a moment only.
func TestTurnsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := sharing(1)
		slow := new(Slot)
		all.Acquire(slow, "a", 1, time.Now())
		start := time.Now()
		quick := new(Slot)
		all.Acquire(quick, "b", 1, time.Now())
		if waited := time.Since(start); waited > 2*maxHold {
			t.Errorf("the second call waited for %s, want at most %s", waited, 2*maxHold)
		}
		all.Release(slow, true) // gives nothing back twice
		if all.held != 1 || all.oldest != quick || all.newest != quick {
			t.Errorf("%d turns are held, want the second call's alone", all.held)
		}
		all.Release(quick, true)
		if all.held != 0 {
			t.Errorf("%d turns are held at the end", all.held)
		}
	})
}

// TestTurnsUnused has a tenant take turns and give them back unused: they do not count.
func TestTurnsUnused(t *testing.T) {
	all := sharing(1)
	var one Slot
	for range 1000 {
		all.Acquire(&one, "a", 1, time.Now())
		all.Release(&one, false)
	}
	if had := all.queues["a"].virtual; had != 0 {
		t.Errorf("the tenant has had %v turns, want 0", had)
	}
}

// TestTurnsEarlier has a tenant call for long without anybody having to wait, and then one
// that was silent flood the host: what the first had while there was enough is not held
// against it.
func TestTurnsEarlier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := sharing(1)
		var one Slot
		for range 1000 {
			all.Acquire(&one, "early", 1, time.Now())
			all.Release(&one, true)
		}
		early := 0
		for _, b := range queued(all, 20, map[Flow]float64{"late": 1, "early": 1})[:10] {
			if b.tenant == "early" {
				early++
			}
		}
		if early < 4 || early > 6 {
			t.Errorf("of the first 10 calls that waited %d are of the tenant that called before, want 5 or so", early)
		}
	})
}

// TestTurnsUnusedWaiting has a turn come back unused while others of its tenant wait: the one
// who has had least is next all the same.
func TestTurnsUnusedWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := sharing(2)
		gate, idle := new(Slot), new(Slot)
		all.Acquire(gate, "gate", 1, time.Now())
		all.Acquire(idle, "d", 1, time.Now())
		begun := make(chan Flow, 5)
		var done sync.WaitGroup
		for tenant, had := range map[Flow]float64{"a": 0.1, "b": 0.5, "c": 0.6, "e": 1.1, "d": 1} {
			all.mu.Lock()
			if q := all.queues[tenant]; q == nil {
				all.queues[tenant] = new(flowQueue)
			}
			all.queues[tenant].virtual = had
			all.mu.Unlock()
		}
		for _, tenant := range []Flow{"a", "b", "c", "d", "e"} { // d is under b then
			done.Go(func() {
				var one Slot
				all.Acquire(&one, tenant, 1, time.Now())
				begun <- tenant
				all.Release(&one, true)
			})
			synctest.Wait()
		}
		all.Release(idle, false)
		done.Wait()
		all.Release(gate, true)
		if got := drained(begun); got != "dabce" {
			t.Errorf("they began in the order %q, want dabce", got)
		}
	})
}

// TestTurnsAtOnce has many calls of many tenants come at once, some slow: all begin, no more
// than there are turns at a time, and none is left.
func TestTurnsAtOnce(t *testing.T) {
	all := sharing(4)
	var done sync.WaitGroup
	for tenant := range 8 {
		for range 50 {
			done.Go(func() {
				var one Slot
				for range 20 {
					all.Acquire(&one, Flow(fmt.Sprint("t", tenant)), float64(1+tenant), time.Now())
					all.mu.Lock()
					if all.held > 8/flowsPerRound*all.slots || all.held < 0 {
						t.Errorf("%d turns are held, want at most %d", all.held, 8/flowsPerRound*all.slots)
					}
					all.mu.Unlock()
					all.Release(&one, true)
				}
			})
		}
	}
	done.Wait()
	if all.held != 0 || len(all.waiting) != 0 || all.oldest != nil || all.newest != nil {
		t.Errorf("%d turns are held at the end, and %d queues wait", all.held, len(all.waiting))
	}
}
