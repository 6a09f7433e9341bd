package worker

import (
	"cmp"
	"maps"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"time"

	"github.com/hearthhost/hearth/internal/bytesize"
	"github.com/hearthhost/hearth/object"
)

// memory is the one budget of the worker's memory: what instances, sessions, streams, arguments and results hold
// together. Each instance has a limit of its own, but many may hold more than the process may. Before that is
// ended by the system, with the state of all, the instance that holds most is ended.
//
// The budget is looked at when a call ends and, while a call runs for long, many times a second.
type memory struct {
	limit int64 // bytes of the heap; 0: none

	mu       sync.Mutex // guards what follows; held while the budget is restored
	actors   map[*actor]struct{}
	nextGC       int64 // bytes of the heap, garbage included, at which it is collected next while no call runs for long
	frequentGC     bool  // the collector is
	watching bool
	stillEnding   func() bool // reports whether a call that was ended still runs; nil: none was
	countedSince    time.Time   // when the running instances were asked what they hold; zero: they were not
	round    uint64      // how often they were
}

// minEvictFraction is the part of the instances' memory that is the least to end an instance for.
const minEvictFraction = 16

// How much garbage may come on top of what is live, in percent: much in a small heap, which makes calls faster,
// and little in one that nears its limit, where calls that allocate must help to collect.
const (
	relaxedGCPercent = 400
	frequentGCPercent = 100
)

// watchEvery is how often memory is looked at while a call runs for long.
const watchEvery = 5 * time.Millisecond

// heap returns the bytes of the heap's objects, garbage included, and of what was live when it was collected last.
func heap() (all, live int64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64()), int64(sample[1].Value.Uint64())
}

// add enters an actor, and remove takes it out.
func (m *memory) add(a *actor) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.actors == nil {
		m.actors = map[*actor]struct{}{}
	}
	m.actors[a] = struct{}{}
}

func (m *memory) remove(a *actor) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.actors, a)
}

// all returns the actors.
func (m *memory) all() []*actor {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.actors))
}

// enforce restores the budget. self is the actor that calls it between two calls, whose state it may look at; nil:
// none.
func (m *memory) enforce(self *actor) {
	if m.limit == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	all, live := heap()
	if keen := all > m.limit/4*3; keen != m.frequentGC {
		m.frequentGC = keen
		debug.SetGCPercent(map[bool]int{true: frequentGCPercent, false: relaxedGCPercent}[keen])
	}
	if m.stillEnding != nil && m.stillEnding() {
		return // what those calls hold is about to be free
	}
	// While calls run, the collector runs as often as they make it, and is not waited for.
	if m.stillEnding != nil || !m.watching && all > max(m.nextGC, m.limit) {
		m.stillEnding = nil
		runtime.GC()
		_, live = heap()
		m.nextGC = live + m.limit/4
	}
	if live <= m.limit {
		return
	}
	for live > m.limit && m.endLargestLocked(self, live) {
		runtime.GC()
		_, live = heap()
	}
}

// usageTimeout is how long running instances may take to count what they hold. One that waits for another object does
// not count.
const usageTimeout = 100 * time.Millisecond

// holder is an instance and the bytes that it holds.
type holder struct {
	actor *actor
	held  int64
}

