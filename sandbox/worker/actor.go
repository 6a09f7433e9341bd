package worker

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
	"github.com/hearthhost/hearth/sandbox/link"
)

// actor is one instance of an object with the goroutine that runs it. The goroutine holds own while it works: it, or
// another one that holds own, touches the state.
type actor struct {
	o           *objectVersion
	stateMu     sync.Mutex // guards what follows up to mu
	running     atomic.Pointer[job]
	usage       sandbox.Usage // of state, while a call runs
	evictErr    *object.Error // the answer to the next call: its instance was ended
	state       *sandbox.State
	openStreams map[uint64]*sandbox.Stream // the streams that live in this state
	// streamOnly is set on an actor of mode "call" that opened one: it serves that and no
	// other call, and ends with it.
	streamOnly bool
	// incoming is set on the actor of a replaced "single": it begins when that one has handed
	// over, and inherited is what it got, until an instance took it.
	incoming  *handoverState
	initState []byte

	mu            sync.Mutex // guards what follows
	queue         []*job
	max           int
	closeRequests []uint64       // streams to close
	stopping      bool           // stop when the queue is empty and no stream is open
	cutStreams    bool           // streams end with it
	outgoing      *handoverState // not nil: what to hand over, then
	wake          chan struct{}
}

// handoverState is the state of a "single" on its way from one version to the next.
type handoverState struct {
	ready chan struct{} // closed when state is set
	state []byte        // nil: the next instance starts afresh
}

// newActor starts an actor whose queue holds max jobs, and which waits for an estate if
// after is not nil. It ends by stop, by itself when its object wants no more of it, or with
// the process.
func newActor(o *objectVersion, max int, after *handoverState) *actor {
	a := &actor{o: o, max: max, incoming: after, openStreams: map[uint64]*sandbox.Stream{}, wake: make(chan struct{}, 1)}
	o.w.memory.add(a)
	if o.w.ended.Load() {
		a.stop(true)
	}
	go a.loop()
	return a
}

// enqueue gives the actor a job, or answers it if the queue is full.
func (a *actor) enqueue(j *job) {
	a.mu.Lock()
	if len(a.queue) >= a.max {
		a.queue = removeWithdrawn(a.queue)
	}
	ended := a.stopping && (j.stream == 0 || a.cutStreams)
	if len(a.queue) >= a.max || ended {
		a.mu.Unlock()
		if ended {
			j.fail(object.Errorf(object.CodeUnavailable, "the instance has ended; not executed"))
			return
		}
		j.fail(object.Errorf(object.CodeExhausted, "limit exceeded: %d calls are waiting for %s; not executed", a.max, a.o.id))
		return
	}
	a.queue = append(a.queue, j)
	a.mu.Unlock()
	a.nudge()
}

// nudge wakes the loop. One slot suffices: the loop looks at everything when it wakes.
func (a *actor) nudge() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// stop lets the actor finish its queue and its streams, and end; cut ends the streams too.
func (a *actor) stop(cut bool) {
	a.mu.Lock()
	a.stopping, a.cutStreams = true, a.cutStreams || cut
	a.mu.Unlock()
	a.nudge()
}

// handOver is stop for an actor whose instance hands its state over.
func (a *actor) handOver() *handoverState {
	e := &handoverState{ready: make(chan struct{})}
	a.mu.Lock()
	a.stopping, a.outgoing = true, e
	a.mu.Unlock()
	a.nudge()
	return e
}

// endStream closes one stream of the actor, soon.
func (a *actor) endStream(id uint64) {
	a.mu.Lock()
	a.closeRequests = append(a.closeRequests, id)
	a.mu.Unlock()
	a.nudge()
}

// loop runs jobs until the actor is told to stop.
func (a *actor) loop() {
	defer a.end()
	if a.incoming != nil {
		<-a.incoming.ready
		a.initState, a.incoming = a.incoming.state, nil
	}
	a.stateMu.Lock()
	defer a.stateMu.Unlock()
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
				j.fail(object.ErrStreamGone)
			}
			return
		}
		if j != nil {
			if !a.serve(j) {
				return
			}
			continue
		}
		if over != phaseRunning {
			a.finishHandover()
			if over == phaseEnded || len(a.openStreams) == 0 {
				return
			}
		}
		a.stateMu.Unlock()
		<-a.wake
		a.stateMu.Lock()
	}
}

// end frees the state and answers whatever came too late.
func (a *actor) end() {
	a.o.w.memory.remove(a)
	a.stateMu.Lock()
	defer a.stateMu.Unlock()
	a.finishHandover()
	a.discard()
	a.mu.Lock()
	a.stopping, a.cutStreams = true, true
	late := a.queue
	a.queue = nil
	a.mu.Unlock()
	for _, j := range late {
		j.fail(object.Errorf(object.CodeUnavailable, "the instance has ended; not executed"))
	}
}

// finishHandover hands the instance's state over, if somebody waits for it.
func (a *actor) finishHandover() {
	a.mu.Lock()
	e := a.outgoing
	a.outgoing = nil
	a.mu.Unlock()
	if e == nil {
		return
	}
	e.state = a.handover()
	close(e.ready)
}

