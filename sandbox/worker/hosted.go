package worker

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"
	"weak"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
	"github.com/hearthhost/hearth/sandbox/link"
)

// hosted is one loaded version of an object, and its instances. When another takes its
// place it is retired: it finishes what it has begun, keeps its sessions and streams until
// they end, but no longer than drainTimeout, and what waited for it goes to its heir.
type hosted struct {
	w  *process
	id object.ID

	limits object.Limits

	ready chan struct{} // closed when loading ended, well or not
	prog  *sandbox.Program
	doc   []byte        // what it exposes, as a Described frame has it
	err   *object.Error // why there is no prog

	mu       sync.Mutex // guards what follows
	retired  bool
	heir     *hosted // of a retired one; nil: the object is no more
	prev     *hosted // the version before, while it may have sessions
	estate   *estate // what the "single" before hands over, until there is one here
	early    []*job  // came before loading ended
	loaded   bool
	single   *actor
	sessions map[uint64]*actor // by connection
	idle     []*actor          // mode "call": waiting for work
	working  int               // mode "call": actors at work
	waiting  []*job            // mode "call": nobody is free
}

func newHosted(w *process, id object.ID, limits object.Limits) *hosted {
	return &hosted{w: w, id: id, limits: limits.WithDefaults(), ready: make(chan struct{}), sessions: map[uint64]*actor{}}
}

