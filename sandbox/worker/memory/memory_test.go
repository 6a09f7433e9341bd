package memory_test

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
	"github.com/hearthhost/hearth/sandbox/worker/memory"
)

// instance is an instance that holds bytes of the heap.
type instance struct {
	sync.Mutex
	id       object.ID
	held     []byte
	state    bool
	evicted  *object.Error
	canceled *object.Error
	usage    sandbox.Usage
	rests    time.Time     // zero: it cannot be unloaded
	unloaded chan struct{} // closed by the test when it has ended
}

func (i *instance) ID() object.ID         { return i.id }
func (i *instance) Held() int64           { return int64(len(i.held)) }
func (i *instance) HoldsState() bool      { return i.state }
func (i *instance) Usage() *sandbox.Usage { return &i.usage }

func (i *instance) Evict(why *object.Error) { i.held, i.evicted = nil, why }

func (i *instance) Resting() (since time.Time, ok bool) { return i.rests, !i.rests.IsZero() }

func (i *instance) Unload() (ended <-chan struct{}, ok bool) {
	i.held, i.unloaded, i.rests = nil, make(chan struct{}), time.Time{}
	return i.unloaded, true
}

func (i *instance) CancelRunning(why *object.Error) (runs func() bool) {
	i.canceled = why
	return func() bool { return false }
}

// newInstance returns an instance that holds some MiB.
func newInstance(l *memory.Limit, id object.ID, mib int, state bool) *instance {
	i := &instance{id: id, held: make([]byte, mib<<20), state: state}
	l.Add(i)
	return i
}

// newLimit returns a limit in MiB on top of the heap of the test.
func newLimit(t *testing.T, mib int64) *memory.Limit {
	t.Helper()
	old := debug.SetGCPercent(100) // Enforce changes it
	t.Cleanup(func() { debug.SetGCPercent(old) })
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return memory.New(int64(m.HeapAlloc) + mib<<20)
}

// TestEnforce exceeds a limit by several instances. Instances without state are evicted first, then the largest.
func TestEnforce(t *testing.T) {
	l := newLimit(t, 64)
	small := newInstance(l, "acme.small", 8, true)
	large := newInstance(l, "acme.large", 40, true)
	l.Enforce(nil)
	if small.evicted != nil || large.evicted != nil {
		t.Fatal("an instance is evicted below the limit")
	}
	stateless := newInstance(l, "acme.stateless", 24, false)
	runtime.GC()
	l.Enforce(nil)
	if stateless.evicted == nil || large.evicted != nil || small.evicted != nil {
		t.Errorf("evicted: %v, %v, %v; want the instance without state",
			stateless.evicted, large.evicted, small.evicted)
	}
	l.Remove(stateless)
	last := newInstance(l, "acme.last", 24, true)
	runtime.GC()
	last.Lock() // it runs the call that has just ended
	l.Enforce(last)
	last.Unlock()
	if large.evicted == nil || last.evicted != nil || small.evicted != nil {
		t.Errorf("evicted: %v, %v, %v; want the largest", large.evicted, last.evicted, small.evicted)
	}
	if want := "an instance of acme.large held 40"; !strings.Contains(large.evicted.Msg, want) {
		t.Errorf("the reason is %q, want %q", large.evicted.Msg, want)
	}
}

// TestRunningCallIsCancelled exceeds a limit by an instance that runs a call and does not count its memory. Its
// call is cancelled, and a small instance remains.
func TestRunningCallIsCancelled(t *testing.T) {
	l := newLimit(t, 32)
	synctest.Test(t, func(t *testing.T) {
		small := newInstance(l, "acme.small", 4, true)
		running := newInstance(l, "acme.running", 40, true)
		running.Lock()
		defer running.Unlock()
		runtime.GC()
		l.Enforce(nil) // begins the count, which no instance answers
		if running.canceled != nil {
			t.Error("the call is cancelled before the count has ended")
		}
		time.Sleep(time.Second) // longer than a count may take
		l.Enforce(nil)
		if small.evicted != nil || running.evicted != nil {
			t.Error("an instance is evicted although a cancelled call frees enough")
		}
		if why := running.canceled; why == nil || !strings.HasSuffix(why.Msg, "executed in part") {
			t.Errorf("the call is cancelled with %v", why)
		}
	})
}

