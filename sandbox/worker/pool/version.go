package pool

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
	"github.com/hearthhost/hearth/sandbox/worker/job"
)

// objectVersion is one loaded version of an object, with its instances. When another version replaces it, it is
// retired: it finishes running jobs, keeps its sessions and streams until they end or DrainTimeout passes, and gives
// its waiting jobs to its successor.
type objectVersion struct {
	p  *Pool
	id object.ID

	limits object.Limits

	ready chan struct{} // closed when loading has succeeded or failed; the next three fields do not change then
	prog  *sandbox.Program
	doc   []byte        // description, as in a Described frame
	err   *object.Error // load error; prog is nil then

	mu               sync.Mutex // guards the fields below
	retired          bool
	successor        *objectVersion // of a retired version; nil: the object was removed
	predecessor      *objectVersion // previous version, while it may have sessions
	predecessorState *handoverState // handed over by the previous "single", until this version has one
	unrouted         []*job.Job     // jobs that came before loading ended
	loaded           bool
	single           *actor
	sessions         map[uint64]*actor // by connection
	keyed            keyedActors       // mode "keyed"
	idle             []*actor          // mode "call": instances without a job
	working          int               // mode "call": number of instances with a job
	waiting          []*job.Job        // mode "call": jobs without an instance
}

func newObjectVersion(p *Pool, id object.ID, limits object.Limits) *objectVersion {
	return &objectVersion{
		p:        p,
		id:       id,
		limits:   limits.WithDefaults(),
		ready:    make(chan struct{}),
		sessions: map[uint64]*actor{},
	}
}