// load compiles the script and lets the jobs through that came meanwhile.
func (o *hosted) load(ctx context.Context, cfg sandbox.Config) {
	prog, err := sandbox.Load(ctx, cfg)
	o.prog = prog
	if err == nil {
		o.doc, err = describe(prog)
	}
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

// describe writes what a program exposes, which the host takes only up to its bounds.
func describe(prog *sandbox.Program) ([]byte, error) {
	d := prog.Description()
	doc, err := json.Marshal(d)
	if err == nil && len(doc) > maxDoc {
		err = object.Errorf(object.CodeUnavailable, "%s does not load: its description takes %d KiB, at most %d are allowed; shorten the comments of its members",
			d.ID, len(doc)>>10, maxDoc>>10)
	}
	return doc, err
}

const _ = uint(link.MaxMembers - sandbox.MaxMembers) // the host accepts what the engine does

// maxDoc leaves room for the head of a Described frame.
const maxDoc = link.MaxDescribedBytes - 1<<10

// describe answers a Describe frame, or a Load frame that asks how it went, once the object
// is loaded. That its script is wrong is what the latter asks for, and no error.
func (o *hosted) describe(id uint64, tried bool) {
	<-o.ready
	var e link.Encoder
	e.Begin(link.Described, id)
	switch {
	case o.err != nil && tried:
		e.PutReply(object.Reply{Exception: true, Payload: []byte(reason(o.err))}, true, nil)
	case o.err != nil:
		e.PutReply(object.Reply{}, false, o.err)
	default:
		e.PutReply(object.Reply{Payload: o.doc}, true, nil)
	}
	o.w.send(&e)
}

// reason is what an author reads of an error.
func reason(err *object.Error) string {
	if err.Msg == "" {
		return err.Error()
	}
	return err.Msg
}

// maxEarly bounds the jobs that wait for a version to load, of all its instances.
const maxEarly = 4096

// dispatch hands a job to an instance, now or when the object is loaded.
func (o *hosted) dispatch(j *job) {
	o.mu.Lock()
	if o.loaded {
		o.mu.Unlock()
		o.route(j)
		return
	}
	room := len(o.early) < maxEarly
	if room {
		o.early = append(o.early, j)
	}
	o.mu.Unlock()
	if !room {
		j.fail(object.Errorf(object.CodeExhausted, "limit exceeded: %d calls are waiting for %s to load; not executed", maxEarly, o.id))
	}
}

// route finds the instance that the object's mode wants for this job.
func (o *hosted) route(j *job) {
	if j.gone() { // it waited for the version, and needs no session
		j.release()
		return
	}
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
	if o.retired {
		heir := o.heir
		o.mu.Unlock()
		heir.succeed(j)
		return
	}
	defer o.mu.Unlock()
	if o.prev != nil && o.offerPrevLocked(j) {
		return
	}
	switch mode {
	case object.Single:
		if o.single == nil {
			o.single = newActor(o, o.limits.Queue, o.estate)
			o.estate = nil
		}
		o.single.enqueue(j)
	case object.Session:
		a := o.sessions[j.call.Conn]
		if a == nil {
			if len(o.sessions) >= o.limits.Sessions {
				j.fail(object.Errorf(object.CodeExhausted, "limit exceeded: %d sessions of %s; not executed", o.limits.Sessions, o.id))
				return
			}
			a = newActor(o, o.limits.Queue, nil)
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
		newActor(o, 1, nil).enqueue(j)
	case o.roomLocked():
		o.waiting = append(o.waiting, j)
	default:
		j.fail(object.Errorf(object.CodeExhausted, "limit exceeded: %d calls of %s are waiting; not executed", o.limits.Queue, o.id))
	}
}

// roomLocked reports whether one more job may wait.
func (o *hosted) roomLocked() bool {
	if len(o.waiting) >= o.limits.Queue {
		o.waiting = dropGone(o.waiting)
	}
	return len(o.waiting) < o.limits.Queue
}

// remembers reports whether an instance, or a call that waits, would be missed.
func (o *hosted) remembers() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.single != nil || o.estate != nil || len(o.sessions)+len(o.waiting)+len(o.early)+o.working > 0 || o.prev != nil && o.prev.remembers()
}

// done takes back an actor of mode "call": it goes on with the next job that waits, or
// idles. It reports whether the actor lives on.
func (o *hosted) done(a *actor) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.retired {
		o.working--
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

// endConn frees the session of a connection that closed, in every version.
func (o *hosted) endConn(conn uint64) {
	o.mu.Lock()
	a, prev := o.sessions[conn], o.prev
	delete(o.sessions, conn)
	o.mu.Unlock()
	if a != nil {
		a.stop(false)
	}
	if prev != nil {
		prev.endConn(conn)
	}
}

// drainTimeout is how long sessions and streams of a replaced version live on.
const drainTimeout = time.Minute

// errUnknown answers a call of an object that is not here, or no more.
var errUnknown = object.Errorf(object.CodeNotFound, "unknown object")

// retire puts heir in the place of o; nil if the object is no more.
func (o *hosted) retire(heir *hosted) {
	o.mu.Lock()
	o.retired, o.heir = true, heir
	idle, single, left, moved := o.idle, o.single, o.estate, append(o.early, o.waiting...)
	o.idle, o.single, o.estate, o.early, o.waiting = nil, nil, nil, nil, nil
	o.mu.Unlock()
	switch {
	case heir != nil && single != nil:
		left = single.bequeath()
	case single != nil:
		single.stop(false)
	}
	if heir != nil {
		heir.inherit(o, left)
	}
	for _, a := range idle {
		a.stop(false)
	}
	for _, j := range moved {
		heir.succeed(j)
	}
	alive := weak.Make(o) // an instance that lives holds it
	time.AfterFunc(drainTimeout, func() {
		if o := alive.Value(); o != nil {
			o.cut()
		}
	})
}

// inherit makes o the next version of old; left is what that one's instance hands over, nil
// if there is none. No job has come yet.
func (o *hosted) inherit(old *hosted, left *estate) {
	sessions := old.holdsSessions()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.estate = left
	if sessions {
		o.prev = old
	}
}

// succeed takes a job that waited for an earlier version. o is nil if the object is no
// more.
func (o *hosted) succeed(j *job) {
	if o == nil {
		j.fail(errUnknown)
		return
	}
	o.dispatch(j)
}

// offer gives a job to the session that its connection has in this version, or in one
// before. It reports whether there was one.
func (o *hosted) offer(j *job) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if a := o.sessions[j.call.Conn]; a != nil {
		a.enqueue(j)
		return true
	}
	return o.prev != nil && o.offerPrevLocked(j)
}

// offerPrevLocked is offer for the versions before, which are forgotten when they have no
// sessions any more: a retired one gets none.
func (o *hosted) offerPrevLocked(j *job) bool {
	if o.prev.offer(j) {
		return true
	}
	if !o.prev.holdsSessions() {
		o.prev = nil
	}
	return false
}

// holdsSessions reports whether this version or one before has sessions.
func (o *hosted) holdsSessions() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.prev != nil && !o.prev.holdsSessions() {
		o.prev = nil
	}
	return len(o.sessions) > 0 || o.prev != nil
}

// cut ends what is left of a retired version.
func (o *hosted) cut() {
	o.mu.Lock()
	var left []*actor
	for _, a := range o.sessions {
		left = append(left, a)
	}
	clear(o.sessions)
	o.mu.Unlock()
	o.w.mu.Lock()
	for _, a := range o.w.streams {
		if a.o == o {
			left = append(left, a)
		}
	}
	o.w.mu.Unlock()
	for _, a := range left {
		a.stop(true)
	}
}