// TestEndedCallsAreCollectedFirst exceeds a limit by the memory of a call that has ended since the last collection. The
// running call is not cancelled for it.
func TestEndedCallsAreCollectedFirst(t *testing.T) {
	l := newLimit(t, 64)
	synctest.Test(t, func(t *testing.T) {
		running := newInstance(l, "acme.running", 40, true)
		running.Lock()
		defer running.Unlock()
		ended := make([]byte, 40<<20)
		runtime.GC()
		l.Enforce(nil) // begins the count, which no instance answers
		runtime.KeepAlive(ended)
		time.Sleep(time.Minute) // longer than the wait for the count
		l.Enforce(nil)
		if running.canceled != nil {
			t.Errorf("the call is cancelled for memory that is free: %v", running.canceled)
		}
	})
}

// TestIdleInstancesAreUnloaded exceeds a limit by small idle instances. Those that have been idle longest are unloaded,
// and no other instance is evicted until they have ended.
func TestIdleInstancesAreUnloaded(t *testing.T) {
	l := newLimit(t, 64)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		large := newInstance(l, "acme.large", 20, true)
		var idle []*instance
		for n := range 48 {
			i := newInstance(l, object.ID("acme.cart").WithKey(fmt.Sprint("k", n)), 1, true)
			i.rests = start.Add(-time.Duration(n) * time.Second) // the last has been idle longest
			idle = append(idle, i)
		}
		unloaded := func() (n int) {
			for _, i := range idle {
				if i.unloaded != nil {
					n++
				}
			}
			return n
		}
		runtime.GC()
		l.Enforce(nil)
		first := unloaded()
		if first < 4 || first > 40 || large.evicted != nil {
			t.Fatalf("%d instances are unloaded, and the large one is evicted: %v", first, large.evicted)
		}
		for n, i := range idle {
			if got, want := i.unloaded != nil, n >= len(idle)-first; got != want {
				t.Fatalf("instance %d is unloaded: %t, want %t: %d are", n, got, want, first)
			}
		}
		more := newInstance(l, "acme.more", 30, true)
		runtime.GC()
		l.Enforce(nil) // the unloaded instances have not ended
		if n := unloaded(); n != first || more.evicted != nil {
			t.Errorf("before the first instances have ended, %d are unloaded: %v", n, more.evicted)
		}
		time.Sleep(time.Second) // one of them does not end
		l.Enforce(nil)
		if n := unloaded(); n <= first {
			t.Errorf("after a second %d instances are unloaded", n)
		}
	})
}

// TestFewIdleInstancesRemain exceeds a limit while the idle instances hold little. They are not unloaded: the largest
// instance is evicted.
func TestFewIdleInstancesRemain(t *testing.T) {
	l := newLimit(t, 64)
	idle := newInstance(l, "acme.cart:alice", 1, true)
	idle.rests = time.Now()
	large := newInstance(l, "acme.large", 70, true)
	runtime.GC()
	l.Enforce(nil)
	if idle.unloaded != nil || large.evicted == nil {
		t.Errorf("unloaded: %v, evicted: %v; want the large one alone", idle.unloaded, large.evicted)
	}
}

// TestNoLimit enforces no limit.
func TestNoLimit(t *testing.T) {
	l := memory.New(0)
	i := newInstance(l, "acme.a", 64, false)
	l.Enforce(nil)
	l.Watch(func() bool { t.Error("a process without a limit is watched"); return false })
	if i.evicted != nil || len(l.All()) != 1 {
		t.Error("an instance is evicted without a limit")
	}
}

// TestEnforceAfter exceeds the limit by calls that allocate little each. The limit is enforced after some of them.
func TestEnforceAfter(t *testing.T) {
	l := newLimit(t, 32)
	i := newInstance(l, "acme.a", 64, true)
	runtime.GC()
	l.EnforceAfter(i, 0)
	if i.evicted != nil {
		t.Error("a call that allocates nothing checks the limit")
	}
	for range 1 << 10 {
		l.EnforceAfter(i, 64<<10)
	}
	if i.evicted == nil {
		t.Error("calls that allocate 64 MiB in all do not check the limit")
	}
}