// load compiles the script, then routes the jobs that came meanwhile. It runs in its own goroutine.
func (o *objectVersion) load(ctx context.Context, cfg sandbox.Config) {
	prog, err := sandbox.Load(ctx, cfg)
	o.prog = prog
	if err == nil {
		o.doc, err = describe(prog)
	}
	if err != nil {
		o.err = object.AsError(err)
	}
	close(o.ready)
	for {
		o.mu.Lock()
		jobs := o.unrouted
		o.unrouted = nil
		if len(jobs) == 0 { // only now may dispatch route jobs itself: they keep their order
			o.loaded = true
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		for _, j := range jobs {
			start(o.route(j))
		}
	}
}

// describe encodes the description of a program. The host rejects a description of more than MaxDescribedBytes bytes.
func describe(prog *sandbox.Program) ([]byte, error) {
	d := prog.Description()
	doc, err := json.Marshal(d)
	if err == nil && (len(doc) > MaxDescribedBytes || d.SignatureSize() > link.MaxTypes) {
		short := d.WithoutSignatures()
		short.Warnings = []string{"the signatures are too large to be described; calls are checked by them"}
		doc, err = json.Marshal(short)
	}
	if err == nil && len(doc) > MaxDescribedBytes {
		err = object.Errorf(object.CodeUnavailable,
			"%s does not load: its description takes %d KiB, at most %d are allowed; "+
				"shorten the comments of its members",
			d.ID, len(doc)>>10, MaxDescribedBytes>>10)
	}
	return doc, err
}

const _ = uint(link.MaxMembers - sandbox.MaxMembers) // the host accepts as many members as the engine

// MaxDescribedBytes bounds a description in bytes. It leaves room for the head of a Described frame.
const MaxDescribedBytes = link.MaxDescribedBytes - 1<<10

// description is a [Description].
func (o *objectVersion) description() ([]byte, *object.Error) {
	<-o.ready
	return o.doc, o.err
}

// maxUnrouted bounds the jobs that wait for one version to load.
const maxUnrouted = 4096

// dispatch gives a job to an instance, now or when the version has loaded. It returns the actor that the caller must
// run, if any. It does not wait.
func (o *objectVersion) dispatch(j *job.Job) *actor {
	o.mu.Lock()
	if o.loaded {
		o.mu.Unlock()
		return o.route(j)
	}
	room := len(o.unrouted) < maxUnrouted
	if room {
		o.unrouted = append(o.unrouted, j)
	}
	o.mu.Unlock()
	if !room {
		j.Refuse(object.Errorf(object.CodeExhausted,
			"limit exceeded: %d calls are waiting for %s to load; not executed", maxUnrouted, o.id))
	}
	return nil
}

// route gives a job to an instance, as the object's mode requires. It returns the actor that the caller must run, if
// any. It does not wait.
func (o *objectVersion) route(j *job.Job) *actor {
	if j.Withdrawn() { // while it waited for the version: open no session for it
		j.Release()
		return nil
	}
	if o.err != nil {
		j.Refuse(o.err)
		return nil
	}
	mode := o.prog.Mode()
	if (mode == object.Keyed) == (j.Call.ID == o.id) { // a key too many, or no key
		j.Refuse(errUnknown)
		return nil
	}
	if mode != object.PerCall && slices.Contains(j.Call.Chain, j.Call.ID) {
		// The only instance that could answer waits for this call.
		j.Refuse(object.Errorf(object.CodeInvalid, "call cycle: %s is already waiting for this call", j.Call.ID))
		return nil
	}
	o.mu.Lock()
	if o.retired {
		successor := o.successor
		o.mu.Unlock()
		return successor.adopt(j)
	}
	defer o.mu.Unlock()
	if o.predecessor != nil && mode != object.Keyed {
		if a, found := o.offerPredecessorLocked(j); found {
			return a
		}
	}
	switch mode {
	case object.Single:
		if o.single == nil {
			o.single = newActor(o, o.limits.Queue, o.predecessorState)
			o.predecessorState = nil
		}
		return o.single.enqueue(j)
	case object.Session:
		a := o.sessions[j.Call.Conn]
		if a == nil {
			if len(o.sessions) >= o.limits.Sessions {
				j.Refuse(object.Errorf(object.CodeExhausted,
					"limit exceeded: %d sessions of %s; not executed", o.limits.Sessions, o.id))
				return nil
			}
			a = newActor(o, o.limits.Queue, nil)
			o.sessions[j.Call.Conn] = a
		}
		return a.enqueue(j)
	case object.Keyed:
		return o.keyedLocked(j)
	default:
		return o.parallelLocked(j)
	}
}

// parallelLocked gives a job of mode "call" an idle instance, or a new one, or queues it. It returns the actor that the
// caller must run, if any.
func (o *objectVersion) parallelLocked(j *job.Job) *actor {
	switch {
	case len(o.idle) > 0:
		a := o.idle[len(o.idle)-1]
		o.idle = o.idle[:len(o.idle)-1]
		o.working++
		return a.enqueue(j)
	case o.working < o.limits.Parallel:
		o.working++
		return newActor(o, 1, nil).enqueue(j)
	case o.roomLocked():
		o.waiting = append(o.waiting, j)
	default:
		j.Refuse(object.Errorf(object.CodeExhausted,
			"limit exceeded: %d calls of %s are waiting; not executed", o.limits.Queue, o.id))
	}
	return nil
}

// roomLocked reports whether one more job of mode "call" may wait.
func (o *objectVersion) roomLocked() bool {
	if len(o.waiting) >= o.limits.Queue {
		o.waiting = job.RemoveWithdrawn(o.waiting)
	}
	return len(o.waiting) < o.limits.Queue
}

// holdsState reports whether the version holds an instance with state, or a job.
func (o *objectVersion) holdsState() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	jobs := len(o.waiting) + len(o.unrouted) + o.working
	return o.single != nil || o.predecessorState != nil || len(o.sessions)+o.keyed.len()+jobs > 0 ||
		o.predecessor != nil && o.predecessor.holdsState()
}

// recycle gives an active actor of mode "call" the next waiting job, or makes it idle. It reports whether the actor
// continues.
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

