package pool

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/worker/job"
)

// actor is one instance of an object with its queue of jobs. While it has work, one goroutine is in Run and holds
// stateMu. Other goroutines, such as that of the memory limit, use the state when they hold it. An actor without work
// has no goroutine.
type actor struct {
	o           *objectVersion
	id          object.ID   // of the object, or of the instance of a keyed object
	keyed       *keyedActor // nil unless the object is keyed
	stateMu     sync.Mutex  // guards the fields up to mu
	term        uint64      // of the leader that is in Run; 0: another goroutine is
	running     atomic.Pointer[job.Job]
	usage       sandbox.Usage // memory of state, counted while a call runs
	allocated   int64         // by state until the end of the last call
	evictErr    *object.Error // answer to the next call, set when the instance was evicted
	state       *sandbox.State
	openStreams map[uint64]*sandbox.Stream // streams whose functions are in state; nil: ended with the state
	// streamOnly is set on an actor of mode "call" that has opened a stream. It serves only that stream and ends
	// with it.
	streamOnly bool
	incoming   *handoverState // state of the actor before, not ready yet; of modes "single" and "keyed"
	initState  []byte         // state that the next instance gets in init; nil: none

	mu            sync.Mutex // guards the fields below
	active        bool       // a goroutine is in Run or about to call it, or the actor has ended
	queue         []*job.Job
	max           int            // length of queue
	closeRequests []uint64       // streams to close
	stopping      bool           // the actor ends when the queue is empty and no stream is open
	cutStreams    bool           // the actor ends although streams are open
	outgoing      *handoverState // receives the instance's state before the actor ends; may be nil
}

// handoverState is the state that an actor of mode "single" or "keyed" hands over to the next one.
type handoverState struct {
	ready chan struct{} // closed when state is set
	state []byte        // nil: the next instance begins without a state
	since time.Time     // time at which state was set
}

// newActor returns an actor whose queue holds max jobs. It waits for incoming to be ready, if that is not nil. It ends
// after stop or handOver, or when its object does not recycle it.
func newActor(o *objectVersion, max int, incoming *handoverState) *actor {
	a := &actor{o: o, id: o.id, max: max, incoming: incoming}
	a.register()
	return a
}

// register makes an actor known to the limit of memory.
func (a *actor) register() {
	a.openStreams = map[uint64]*sandbox.Stream{}
	a.o.p.memory.Add(a)
	if a.o.p.ended.Load() {
		a.stop(true)
	}
}

// enqueue gives the actor a job, or rejects the job if the queue is full. It returns the actor if the caller must run
// it, otherwise nil. It does not wait.
func (a *actor) enqueue(j *job.Job) *actor {
	a.mu.Lock()
	if len(a.queue) >= a.max {
		a.queue = job.RemoveWithdrawn(a.queue)
	}
	ended := a.stopping && (j.Stream == 0 || a.cutStreams)
	if len(a.queue) >= a.max || ended {
		a.mu.Unlock()
		if ended {
			j.Refuse(object.Errorf(object.CodeUnavailable, "the instance has ended; not executed"))
			return nil
		}
		j.Refuse(object.Errorf(object.CodeExhausted,
			"limit exceeded: %d calls are waiting for %s; not executed", a.max, a.id))
		return nil
	}
	a.queue = append(a.queue, j)
	defer a.mu.Unlock()
	if a.active {
		return nil
	}
	a.active = true
	return a
}

// start runs an actor in another goroutine, unless a is nil.
func start(a *actor) {
	if a != nil {
		a.o.p.leader.Go(a)
	}
}

// startLocked runs the actor in another goroutine unless one runs it. The caller holds mu.
func (a *actor) startLocked() {
	if !a.active {
		a.active = true
		start(a)
	}
}

// stop ends the actor when its queue is empty and its streams have ended. With cut it does not wait for streams.
func (a *actor) stop(cut bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopping, a.cutStreams = true, a.cutStreams || cut
	a.startLocked()
}

