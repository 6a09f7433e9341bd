package dispatch

import (
	"context"
	"crypto/sha256"
	"io"
	"sync"

	"github.com/hearthhost/hearth/host/route"
	"github.com/hearthhost/hearth/object"
)

// Answers has the stored replies of calls that are executed at most once.
type Answers interface {
	// Answer returns the reply that is stored for a call, found is false for a call that has not begun. An error is the
	// answer to the call: its key has been used with other arguments, or its outcome is unknown.
	Answer(ctx context.Context, c *object.Call) (r object.Reply, found bool, err error)
}

// onceCalls has the running calls that are executed at most once. A second call with the same key waits for the first.
// The zero value is ready. Safe for concurrent use.
type onceCalls struct {
	mu      sync.Mutex // guards running
	running map[onceKey]chan struct{}
}

type onceKey struct {
	object    object.ID
	principal object.Principal
	key       string
}

// begin waits until no call with this key runs. The caller calls end after its call.
func (o *onceCalls) begin(ctx context.Context, c *object.Call) (end func(), err error) {
	key := onceKey{c.ID, c.Caller.Principal, c.Once.Key}
	for {
		o.mu.Lock()
		other := o.running[key]
		if other == nil {
			done := make(chan struct{})
			if o.running == nil {
				o.running = map[onceKey]chan struct{}{}
			}
			o.running[key] = done
			o.mu.Unlock()
			return func() {
				o.mu.Lock()
				delete(o.running, key)
				o.mu.Unlock()
				close(done)
			}, nil
		}
		o.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// invokeOnce invokes a call that is executed at most once, or returns its stored reply.
func (d *Dispatcher) invokeOnce(ctx context.Context, call *object.Call, invoke func() (object.Reply, error)) (
	object.Reply, error) {
	if d.cfg.Answers == nil || call.Oneway {
		return object.Reply{}, object.Errorf(object.CodeInvalid,
			"a oneway call cannot have an idempotency key; not executed")
	}
	end, err := d.once.begin(ctx, call)
	if err != nil {
		return object.Reply{}, err
	}
	defer end()
	reply, found, err := d.cfg.Answers.Answer(ctx, call)
	switch {
	case err != nil:
		return object.Reply{}, err
	case found && call.Once.New:
		return object.Reply{}, object.Errorf(object.CodeInvalid, "the correlation id %s belongs to an earlier call; "+
			"make a new one for each call, and send a retry as the first call of a new connection; not executed",
			object.CorrelationText(call.Corr))
	case found:
		return reply, nil
	}
	return invoke()
}

// correlate makes the correlation id of a client the idempotency key of its call, if the object has the setting once.
//
// No field of a message distinguishes a retry from another call: clients use a correlation id for many calls, pass it
// on, and count their messages from 0 in each proxy. So a plain id is rejected. An id is accepted if it was made for a
// call of this member. It has a stored reply only on a new connection, since on an older one it cannot be a retry: a
// client closes its connection when a call fails there.
func (d *Dispatcher) correlate(ctx context.Context, r *Request, to route.Route) error {
	call := &r.Call
	later := r.Session.called.Swap(true)
	if !r.Correlated || call.Once != nil || !to.MayRunOnce() {
		return nil
	}
	about, err := d.load(ctx, call.ID, to)
	if err != nil {
		return hideUnknown(err)
	}
	if !about.Once {
		return nil
	}
	if !madeFor(call) {
		return object.Errorf(object.CodeInvalid, "%s executes a call with a correlation id at most once: the id %s "+
			"was not made for a call of this member; make it as doc/wire.md describes, or send none; not executed",
			call.ID, object.CorrelationText(call.Corr))
	}
	call.Once = object.NewOnce("corr:"+object.CorrelationText(call.Corr), call)
	call.Once.New = later
	return nil
}

// load returns the description of a script's object, whose script it loads if necessary.
func (d *Dispatcher) load(ctx context.Context, id object.ID, to route.Route) (*object.Description, error) {
	if about := to.Described(); about != nil {
		return about, nil
	}
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	about, err := to.Backend.Describe(ctx, id)
	if err == nil || !object.Retired(err) {
		return about, err
	}
	current, ok := d.cfg.Snapshot().Routes.Lookup(id)
	if !ok {
		return nil, ErrUnknown
	}
	if about, err = current.Backend.Describe(ctx, id); object.Retired(err) {
		err = object.ErrShutdown
	}
	return about, err
}

// madeFor reports whether a correlation id was made for one call of the called member: its second half is the beginning
// of SHA-256(first half, object, 0, member). A batch has the empty member. An id that was made for another purpose fits
// with a probability of 2^-64.
func madeFor(c *object.Call) bool {
	h := sha256.New()
	h.Write(c.Corr[:8])
	io.WriteString(h, string(c.ID)+"\x00"+string(c.Method)) //nolint:errcheck // a hash does not fail
	return [8]byte(h.Sum(nil)) == [8]byte(c.Corr[8:])
}
