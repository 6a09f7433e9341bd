// Package memory limits the memory of a worker process: instances, sessions, streams, arguments and results together.
//
// Each instance has its own limit, but many instances together may exceed the limit of the process. The kernel would
// then end the process with the state of all instances. [Limit] first unloads idle instances of keyed objects, which
// also end without it, if they hold much together. Otherwise it evicts the largest instance, or cancels the largest
// running calls.
//
// An instance is an [Instance]: the package is independent of how instances run calls. It counts the heap by the
// metrics of the Go runtime, and changes the garbage collector's percentage.
package memory

import (
	"cmp"
	"maps"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/internal/bytesize"
	"github.com/hearthhost/hearth/internal/largebuf"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
)

// Limit enforces the limit. It is checked when calls end, and every watchEvery while a call runs for long. Safe for
// concurrent use.
type Limit struct {
	limit     int64        // bytes of the heap; 0: none
	unchecked atomic.Int64 // bytes that calls have allocated since the last check

	mu           sync.Mutex // guards the fields below; held while instances are evicted
	instances    map[Instance]struct{}
	nextGC       int64 // size of the heap in bytes at which enforce collects garbage next, while no call runs for long
	frequentGC   bool  // GCPercent is frequentGCPercent
	watching     bool
	stillEnding  func() bool // reports whether a cancelled call or an unloaded instance still runs; nil: none
	unloading    bool        // Enforce unloads instances without mu
	countedSince time.Time   // start of the running instances' count; zero: they do not count
	round        uint64      // number of counts so far
}

// Instance is an instance as the limit sees it. An instance is locked while it runs a call or changes its state.
type Instance interface {
	ID() object.ID // of the object
	TryLock() bool
	Unlock()
	// Held returns the approximate size of the instance in bytes. The caller holds the lock.
	Held() int64
	// HoldsState reports whether the instance keeps state between calls, or a stream. The caller holds the lock.
	HoldsState() bool
	// Evict discards the instance without running its script. The next call is answered by why, if the instance held
	// state. The caller holds the lock.
	Evict(why *object.Error)
	// Usage counts the memory of the instance while it runs a call.
	Usage() *sandbox.Usage
	// Resting reports whether the instance may be unloaded, because its object unloads instances that are idle, and
	// since when it is idle.
	Resting() (since time.Time, ok bool)
	// Unload ends the instance, with its close, unless it has work. ended is closed when the instance has ended. It
	// does not wait. The caller holds no lock.
	Unload() (ended <-chan struct{}, ok bool)
	// CancelRunning cancels the running call with why as its reply. It returns a function that reports whether the call
	// still runs, nil if no call runs. It does not wait.
	CancelRunning(why *object.Error) (runs func() bool)
}

// New returns a limit of the heap in bytes; 0 is no limit.
func New(limit int64) *Limit {
	return &Limit{limit: limit, instances: map[Instance]struct{}{}}
}

// minEvictFraction is the part of the limit that an instance must hold to be evicted: 1/16.
const minEvictFraction = 16

// RelaxedGCPercent is the garbage that the collector allows on top of live memory, in percent, while the heap is small:
// much, which makes calls faster.
const RelaxedGCPercent = 400

// frequentGCPercent replaces RelaxedGCPercent near the limit, where calls that allocate must help to collect.
const frequentGCPercent = 100

// watchEvery is the interval of checks while a call runs for long.
const watchEvery = 5 * time.Millisecond

// heap returns the bytes of the heap's objects, garbage included, and those that were live at the last collection.
func heap() (all, live int64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64()), int64(sample[1].Value.Uint64())
}

// Add registers an instance.
func (m *Limit) Add(u Instance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.instances[u] = struct{}{}
}

// Remove removes an instance.
func (m *Limit) Remove(u Instance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.instances, u)
}

// All returns the registered instances.
func (m *Limit) All() []Instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.instances))
}

