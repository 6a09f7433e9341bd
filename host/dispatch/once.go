package dispatch

import (
	"context"
	"sync"

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
	if found || err != nil {
		return reply, err
	}
	return invoke()
}