// handOver is stop for an actor whose instance hands over its state.
func (a *actor) handOver() *handoverState {
	e := &handoverState{ready: make(chan struct{})}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopping, a.outgoing = true, e
	a.startLocked()
	return e
}

// endStream has the actor close one of its streams.
func (a *actor) endStream(id uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closeRequests = append(a.closeRequests, id)
	a.startLocked()
}

// Run runs the jobs of an active actor until it has no work or ends. term is that of the leader if the leader calls it,
// otherwise 0.
func (a *actor) Run(term uint64) {
	a.waitForRoom()
	a.receiveHandover()
	a.stateMu.Lock()
	a.term = term
	ended := a.work()
	a.stateMu.Unlock()
	if ended {
		a.end()
	}
}

// receiveHandover waits for the state that the actor receives, if any. Only the goroutine in Run reads incoming.
func (a *actor) receiveHandover() {
	if a.incoming == nil {
		return
	}
	a.wait(a.incoming)
	a.initState, a.incoming = a.incoming.state, nil
}

// wait returns when e is ready.
func (a *actor) wait(e *handoverState) {
	select {
	case <-e.ready:
	default:
		a.o.p.leader.TakeOver() // the predecessor may need the leader to finish its call
		<-e.ready
	}
}

// work does the actor's work. It reports whether the actor has ended; otherwise the actor is no longer active. The
// caller holds stateMu.
func (a *actor) work() (ended bool) {
	for {
		j, ends, over := a.take()
		for _, id := range ends {
			if st := a.openStreams[id]; st != nil {
				st.Close()
			}
			delete(a.openStreams, id)
		}
		if a.streamOnly && len(a.openStreams) == 0 {
			if j != nil {
				j.Refuse(object.ErrStreamGone)
			}
			return true
		}
		switch {
		case j != nil:
			if !a.serve(j) {
				return true
			}
		case over == phaseIdle:
			return false
		case over != phaseRunning:
			a.finishHandover()
			if over == phaseEnded || len(a.openStreams) == 0 {
				return true
			}
		}
	}
}

// end frees the state and rejects the jobs that came too late.
func (a *actor) end() {
	a.o.p.memory.Remove(a)
	a.stateMu.Lock()
	a.finishHandover()
	a.discard()
	a.mu.Lock()
	a.stopping, a.cutStreams = true, true
	late := a.queue
	a.queue = nil
	a.mu.Unlock()
	a.stateMu.Unlock()
	for _, j := range late {
		j.Refuse(object.Errorf(object.CodeUnavailable, "the instance has ended; not executed"))
	}
	a.unloaded()
}

// finishHandover hands over the instance's state, if a successor waits for it.
func (a *actor) finishHandover() {
	a.mu.Lock()
	e := a.outgoing
	a.outgoing = nil
	a.mu.Unlock()
	if e == nil {
		return
	}
	e.state, e.since = a.handover(), time.Now()
	close(e.ready)
}

// handover returns the state that the instance hands over, nil if it has no handover function. A state that no init
// has received yet is passed on.
func (a *actor) handover() []byte {
	if a.state == nil {
		return a.initState
	}
	enc := codec.ByID(codec.Serpent).NewEncoder(nil)
	ok, err := a.state.Handover(context.Background(), enc)
	if !ok && err == nil {
		return a.initState
	}
	var doc []byte
	if err == nil {
		doc, err = enc.Document()
	}
	if err == nil { // a state that cannot be read would keep every later instance from starting
		err = a.state.Inheritable(func(to object.Sink) error { return decode(doc, to) })
	}
	if err != nil {
		text := "handover: " + object.AsError(err).Msg + "; the next instance starts without a state"
		a.o.p.services.Log.Line(a.id, "error", text)
		return nil
	}
	return doc
}

// phase is the next step of an actor without a job.
type phase uint8