// Between two checks calls allocate at most 1/checkFraction of the limit, and callBytes for each call besides.
const (
	checkFraction = 64
	callBytes     = 4 << 10
)

// EnforceAfter is Enforce after a call of self that has allocated some bytes. Most calls allocate little: it checks the
// limit only if that could matter.
func (m *Limit) EnforceAfter(self Instance, allocated int64) {
	if m.limit > 0 && m.unchecked.Add(allocated+callBytes) > m.limit/checkFraction {
		m.Enforce(self)
	}
}

// Enforce evicts instances until live memory is below the limit. self is the instance that calls it between two calls
// and is locked; nil if no instance calls it.
func (m *Limit) Enforce(self Instance) {
	if m.limit == 0 {
		return
	}
	m.unchecked.Store(0)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unloading {
		return
	}
	all, live := heap()
	if keen := all > m.limit/4*3; keen != m.frequentGC {
		m.frequentGC = keen
		debug.SetGCPercent(map[bool]int{true: frequentGCPercent, false: RelaxedGCPercent}[keen])
	}
	if m.stillEnding != nil && m.stillEnding() {
		return // the memory of those calls is free soon
	}
	// While a call runs for long, the collector runs often enough: do not wait for it here.
	if m.stillEnding != nil || !m.watching && all > max(m.nextGC, m.limit) {
		m.stillEnding = nil
		runtime.GC()
		_, live = heap()
		m.nextGC = live + m.limit/4
	}
	if live > m.limit && largebuf.Drop() {
		runtime.GC()
		_, live = heap()
	}
	if live <= m.limit {
		return
	}
	for live > m.limit && m.endLargestLocked(self, live) {
		runtime.GC()
		_, live = heap()
	}
}

// instanceBytes is the approximate memory of a small instance that Held does not count.
const instanceBytes = 4 << 10

// unloadTimeout bounds the time for which the limit waits for unloaded instances before it evicts others or cancels
// calls: close of an instance may take long.
const unloadTimeout = 250 * time.Millisecond

// resting is an instance that may be unloaded.
type resting struct {
	holder
	since time.Time
}

