// Package pool holds the objects of a worker with their instances, and gives each request to the instance that must run
// it.
//
// A [Pool] has a version of each object. A version gives a job to an actor, as the instance mode requires. An actor
// owns one Lua state and a queue of jobs; one goroutine at a time runs its jobs: the leader, see package leader, or
// another. A version that replaces another one takes over its waiting jobs, and the state of its instance.
//
// The package has no link: package job makes the replies.
package pool

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
	"github.com/hearthhost/hearth/sandbox/worker/job"
	"github.com/hearthhost/hearth/sandbox/worker/leader"
	"github.com/hearthhost/hearth/sandbox/worker/memory"
	"github.com/hearthhost/hearth/sandbox/worker/services"
)

// Pool holds the objects of a worker. Only the leader calls its methods, which do not wait.
type Pool struct {
	leader   *leader.Group
	memory   *memory.Limit
	services *services.Set

	// Owned by the leader.
	objects map[object.ID]*objectVersion // versions in use
	loaded  map[uint64]*objectVersion    // versions that are not in use yet, by number

	ended atomic.Bool // End was called

	mu         sync.Mutex        // guards the fields below
	streams    map[uint64]*actor // actors of the open streams, by stream
	lastStream uint64
}

// New returns a pool without objects. Group runs the actors, limit bounds the memory of all instances, and set receives
// the log of the objects.
func New(group *leader.Group, limit *memory.Limit, set *services.Set) *Pool {
	return &Pool{
		leader:   group,
		memory:   limit,
		services: set,
		objects:  map[object.ID]*objectVersion{},
		loaded:   map[uint64]*objectVersion{},
		streams:  map[uint64]*actor{},
	}
}

// Description waits until a version has loaded, and returns its description as JSON, of at most [MaxDescribedBytes], or
// the error of loading it.
type Description func() (doc []byte, err *object.Error)

// Load adds a version of an object, which is not in use yet. Another goroutine compiles the script.
func (p *Pool) Load(number uint64, cfg sandbox.Config) Description {
	o := newObjectVersion(p, cfg.ID, cfg.Limits)
	p.services.Allow(o.id, o.limits)
	p.loaded[number] = o
	go o.load(context.Background(), cfg)
	return o.description
}

// Use puts a loaded version into use: it answers calls from now on.
func (p *Pool) Use(number uint64) error {
	o := p.loaded[number]
	if o == nil {
		return fmt.Errorf("link: the host uses version %d, which it did not load", number)
	}
	delete(p.loaded, number)
	old := p.objects[o.id]
	p.objects[o.id] = o
	if old != nil {
		old.retire(o)
	}
	return nil
}

// Forget drops a version that is not in use.
func (p *Pool) Forget(number uint64) { delete(p.loaded, number) }

// Remove removes an object with its instances.
func (p *Pool) Remove(id object.ID) {
	if o := p.objects[id]; o != nil {
		delete(p.objects, o.id)
		o.retire(nil)
		o.endSessionsAndStreams()
	}
}

// Describe returns the description of the version in use.
func (p *Pool) Describe(id object.ID) Description {
	if o := p.objects[id]; o != nil {
		return o.description
	}
	return func() ([]byte, *object.Error) { return nil, errUnknown }
}

// Call gives a call to its object. It returns the work that the caller must do, if any.
func (p *Pool) Call(j *job.Job) leader.Runner {
	o := p.objects[j.Call.ID]
	if o == nil {
		o = p.objects[j.Call.ID.Family()]
	}
	if o == nil {
		j.Refuse(errUnknown)
		return nil
	}
	return runner(o.dispatch(j))
}

// Next gives a request for a stream's next item to the stream's actor. It returns the work that the caller must do, if
// any.
func (p *Pool) Next(j *job.Job) leader.Runner {
	p.mu.Lock()
	a := p.streams[j.Stream]
	p.mu.Unlock()
	if a == nil {
		j.Refuse(object.ErrStreamGone)
		return nil
	}
	return runner(a.enqueue(j))
}

// runner returns the interface of an actor, nil for nil.
func runner(a *actor) leader.Runner {
	if a == nil {
		return nil
	}
	return a
}

// CloseStream ends a stream early. It ignores a stream that has ended.
func (p *Pool) CloseStream(id uint64) {
	p.mu.Lock()
	a := p.streams[id]
	delete(p.streams, id)
	p.mu.Unlock()
	if a != nil {
		a.endStream(id)
	}
}

// EndConn ends the sessions of a connection that closed.
func (p *Pool) EndConn(conn uint64) {
	for _, o := range p.objects {
		o.endConn(conn)
	}
}

// HoldsStream reports whether a stream is open.
func (p *Pool) HoldsStream() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.streams) > 0
}

// HoldsState reports whether an object holds an instance with state, or a job.
func (p *Pool) HoldsState() bool {
	for _, o := range p.objects {
		if o.holdsState() {
			return true
		}
	}
	return false
}

// End refuses the calls that wait and ends all instances, without waiting for them. No goroutine may lead.
func (p *Pool) End() {
	p.ended.Store(true)
	for _, o := range p.objects {
		o.retire(nil)
	}
	for _, a := range p.memory.All() {
		a.(*actor).stop(true)
	}
}