const (
	phaseRunning  phase = iota // has streams to close
	phaseIdle                  // has no work and is no longer active
	phaseDraining              // hands over its state, and ends when its streams have ended
	phaseEnded                 // ends
)

// take returns the next job, nil if the queue is empty, the streams to close, and the actor's phase. The caller holds
// stateMu.
func (a *actor) take() (j *job.Job, ends []uint64, o phase) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) > 0 {
		j = a.queue[0]
		n := copy(a.queue, a.queue[1:])
		a.queue[n] = nil
		a.queue = a.queue[:n]
	}
	ends, a.closeRequests = a.closeRequests, nil
	switch {
	case a.cutStreams:
		o = phaseEnded
	case a.stopping && (a.outgoing != nil || len(a.openStreams) == 0):
		o = phaseDraining
	case a.streamOnly && len(a.openStreams) == 0: // work ends the actor
	case j == nil && ends == nil:
		o = phaseIdle
		a.active = false
		a.keyed.rest(len(a.openStreams))
	}
	return j, ends, o
}

// serve runs one job and sends its reply. It reports whether the actor continues.
func (a *actor) serve(j *job.Job) bool {
	perCall := a.o.prog.Mode() == object.PerCall
	isNext := j.Stream != 0
	if !j.Begin() {
		j.Release()
		return !perCall || isNext || a.o.recycle(a)
	}
	if j.Err() != nil { // a cancelled call would break the state of a call that came before
		j.SetError(errCancelled)
		j.Finish(a.term)
		return !perCall || isNext || a.o.recycle(a)
	}
	if why := a.evictErr; why != nil {
		a.evictErr = nil
		if isNext {
			a.drop(j.Stream)
		}
		j.SetError(why)
		j.Finish(a.term)
		return true // in mode "call" only an actor with streams can be evicted
	}
	if err := a.ready(j, perCall && !isNext); err != nil {
		j.SetError(err)
		j.Finish(a.term)
		return !perCall || isNext || a.o.recycle(a)
	}
	var st *sandbox.Stream
	streamID := j.Stream
	if isNext {
		if st = a.openStreams[streamID]; st == nil {
			j.SetError(object.ErrStreamGone)
			j.Finish(a.term)
			return true
		}
	}
	a.running.Store(j)
	opened, broken := j.Run(a.state, st, link.FrameBytes(a.o.limits.ResultBytes))
	a.running.Store(nil)
	if opened != nil {
		a.publish(j, opened)
		if perCall && !a.streamOnly {
			a.streamOnly = true
			a.o.releaseSlot()
		}
	}
	if isNext && j.Last() {
		a.drop(streamID)
	}
	if broken && !perCall {
		a.o.p.services.Log.Lost(a.id, j.Failed())
	}
	if !broken {
		a.o.p.memory.EnforceAfter(a, a.allocatedBy(j))
	}
	j.Finish(a.term) // before handover and close: the caller does not wait for them
	if a.state != nil {
		a.state.Sent()
	}
	if broken {
		if mode := a.o.prog.Mode(); mode == object.Single || mode == object.Keyed {
			a.initState = a.handover() // of the instance that is discarded
		}
		a.discard()
	}
	return !perCall || a.streamOnly || a.o.recycle(a)
}

// allocatedBy returns the bytes that the state has allocated since the call before, with the arguments and the reply of
// the call that has ended.
func (a *actor) allocatedBy(j *job.Job) int64 {
	n := a.state.Allocated()
	allocated := n - a.allocated
	a.allocated = n
	return allocated + j.Bytes()
}

// errCancelled is the answer to a call that was cancelled before it began.
var errCancelled = object.Errorf(object.CodeCanceled, "the call was cancelled; not executed")

