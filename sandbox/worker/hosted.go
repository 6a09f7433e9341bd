package worker

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
	"github.com/hearthhost/hearth/sandbox/link"
)

// hosted is one loaded object and its instances.
type hosted struct {
	w  *process
	id object.ID

	limits object.Limits

	ready chan struct{} // closed when loading ended, well or not
	prog  *sandbox.Program
	err   *object.Error // why there is no prog

	mu       sync.Mutex // guards what follows
	closed   bool
	early    []*job // came before loading ended
	loaded   bool
	single   *actor
	sessions map[uint64]*actor // by connection
	idle     []*actor          // mode "call": waiting for work
	working  int               // mode "call": actors at work
	waiting  []*job            // mode "call": nobody is free
}

func newHosted(w *process, id object.ID, limits object.Limits) *hosted {
	return &hosted{w: w, id: id, limits: limits.OrDefaults(), ready: make(chan struct{}), sessions: map[uint64]*actor{}}
}

// load compiles the script and lets the jobs through that came meanwhile.
func (o *hosted) load(ctx context.Context, cfg sandbox.Config) {
	prog, err := sandbox.Load(ctx, cfg)
	o.prog = prog
	if err != nil {
		o.err = asError(err)
	}
	close(o.ready)
	for {
		o.mu.Lock()
		early := o.early
		o.early = nil
		if len(early) == 0 {
			o.loaded = true
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		for _, j := range early {
			o.route(j)
		}
	}
}

// describe answers a Describe frame once the object is loaded.
func (o *hosted) describe(id uint64) {
	<-o.ready
	var e link.Encoder
	e.Begin(link.Described, id)
	if o.err != nil {
		e.PutReply(object.Reply{}, false, o.err)
	} else {
		doc, err := json.Marshal(o.prog.Description())
		if err != nil {
			e.PutReply(object.Reply{}, false, asError(err))
		} else {
			e.PutReply(object.Reply{Payload: doc}, true, nil)
		}
	}
	o.w.send(&e)
}

// dispatch hands a job to an instance, now or when the object is loaded.
func (o *hosted) dispatch(j *job) {
	o.mu.Lock()
	if !o.loaded {
		o.early = append(o.early, j)
		o.mu.Unlock()
		return
	}
	o.mu.Unlock()
	o.route(j)
}

// route finds the instance that the object's mode wants for this job.
func (o *hosted) route(j *job) {
	if o.err != nil {
		j.fail(o.err)
		return
	}
	mode := o.prog.Mode()
	if mode != object.PerCall && slices.Contains(j.call.Chain, o.id) {
		// The instance that would have to answer waits for this very call.
		j.fail(object.Errorf(object.CodeInvalid, "call cycle: %s is already waiting for this call", o.id))
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		j.fail(object.Errorf(object.CodeUnavailable, "the object was replaced; not executed"))
		return
	}
	switch mode {
	case object.Single:
		if o.single == nil {
			o.single = newActor(o, o.limits.Queue)
		}
		o.single.enqueue(j)
	case object.Session:
		a := o.sessions[j.call.Conn]
		if a == nil {
			if len(o.sessions) >= o.limits.Sessions {
				j.fail(object.Errorf(object.CodeExhausted, "limit exceeded: %d sessions of %s; not executed", o.limits.Sessions, o.id))
				return
			}
			a = newActor(o, o.limits.Queue)
			o.sessions[j.call.Conn] = a
		}
		a.enqueue(j)
	default:
		o.parallelLocked(j)
	}
}

// parallelLocked gives a job of mode "call" an instance of its own.
func (o *hosted) parallelLocked(j *job) {
	switch {
	case len(o.idle) > 0:
		a := o.idle[len(o.idle)-1]
		o.idle = o.idle[:len(o.idle)-1]
		o.working++
		a.enqueue(j)
	case o.working < o.limits.Parallel:
		o.working++
		newActor(o, 1).enqueue(j)
	case len(o.waiting) < o.limits.Queue:
		o.waiting = append(o.waiting, j)
	default:
		j.fail(object.Errorf(object.CodeExhausted, "limit exceeded: %d calls of %s are waiting; not executed", o.limits.Queue, o.id))
	}
}

// remembers reports whether an instance, or a call that waits, would be missed.
func (o *hosted) remembers() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.single != nil || len(o.sessions)+len(o.waiting)+len(o.early)+o.working > 0
}

// done takes back an actor of mode "call": it goes on with the next job that waits, or
// idles. It reports whether the actor lives on.
func (o *hosted) done(a *actor) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	if len(o.waiting) > 0 {
		j := o.waiting[0]
		o.waiting = o.waiting[1:]
		a.enqueue(j)
		return true
	}
	o.working--
	o.idle = append(o.idle, a)
	return true
}

// endConn frees the session of a connection that closed.
func (o *hosted) endConn(conn uint64) {
	o.mu.Lock()
	a := o.sessions[conn]
	delete(o.sessions, conn)
	o.mu.Unlock()
	if a != nil {
		a.stop()
	}
}

// close ends every instance once its queue is empty. Jobs that come later are refused.
func (o *hosted) close() {
	o.mu.Lock()
	o.closed = true
	actors := o.idle
	if o.single != nil {
		actors = append(actors, o.single)
	}
	for _, a := range o.sessions {
		actors = append(actors, a)
	}
	o.idle, o.single = nil, nil
	clear(o.sessions)
	waiting := o.waiting
	o.waiting = nil
	o.mu.Unlock()
	for _, j := range waiting {
		j.fail(object.Errorf(object.CodeUnavailable, "the object was replaced; not executed"))
	}
	for _, a := range actors {
		a.stop()
	}
}