// endLargestLocked ends the instance that holds most. It reports whether memory is free afterwards: a running call
// ends a little later, and no instance is ended that holds less than a part of the limit.
func (m *memory) endLargestLocked(self *actor, live int64) bool {
	var largest, forgetful holder // of those at rest, and of those of them that are missed by no caller
	var known int64
	var running []*actor
	for a := range m.actors {
		if a != self && !a.stateMu.TryLock() {
			running = append(running, a)
			continue
		}
		held := a.heldBytes()
		known += held
		if held > largest.held {
			largest = holder{a, held}
		}
		if held > forgetful.held && !a.holdsState() {
			forgetful = holder{a, held}
		}
		if a != self {
			a.stateMu.Unlock()
		}
	}
	if forgetful.held >= m.limit/minEvictFraction { // before any call or state is lost
		return m.evictLocked(self, forgetful)
	}
	if m.countedSince.IsZero() && len(running) > 0 {
		m.countedSince = time.Now()
		m.round++
		for _, a := range running {
			a.usage.Request(m.round)
		}
	}
	counted, complete := m.count(running, live-known)
	if !complete && time.Since(m.countedSince) < usageTimeout {
		return false // the next look knows more
	}
	m.countedSince = time.Time{}
	if len(counted) > 0 && counted[0].held > max(largest.held, m.limit/minEvictFraction) {
		for _, h := range counted {
			if live <= m.limit || h.held < m.limit/minEvictFraction {
				break
			}
			m.stillEnding = either(m.stillEnding, h.actor.cancelRunning(m.evictionError(h.actor, h.held, "; the call was executed in part")))
			live -= h.held
		}
		return false
	}
	if largest.actor == nil || largest.held < m.limit/minEvictFraction {
		return false
	}
	return m.evictLocked(self, largest)
}

// evictLocked ends an instance at rest. It reports false if a call has begun in it meanwhile.
func (m *memory) evictLocked(self *actor, h holder) bool {
	if h.actor != self {
		if !h.actor.stateMu.TryLock() {
			return false
		}
		defer h.actor.stateMu.Unlock()
	}
	h.actor.evict(m.evictionError(h.actor, h.held, "; not executed"))
	return true
}

// holdsState reports whether a caller would miss the actor's instance; the caller has own.
func (a *actor) holdsState() bool { return a.o.prog.Mode() != object.PerCall || a.streamOnly }

// count returns what the running instances hold, the largest first. Those that have not counted share the rest of
// the live bytes; complete is false if there are any.
func (m *memory) count(running []*actor, live int64) (all []holder, complete bool) {
	var silent []*actor
	for _, a := range running {
		if held, ok := a.usage.Held(m.round); ok {
			all = append(all, holder{a, held})
			live -= held
		} else {
			silent = append(silent, a)
		}
	}
	for _, a := range silent {
		all = append(all, holder{a, max(live, 0) / int64(len(silent))})
	}
	slices.SortStableFunc(all, func(x, y holder) int { return cmp.Compare(y.held, x.held) })
	return all, len(silent) == 0
}

// either joins two conditions, each of which may be nil.
func either(a, b func() bool) func() bool {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return func() bool { return a() || b() }
}

// evictionError is the error for an instance that is ended for its memory.
func (m *memory) evictionError(a *actor, held int64, executed string) *object.Error {
	return object.Errorf(object.CodeExhausted, "limit exceeded: the memory of the tenant's worker: an instance of %s held %s, the most of all, and was ended with its state%s",
		a.o.id, bytesize.Text(held), executed)
}

// watch looks at the budget until no call runs any more.
func (m *memory) watch(busy func() bool) {
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
			m.enforce(nil)
		}
		m.mu.Lock()
		m.watching = false
		m.mu.Unlock()
	}()
}

// heldBytes returns about how many bytes the actor's state heldBytes; the caller has own.
func (a *actor) heldBytes() int64 {
	if a.state == nil {
		return 0
	}
	return a.state.Held()
}

// evict throws the actor's instance away without running its script; the caller has own. The next call reads why,
// if it could miss it.
func (a *actor) evict(why *object.Error) {
	if a.state == nil {
		return
	}
	remembers := a.holdsState()
	a.state.Break(why)
	for id, st := range a.openStreams {
		if st != nil {
			st.Close()
		}
		a.openStreams[id] = nil
	}
	a.dropState()
	if remembers {
		a.evictErr = why
		a.o.w.log.lost(a.o.id, why)
	}
}

// cancelRunning ends the call that runs, and returns what reports whether it still does.
func (a *actor) cancelRunning(why *object.Error) (runs func() bool) {
	j := a.running.Load()
	if j == nil {
		return nil
	}
	id := j.end(why)
	return func() bool { return a.running.Load() == j && j.serves(id) }
}