// endConn ends the session of a connection that closed, in this version and its predecessors.
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

// DrainTimeout bounds how long sessions and streams of a replaced version continue.
const DrainTimeout = time.Minute

// errUnknown is the answer to a call of an object that the worker does not have.
var errUnknown = &object.Error{Code: object.CodeNotFound, Reason: object.ReasonObject, Msg: "unknown object"}

// retire replaces o by successor, or removes the object if successor is nil.
func (o *objectVersion) retire(successor *objectVersion) {
	o.mu.Lock()
	o.retired, o.successor = true, successor
	idle, single := o.idle, o.single
	o.idle, o.single = nil, nil
	state := o.predecessorState // not taken by an instance yet
	o.predecessorState = nil
	keyed := o.keyed
	o.keyed = keyedActors{}
	moved := append(o.unrouted, o.waiting...)
	o.unrouted, o.waiting = nil, nil
	o.mu.Unlock()
	switch {
	case successor != nil && single != nil:
		state = single.handOver()
	case single != nil:
		single.stop(false)
	}
	before := keyed.retire(successor != nil)
	if successor != nil {
		successor.follow(o, state, before)
	}
	for _, a := range idle {
		a.stop(false)
	}
	for _, j := range moved {
		start(successor.adopt(j))
	}
	alive := weak.Make(o) // its actors hold it as long as they run
	time.AfterFunc(DrainTimeout, func() {
		if o := alive.Value(); o != nil {
			o.endSessionsAndStreams()
		}
	})
}

// follow makes o the successor of old, whose instance hands over state; nil if it has no instance. before has the
// states of a keyed object's instances. o has no job yet.
func (o *objectVersion) follow(old *objectVersion, state *handoverState, before map[object.ID]*handoverState) {
	sessions := old.holdsSessions()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.predecessorState, o.keyed.before = state, before
	o.sweepLaterLocked()
	if sessions {
		o.predecessor = old
	}
}

// adopt takes a job that waited for an earlier version. o is nil if the object was removed. It returns the actor that
// the caller must run, if any.
func (o *objectVersion) adopt(j *job.Job) *actor {
	if o == nil {
		j.Refuse(errUnknown)
		return nil
	}
	return o.dispatch(j)
}

// offer gives a job to the session that its connection has in this version or a predecessor. It reports whether it
// found one, and returns the actor that the caller must run, if any.
func (o *objectVersion) offer(j *job.Job) (run *actor, found bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if a := o.sessions[j.Call.Conn]; a != nil {
		return a.enqueue(j), true
	}
	if o.predecessor == nil {
		return nil, false
	}
	return o.offerPredecessorLocked(j)
}

// offerPredecessorLocked is offer for the predecessors. It drops them when they have no sessions: a retired version
// gets no new ones.
func (o *objectVersion) offerPredecessorLocked(j *job.Job) (run *actor, found bool) {
	if run, found = o.predecessor.offer(j); found {
		return run, true
	}
	if !o.predecessor.holdsSessions() {
		o.predecessor = nil
	}
	return nil, false
}

// holdsSessions reports whether this version or a predecessor has sessions.
func (o *objectVersion) holdsSessions() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.predecessor != nil && !o.predecessor.holdsSessions() {
		o.predecessor = nil
	}
	return len(o.sessions) > 0 || o.predecessor != nil
}

// endSessionsAndStreams ends the remaining sessions and streams of a retired version.
func (o *objectVersion) endSessionsAndStreams() {
	o.mu.Lock()
	var actors []*actor
	for _, a := range o.sessions {
		actors = append(actors, a)
	}
	clear(o.sessions)
	o.mu.Unlock()
	o.p.mu.Lock()
	for _, a := range o.p.streams {
		if a.o == o {
			actors = append(actors, a)
		}
	}
	o.p.mu.Unlock()
	for _, a := range actors {
		a.stop(true)
	}
}
