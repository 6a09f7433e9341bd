package worker

import (
	"context"
	"sync"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
	"github.com/hearthhost/hearth/sandbox/link"
)

// actor is one instance of an object with the goroutine that runs it. The goroutine
// alone touches the state.
type actor struct {
	o     *hosted
	state *sandbox.State
	open  map[uint64]*sandbox.Stream // the streams that live in this state
	// streams is set on an actor of mode "call" that opened one: it serves that and no
	// other call, and ends with it.
	streams bool

	mu    sync.Mutex // guards what follows
	queue []*job
	max   int
	ends  []uint64 // streams to close
	ended bool     // stop when the queue is empty
	wake  chan struct{}
}

// stream says in which actor a stream lives.
type stream struct{ actor *actor }

// newActor starts an actor whose queue holds max jobs. It ends by stop, by itself when
// its object wants no more of it, or with the process.
func newActor(o *hosted, max int) *actor {
	a := &actor{o: o, max: max, open: map[uint64]*sandbox.Stream{}, wake: make(chan struct{}, 1)}
	go a.loop()
	return a
}

// enqueue gives the actor a job, or answers it if the queue is full.
func (a *actor) enqueue(j *job) {
	a.mu.Lock()
	if len(a.queue) >= a.max || a.ended {
		ended := a.ended
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

// stop lets the actor finish its queue and end.
func (a *actor) stop() {
	a.mu.Lock()
	a.ended = true
	a.mu.Unlock()
	a.nudge()
}

// endStream closes one stream of the actor, soon.
func (a *actor) endStream(id uint64) {
	a.mu.Lock()
	a.ends = append(a.ends, id)
	a.mu.Unlock()
	a.nudge()
}

// loop runs jobs until the actor is told to stop.
func (a *actor) loop() {
	defer a.end()
	for {
		j, ends, ended := a.take()
		for _, id := range ends {
			if st := a.open[id]; st != nil {
				delete(a.open, id)
				st.Close()
			}
		}
		if a.streams && len(a.open) == 0 {
			return
		}
		if j != nil {
			if !a.serve(j) {
				return
			}
			continue
		}
		if ended {
			return
		}
		<-a.wake
	}
}

// end frees the state and answers whatever came too late.
func (a *actor) end() {
	a.discard()
	a.mu.Lock()
	a.ended = true
	late := a.queue
	a.queue = nil
	a.mu.Unlock()
	for _, j := range late {
		j.fail(object.Errorf(object.CodeUnavailable, "the instance has ended; not executed"))
	}
}

// take returns the next job, if any, the streams to close, and whether to stop when
// there is no job.
func (a *actor) take() (j *job, ends []uint64, ended bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) > 0 {
		j = a.queue[0]
		n := copy(a.queue, a.queue[1:])
		a.queue[n] = nil
		a.queue = a.queue[:n]
	}
	ends, a.ends = a.ends, nil
	return j, ends, a.ended
}

// serve runs one job to its reply. It reports whether the actor goes on.
func (a *actor) serve(j *job) bool {
	perCall := a.o.prog.Mode() == object.PerCall
	isNext := j.stream != 0
	if err := a.ready(perCall && !isNext); err != nil {
		j.failure(err)
		j.finish()
		return !perCall || isNext || a.o.done(a)
	}
	var st *sandbox.Stream
	streamID := j.stream
	if isNext {
		if st = a.open[streamID]; st == nil {
			j.fail(object.ErrStreamGone)
			return true
		}
	}
	opened, broken := j.run(a.state, st)
	if opened != nil {
		a.publish(j, opened)
		if perCall && !a.streams {
			a.streams = true
			a.o.leave()
		}
	}
	if isNext && j.last {
		a.drop(streamID)
	}
	if broken {
		a.discard()
	}
	j.finish()
	return !perCall || a.streams || a.o.done(a)
}

// ready sees to it that there is a state with an instance in it; fresh asks for a new
// instance.
func (a *actor) ready(fresh bool) *object.Error {
	if a.state == nil {
		s, err := a.o.prog.NewState(context.Background())
		if err != nil {
			return asError(err)
		}
		a.state = s
		fresh = true
	}
	if !fresh {
		return nil
	}
	if err := a.state.NewInstance(context.Background()); err != nil {
		a.discard()
		return asError(err)
	}
	return nil
}

// publish makes an opened stream known and turns the job's reply into its number.
func (a *actor) publish(j *job, st *sandbox.Stream) {
	w := a.o.w
	w.mu.Lock()
	w.lastStream++
	id := w.lastStream
	w.streams[id] = &stream{actor: a}
	w.mu.Unlock()
	a.open[id] = st
	j.frame.Begin(link.Reply, j.id)
	j.frame.PutReply(object.Reply{Stream: id}, true, nil)
}

// drop forgets a stream that ended.
func (a *actor) drop(id uint64) {
	w := a.o.w
	w.mu.Lock()
	delete(w.streams, id)
	w.mu.Unlock()
	if st := a.open[id]; st != nil {
		delete(a.open, id)
		st.Close()
	}
}

// discard frees the state and the streams in it. The next job gets a new state.
func (a *actor) discard() {
	for id := range a.open {
		a.drop(id)
	}
	if a.state != nil {
		a.state.Close(context.Background())
		a.state = nil
	}
}

// closeStream ends a stream early; one that has ended already is fine.
func (w *process) closeStream(id uint64) {
	w.mu.Lock()
	s := w.streams[id]
	delete(w.streams, id)
	w.mu.Unlock()
	if s != nil {
		s.actor.endStream(id)
	}
}

// leave takes an actor out of the count of those at work: it serves a stream now, and
// the next job that waits gets another.
func (o *hosted) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.working--
	if len(o.waiting) > 0 {
		j := o.waiting[0]
		o.waiting = o.waiting[1:]
		o.parallelLocked(j)
	}
}