// handover returns the state that the instance hands over, nil if it has none. One that
// was inherited and not taken yet goes on.
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
	if err == nil { // what cannot be read would be in the way of every instance to come
		err = a.state.Inheritable(func(to object.Sink) error { return decode(doc, to) })
	}
	if err != nil {
		a.o.w.log.Line(a.o.id, "error", "handover: "+asError(err).Msg+"; the next instance starts afresh")
		return nil
	}
	return doc
}

// phase says whether an actor goes on when it has no job.
type phase uint8

const (
	phaseRunning  phase = iota
	phaseDraining       // until its streams have ended
	phaseEnded
)

// take returns the next job, if any, the streams to close, and whether to go on when there
// is no job.
func (a *actor) take() (j *job, ends []uint64, o phase) {
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
	case a.stopping:
		o = phaseDraining
	}
	return j, ends, o
}

// serve runs one job to its reply. It reports whether the actor goes on.
func (a *actor) serve(j *job) bool {
	perCall := a.o.prog.Mode() == object.PerCall
	isNext := j.stream != 0
	if !j.begin() {
		j.release()
		return !perCall || isNext || a.o.recycle(a)
	}
	if j.Err() != nil { // what it would break is not its own
		j.failure(errCancelled)
		j.finish()
		return !perCall || isNext || a.o.recycle(a)
	}
	if why := a.evictErr; why != nil {
		a.evictErr = nil
		if isNext {
			a.drop(j.stream)
		}
		j.failure(why)
		j.finish()
		return true // mode "call" has a reason with streams alone
	}
	if err := a.ready(j, perCall && !isNext); err != nil {
		j.failure(err)
		j.finish()
		return !perCall || isNext || a.o.recycle(a)
	}
	var st *sandbox.Stream
	streamID := j.stream
	if isNext {
		if st = a.openStreams[streamID]; st == nil {
			j.failure(object.ErrStreamGone)
			j.finish()
			return true
		}
	}
	a.running.Store(j)
	opened, broken := j.run(a.state, st, link.FrameBytes(a.o.limits.ResultBytes))
	a.running.Store(nil)
	if opened != nil {
		a.publish(j, opened)
		if perCall && !a.streamOnly {
			a.streamOnly = true
			a.o.releaseSlot()
		}
	}
	if isNext && j.last {
		a.drop(streamID)
	}
	if broken && !perCall {
		a.o.w.log.lost(a.o.id, j.replyErr)
	}
	if !broken {
		a.o.w.memory.enforce(a)
	}
	j.finish() // its caller waits for neither handover nor close
	if a.state != nil {
		a.state.Sent()
	}
	if broken {
		if a.o.prog.Mode() == object.Single {
			a.initState = a.handover() // of the thrown away instance
		}
		a.discard()
	}
	return !perCall || a.streamOnly || a.o.recycle(a)
}

// errCancelled is the answer to a call that was cancelled before it began.
var errCancelled = object.Errorf(object.CodeCanceled, "the call was cancelled; not executed")

// ready sees to it that there is a state with an instance in it; fresh asks for a new
// instance. What that takes counts as the job's.
func (a *actor) ready(j *job, fresh bool) *object.Error {
	if a.state == nil {
		s, err := a.o.prog.NewState(context.Background())
		if err != nil {
			return asError(err)
		}
		s.Report(&a.usage)
		a.state = s
		fresh = true
	}
	if !fresh {
		return nil
	}
	err := a.state.NewInstance(context.Background(), a.initArgument())
	j.steps += a.state.Spent()
	if err != nil {
		a.discard() // and keep what was inherited: a better version may take it
		return asError(err)
	}
	a.initState = nil
	return nil
}

// initArgument writes what was inherited; it is nil if nothing was.
func (a *actor) initArgument() func(object.Sink) error {
	if a.initState == nil {
		return nil
	}
	return func(to object.Sink) error { return decode(a.initState, to) }
}

// decode reads a state that was handed over.
func decode(doc []byte, to object.Sink) error {
	return codec.ByID(codec.Serpent).Decode(doc, codec.Limits{}, to)
}

// publish makes an opened stream known and turns the job's reply into its number.
func (a *actor) publish(j *job, st *sandbox.Stream) {
	w := a.o.w
	w.mu.Lock()
	w.lastStream++
	id := w.lastStream
	w.streams[id] = a
	w.mu.Unlock()
	a.openStreams[id] = st
	j.frame.Begin(link.Reply, j.id)
	j.frame.PutReply(object.Reply{Stream: id}, true, nil)
}

// drop forgets a stream that ended.
func (a *actor) drop(id uint64) {
	w := a.o.w
	w.mu.Lock()
	delete(w.streams, id)
	w.mu.Unlock()
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

// closeStream ends a stream early; one that has ended already is fine.
func (w *process) closeStream(id uint64) {
	w.mu.Lock()
	a := w.streams[id]
	delete(w.streams, id)
	w.mu.Unlock()
	if a != nil {
		a.endStream(id)
	}
}

// releaseSlot takes an actor out of the count of those at work: it serves a stream now, and
// the next job that waits gets another.
func (o *objectVersion) releaseSlot() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.working--
	if len(o.waiting) > 0 {
		j := o.waiting[0]
		o.waiting = o.waiting[1:]
		o.parallelLocked(j)
	}
}
