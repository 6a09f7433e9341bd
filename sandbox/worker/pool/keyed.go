package pool

import (
	"container/list"
	"time"
	"weak"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/worker/job"
)

// keyedActors are the instances of a version of a keyed object. The version's mu guards them. The zero value has none.
type keyedActors struct {
	live   map[object.ID]*actor
	recent list.List // the live actors, the one whose last call came first at the front
	// before has the instances that had an id earlier, as far as the next one must wait for them: they end, or hand
	// over their state.
	before map[object.ID]*handoverState
	sweeps bool // a timer runs that calls sweep
}

// keyedActor is the part of an actor that only keyed objects have.
type keyedActor struct {
	place    *list.Element  // in recent; guarded by the version's mu
	lastCall time.Time      // guarded by the version's mu
	room     *handoverState // the actor that ends to make room for this one; nil: none

	// Guarded by the actor's mu.
	streams int            // open streams while the actor is not active
	resting time.Time      // time since which the actor is not active
	unload  *handoverState // ready when the actor has ended; nil: it was not unloaded
}

// len returns the number of instances that exist or whose state is kept.
func (k *keyedActors) len() int { return len(k.live) + len(k.before) }

// keyedLocked gives a job to the instance of its key, which it makes if necessary. It returns the actor that the caller
// must run, if any.
func (o *objectVersion) keyedLocked(j *job.Job) *actor {
	k, id := &o.keyed, j.Call.ID
	a := k.live[id]
	if a == nil {
		var room *handoverState
		if len(k.live) >= o.limits.Instances {
			if room = o.unloadIdlestLocked(); room == nil {
				j.Refuse(object.Errorf(object.CodeExhausted,
					"limit exceeded: %d instances of %s, none of them idle; not executed", o.limits.Instances, o.id))
				return nil
			}
		}
		a = &actor{o: o, id: id, max: o.limits.Queue, incoming: k.before[id], keyed: &keyedActor{room: room}}
		a.register()
		delete(k.before, id)
		if k.live == nil {
			k.live = map[object.ID]*actor{}
			k.recent.Init()
		}
		k.live[id] = a
		a.keyed.place = k.recent.PushBack(a)
		o.sweepLaterLocked()
	}
	a.keyed.lastCall = time.Now()
	k.recent.MoveToBack(a.keyed.place)
	return a.enqueue(j)
}

// unloadIdlestLocked ends the idle instance whose last call came first. It returns the state that is ready when that
// instance has ended, nil if no instance is idle.
func (o *objectVersion) unloadIdlestLocked() *handoverState {
	for e := o.keyed.recent.Front(); e != nil; e = e.Next() {
		if e := o.unloadLocked(e.Value.(*actor), time.Time{}); e != nil { //nolint:forcetypeassert // only actors
			return e
		}
	}
	return nil
}

// unloadLocked ends an instance that is idle, and was at a time already, if that is not zero. It returns the state that
// is ready when the instance has ended, nil if it is not idle. The next instance of the id waits for that.
func (o *objectVersion) unloadLocked(a *actor, since time.Time) *handoverState {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.active || a.keyed.streams > 0 || !since.IsZero() && a.keyed.resting.After(since) {
		return nil
	}
	e := &handoverState{ready: make(chan struct{})}
	a.stopping, a.cutStreams, a.keyed.unload = true, true, e
	a.startLocked()
	k := &o.keyed
	delete(k.live, a.id)
	k.recent.Remove(a.keyed.place)
	if k.before == nil {
		k.before = map[object.ID]*handoverState{}
	}
	k.before[a.id] = e
	return e
}

// unloaded lets the actors continue that wait for the end of this one.
func (a *actor) unloaded() {
	if a.keyed == nil {
		return
	}
	a.mu.Lock()
	e := a.keyed.unload
	a.mu.Unlock()
	if e == nil {
		return
	}
	a.o.p.services.Log.Unloaded(a.id)
	close(e.ready)
	a.o.mu.Lock()
	defer a.o.mu.Unlock()
	if a.o.keyed.before[a.id] == e {
		delete(a.o.keyed.before, a.id)
	}
}

// Resting reports whether the actor has an instance of a keyed object that is idle, and since when.
func (a *actor) Resting() (since time.Time, ok bool) {
	if a.keyed == nil {
		return time.Time{}, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.keyed.resting, !a.active && a.keyed.streams == 0
}

// Unload ends an idle instance of a keyed object. ended is closed when its close has run.
func (a *actor) Unload() (ended <-chan struct{}, ok bool) {
	a.o.mu.Lock()
	defer a.o.mu.Unlock()
	if a.o.keyed.live[a.id] != a { // its version is retired
		return nil, false
	}
	e := a.o.unloadLocked(a, time.Time{})
	if e == nil {
		return nil, false
	}
	return e.ready, true
}

// rest records that an actor is not active any more. k may be nil. The caller holds the actor's mu.
func (k *keyedActor) rest(streams int) {
	if k != nil {
		k.streams, k.resting = streams, time.Now()
	}
}

// waitForRoom waits until the actor has ended that was unloaded to make room for this one.
func (a *actor) waitForRoom() {
	if a.keyed == nil || a.keyed.room == nil {
		return
	}
	a.wait(a.keyed.room)
	a.keyed.room = nil
}

// sweepsPerIdle is the number of sweeps in the time after which an idle instance ends.
const sweepsPerIdle = 4

// sweepLaterLocked has a timer call sweep, unless one runs or there are no instances.
func (o *objectVersion) sweepLaterLocked() {
	if o.keyed.sweeps || o.keyed.len() == 0 {
		return
	}
	o.keyed.sweeps = true
	alive := weak.Make(o) // its actors hold it as long as they run
	time.AfterFunc(o.limits.InstanceIdle/sweepsPerIdle, func() {
		if o := alive.Value(); o != nil {
			o.sweep()
		}
	})
}

// sweep ends the instances that have been idle for too long, and drops the states that no instance has taken for that
// long.
func (o *objectVersion) sweep() {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := &o.keyed
	k.sweeps = false
	if o.p.ended.Load() {
		return
	}
	since := time.Now().Add(-o.limits.InstanceIdle)
	var next *list.Element
	for e := k.recent.Front(); e != nil; e = next {
		next = e.Next()
		a := e.Value.(*actor) //nolint:forcetypeassert // only actors
		if a.keyed.lastCall.After(since) {
			break
		}
		o.unloadLocked(a, since)
	}
	for id, e := range k.before {
		select {
		case <-e.ready:
			if e.state == nil || e.since.Before(since) {
				delete(k.before, id)
			}
		default:
		}
	}
	o.sweepLaterLocked()
}

// retire has all instances end, after their queued jobs. With a successor it returns the states that they hand over,
// together with those that no instance has taken yet.
func (k *keyedActors) retire(successor bool) map[object.ID]*handoverState {
	if !successor {
		for _, a := range k.live {
			a.stop(false)
		}
		return nil
	}
	before := k.before
	if before == nil && len(k.live) > 0 {
		before = make(map[object.ID]*handoverState, len(k.live))
	}
	for id, a := range k.live {
		before[id] = a.handOver()
	}
	return before
}