// unloadLocked unloads the instances that have been idle longest, until a sixteenth of the limit is free. It returns
// false, and unloads none, if all of them hold less than an instance must hold to be evicted. It releases mu meanwhile:
// an object is locked while it registers an instance.
func (m *Limit) unloadLocked(idle []resting, live int64) bool {
	var sum int64
	for _, r := range idle {
		sum += r.held + instanceBytes
	}
	if sum < m.limit/minEvictFraction {
		return false
	}
	slices.SortFunc(idle, func(x, y resting) int { return x.since.Compare(y.since) })
	m.unloading = true
	m.mu.Unlock()
	var ending []<-chan struct{}
	for excess := live - m.limit + m.limit/minEvictFraction; len(idle) > 0 && excess > 0; idle = idle[1:] {
		if ended, ok := idle[0].instance.Unload(); ok {
			ending = append(ending, ended)
			excess -= idle[0].held + instanceBytes
		}
	}
	m.mu.Lock()
	m.unloading = false
	until := time.Now().Add(unloadTimeout)
	m.stillEnding = either(m.stillEnding, func() bool {
		for len(ending) > 0 && isClosed(ending[0]) {
			ending = ending[1:]
		}
		return len(ending) > 0 && time.Now().Before(until)
	})
	return len(ending) > 0
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// usageTimeout bounds how long running instances may take to count their memory. An instance that waits for another
// object does not count.
const usageTimeout = 100 * time.Millisecond

// holder is an instance and its memory in bytes.
type holder struct {
	instance Instance
	held     int64
}

// endLargestLocked unloads idle instances, evicts the largest instance, or cancels the largest running calls. It
// returns true if memory is free afterwards: an unloaded instance and a cancelled call free their memory later. No
// instance below minEvictFraction of the limit is evicted.
func (m *Limit) endLargestLocked(self Instance, live int64) bool {
	var largest, stateless holder // instances without a running call; those of them without state
	var known int64
	var running []Instance
	var idle []resting
	for u := range m.instances {
		if u != self && !u.TryLock() {
			running = append(running, u)
			continue
		}
		held := u.Held()
		known += held
		if since, ok := u.Resting(); ok && held > 0 && u != self {
			idle = append(idle, resting{holder{u, held}, since})
		}
		if held > largest.held {
			largest = holder{u, held}
		}
		if held > stateless.held && !u.HoldsState() {
			stateless = holder{u, held}
		}
		if u != self {
			u.Unlock()
		}
	}
	if stateless.held >= m.limit/minEvictFraction { // evict it before one that holds state
		return m.evictLocked(self, stateless)
	}
	if m.unloadLocked(idle, live) {
		return false
	}
	if m.countedSince.IsZero() && len(running) > 0 {
		m.countedSince = time.Now()
		m.round++
		for _, u := range running {
			u.Usage().Request(m.round)
		}
	}
	counted, complete := m.count(running, live-known)
	if !complete && time.Since(m.countedSince) < usageTimeout {
		return false // the next check has the count
	}
	m.countedSince = time.Time{}
	if len(counted) > 0 && counted[0].held > max(largest.held, m.limit/minEvictFraction) {
		// The last collection may have found memory of calls that have ended since. No call is cancelled for that.
		runtime.GC()
		if _, live = heap(); live <= m.limit {
			return false
		}
		for _, h := range counted {
			if live <= m.limit || h.held < m.limit/minEvictFraction {
				break
			}
			why := m.evictionError(h.instance, h.held, "; the call was executed in part")
			m.stillEnding = either(m.stillEnding, h.instance.CancelRunning(why))
			live -= h.held
		}
		return false
	}
	if largest.instance == nil || largest.held < m.limit/minEvictFraction {
		return false
	}
	return m.evictLocked(self, largest)
}

// evictLocked evicts an instance that runs no call. It returns false if a call has begun in it meanwhile.
func (m *Limit) evictLocked(self Instance, h holder) bool {
	if h.instance != self {
		if !h.instance.TryLock() {
			return false
		}
		defer h.instance.Unlock()
	}
	h.instance.Evict(m.evictionError(h.instance, h.held, "; not executed"))
	return true
}

// count returns the memory of the running instances, the largest first. The instances that have not counted yet share
// the rest of the live bytes; complete is false then.
func (m *Limit) count(running []Instance, live int64) (all []holder, complete bool) {
	var silent []Instance
	for _, u := range running {
		if held, ok := u.Usage().Held(m.round); ok {
			all = append(all, holder{u, held})
			live -= held
		} else {
			silent = append(silent, u)
		}
	}
	for _, u := range silent {
		all = append(all, holder{u, max(live, 0) / int64(len(silent))})
	}
	slices.SortStableFunc(all, func(x, y holder) int { return cmp.Compare(y.held, x.held) })
	return all, len(silent) == 0
}

// either returns a condition that holds if a or b does. Both may be nil.
func either(a, b func() bool) func() bool {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return func() bool { return a() || b() }
}

// evictionError is the error for an instance that is evicted.
func (m *Limit) evictionError(u Instance, held int64, executed string) *object.Error {
	return object.Errorf(object.CodeExhausted,
		"limit exceeded: the memory of the tenant's worker: an instance of %s held %s, "+
			"the most of all, and was ended with its state%s",
		u.ID(), bytesize.Text(held), executed)
}

// Watch checks the limit every watchEvery until no call runs.
func (m *Limit) Watch(busy func() bool) {
	if m.limit == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.watching {
		return
	}
	m.watching = true
	go func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for busy() {
			<-tick.C
			m.Enforce(nil)
		}
		m.mu.Lock()
		m.watching = false
		m.mu.Unlock()
	}()
}
