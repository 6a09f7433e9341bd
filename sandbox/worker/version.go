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

// objectVersion is one loaded version of an object, and its instances. When another takes its
// place it is retired: it finishes what it has begun, keeps its sessions and streams until
// they end, but no longer than drainTimeout, and what waited for it goes to its heir.
type objectVersion struct {
	w  *process
	id object.ID

	limits object.Limits

	ready chan struct{} // closed when loading ended, well or not
	prog  *sandbox.Program
	doc   []byte        // what it exposes, as a Described frame has it
	err   *object.Error // why there is no prog

	mu       sync.Mutex // guards what follows
	retired  bool
	successor     *objectVersion // of a retired one; nil: the object is no more
	predecessor     *objectVersion // the version before, while it may have sessions
	predecessorState   *handoverState // what the "single" before hands over, until there is one here
	unrouted    []*job  // came before loading ended
	loaded   bool
	single   *actor
	sessions map[uint64]*actor // by connection
	idle     []*actor          // mode "call": waiting for work
	working  int               // mode "call": actors at work
	waiting  []*job            // mode "call": nobody is free
}

func newObjectVersion(w *process, id object.ID, limits object.Limits) *objectVersion {
	return &objectVersion{w: w, id: id, limits: limits.WithDefaults(), ready: make(chan struct{}), sessions: map[uint64]*actor{}}
}

// load compiles the script and lets the jobs through that came meanwhile.
func (o *objectVersion) load(ctx context.Context, cfg sandbox.Config) {
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
		early := o.unrouted
		o.unrouted = nil
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
func (o *objectVersion) describe(id uint64, tried bool) {
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
func (o *objectVersion) dispatch(j *job) {
	o.mu.Lock()
	if o.loaded {
		o.mu.Unlock()
		o.route(j)
		return
	}
	room := len(o.unrouted) < maxEarly
	if room {
		o.unrouted = append(o.unrouted, j)
	}
	o.mu.Unlock()
	if !room {
		j.fail(object.Errorf(object.CodeExhausted, "limit exceeded: %d calls are waiting for %s to load; not executed", maxEarly, o.id))
	}
}

// route finds the instance that the object's mode wants for this job.
func (o *objectVersion) route(j *job) {
	if j.isWithdrawn() { // it waited for the version, and needs no session
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
		heir := o.successor
		o.mu.Unlock()
		heir.adopt(j)
		return
	}
	defer o.mu.Unlock()
	if o.predecessor != nil && o.offerPredecessorLocked(j) {
		return
	}
	switch mode {
	case object.Single:
		if o.single == nil {
			o.single = newActor(o, o.limits.Queue, o.predecessorState)
			o.predecessorState = nil
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
func (o *objectVersion) parallelLocked(j *job) {
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
func (o *objectVersion) roomLocked() bool {
	if len(o.waiting) >= o.limits.Queue {
		o.waiting = removeWithdrawn(o.waiting)
	}
	return len(o.waiting) < o.limits.Queue
}

// holdsState reports whether an instance, or a call that waits, would be missed.
func (o *objectVersion) holdsState() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.single != nil || o.predecessorState != nil || len(o.sessions)+len(o.waiting)+len(o.unrouted)+o.working > 0 || o.predecessor != nil && o.predecessor.holdsState()
}

// recycle takes back an actor of mode "call": it goes on with the next job that waits, or
// idles. It reports whether the actor lives on.
func (o *objectVersion) recycle(a *actor) bool {
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
func (o *objectVersion) endConn(conn uint64) {
	o.mu.Lock()
	a, prev := o.sessions[conn], o.predecessor
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
func (o *objectVersion) retire(heir *objectVersion) {
	o.mu.Lock()
	o.retired, o.successor = true, heir
	idle, single, left, moved := o.idle, o.single, o.predecessorState, append(o.unrouted, o.waiting...)
	o.idle, o.single, o.predecessorState, o.unrouted, o.waiting = nil, nil, nil, nil, nil
	o.mu.Unlock()
	switch {
	case heir != nil && single != nil:
		left = single.handOver()
	case single != nil:
		single.stop(false)
	}
	if heir != nil {
		heir.follow(o, left)
	}
	for _, a := range idle {
		a.stop(false)
	}
	for _, j := range moved {
		heir.adopt(j)
	}
	alive := weak.Make(o) // an instance that lives holds it
	time.AfterFunc(drainTimeout, func() {
		if o := alive.Value(); o != nil {
			o.endSessionsAndStreams()
		}
	})
}

// follow makes o the next version of old; left is what that one's instance hands over, nil
// if there is none. No job has come yet.
func (o *objectVersion) follow(old *objectVersion, left *handoverState) {
	sessions := old.holdsSessions()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.predecessorState = left
	if sessions {
		o.predecessor = old
	}
}

// adopt takes a job that waited for an earlier version. o is nil if the object is no
// more.
func (o *objectVersion) adopt(j *job) {
	if o == nil {
		j.fail(errUnknown)
		return
	}
	o.dispatch(j)
}

// offer gives a job to the session that its connection has in this version, or in one
// before. It reports whether there was one.
func (o *objectVersion) offer(j *job) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if a := o.sessions[j.call.Conn]; a != nil {
		a.enqueue(j)
		return true
	}
	return o.predecessor != nil && o.offerPredecessorLocked(j)
}

// offerPredecessorLocked is offer for the versions before, which are forgotten when they have no
// sessions any more: a retired one gets none.
func (o *objectVersion) offerPredecessorLocked(j *job) bool {
	if o.predecessor.offer(j) {
		return true
	}
	if !o.predecessor.holdsSessions() {
		o.predecessor = nil
	}
	return false
}

// holdsSessions reports whether this version or one before has sessions.
func (o *objectVersion) holdsSessions() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.predecessor != nil && !o.predecessor.holdsSessions() {
		o.predecessor = nil
	}
	return len(o.sessions) > 0 || o.predecessor != nil
}

// endSessionsAndStreams ends what is left of a retired version.
func (o *objectVersion) endSessionsAndStreams() {
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