// ready creates the state and the instance if they do not exist. fresh requires a new instance. The steps of init count
// as the job's.
func (a *actor) ready(j *job.Job, fresh bool) *object.Error {
	if a.state == nil {
		s, err := a.o.prog.NewState(context.Background())
		if err != nil {
			return object.AsError(err)
		}
		s.Report(&a.usage)
		if a.keyed != nil {
			s.SetKey(a.id.Key())
		}
		a.state, a.allocated = s, 0
		fresh = true
	}
	if !fresh {
		return nil
	}
	err := a.state.NewInstance(context.Background(), a.initArgument())
	j.AddSteps(a.state.Spent())
	if err != nil {
		a.discard() // keep initState: a corrected version may accept it
		return object.AsError(err)
	}
	a.initState = nil
	return nil
}

// initArgument returns a function that writes initState, nil if there is no such state.
func (a *actor) initArgument() func(object.Sink) error {
	if a.initState == nil {
		return nil
	}
	return func(to object.Sink) error { return decode(a.initState, to) }
}

// decode reads a state that was handed over, in serpent.
func decode(doc []byte, to object.Sink) error {
	return codec.ByID(codec.Serpent).Decode(doc, codec.Limits{}, to)
}

// publish registers an opened stream and makes its number the job's reply.
func (a *actor) publish(j *job.Job, st *sandbox.Stream) {
	p := a.o.p
	p.mu.Lock()
	p.lastStream++
	id := p.lastStream
	p.streams[id] = a
	p.mu.Unlock()
	a.openStreams[id] = st
	j.SetStream(id)
}

// drop removes a stream that has ended.
func (a *actor) drop(id uint64) {
	p := a.o.p
	p.mu.Lock()
	delete(p.streams, id)
	p.mu.Unlock()
	if st := a.openStreams[id]; st != nil {
		st.Close()
	}
	delete(a.openStreams, id)
}

// discard frees the state and the streams in it. The next job gets a new state.
func (a *actor) discard() {
	for id := range a.openStreams {
		a.drop(id)
	}
	a.dropState()
}

// dropState frees the state.
func (a *actor) dropState() {
	if a.state != nil {
		a.state.Close(context.Background())
		a.state = nil
	}
}

// releaseSlot stops counting an actor as working: it serves a stream from now on. A waiting job gets another actor.
func (o *objectVersion) releaseSlot() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.working--
	if len(o.waiting) > 0 {
		j := o.waiting[0]
		o.waiting = o.waiting[1:]
		start(o.parallelLocked(j))
	}
}

// The following methods implement [memory.Instance]. The lock is stateMu.

// ID returns the actor's object.
func (a *actor) ID() object.ID { return a.id }

// TryLock locks stateMu unless it is locked.
func (a *actor) TryLock() bool { return a.stateMu.TryLock() }

// Unlock unlocks stateMu.
func (a *actor) Unlock() { a.stateMu.Unlock() }

// Usage counts the memory of the state while a call runs.
func (a *actor) Usage() *sandbox.Usage { return &a.usage }

// Held returns the approximate size of the actor's state. The caller holds stateMu.
func (a *actor) Held() int64 {
	if a.state == nil {
		return 0
	}
	return a.state.Held()
}

// Evict discards the actor's instance without running its script. The next call is answered by why, if the instance had
// state. The caller holds stateMu.
func (a *actor) Evict(why *object.Error) {
	if a.state == nil {
		return
	}
	remembers := a.HoldsState()
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
		a.o.p.services.Log.Lost(a.id, why)
	}
}

// CancelRunning cancels the running call with why as its reply. It returns a function that reports whether the call
// still runs, nil if no call runs.
func (a *actor) CancelRunning(why *object.Error) (runs func() bool) {
	j := a.running.Load()
	if j == nil {
		return nil
	}
	id := j.CancelWith(why)
	return func() bool { return a.running.Load() == j && j.Serves(id) }
}

// HoldsState reports whether the instance keeps state between calls, or a stream. The caller holds stateMu.
func (a *actor) HoldsState() bool { return a.o.prog.Mode() != object.PerCall || a.streamOnly }
