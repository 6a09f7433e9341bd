package process

import (
	"cmp"
	"context"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/script"
)

// Invoke runs a call of an object with a limit of its wall time. The error is [ErrEnded] if the process did not receive
// the call.
func (p *Process) Invoke(ctx context.Context, c *object.Call, wall time.Duration) (object.Reply, error) {
	r, _, err := p.request(ctx, link.Call, 0, c, wall)
	if r.Stream != 0 {
		r.Stream = p.streamID(r.Stream)
	}
	return r, err
}

// Next requests the next item of a stream that the process holds.
func (p *Process) Next(ctx context.Context, c *object.Call, stream uint64) (object.Reply, bool, error) {
	p.mu.Lock()
	wall := p.maxDurations[c.ID.Family()] // of all versions: the object may have another one now, or be removed
	p.mu.Unlock()
	return p.request(ctx, link.Next, stream&streamMask, c, cmp.Or(wall, object.Limits{}.WithDefaults().MaxDuration))
}

// Describe returns the description of a version in use.
func (p *Process) Describe(ctx context.Context, v *script.Version) (*object.Description, error) {
	var e link.Encoder
	r, err := p.query(ctx, v.ID, time.Now().Add(loadTimeout), func(n uint64) []byte {
		e.Begin(link.Describe, n)
		e.Text(string(v.ID))
		return e.Frame()
	})
	if err != nil {
		return nil, err
	}
	return v.Describe(r.Payload)
}

// CloseStream closes a stream that the process holds.
func (p *Process) CloseStream(stream uint64) { p.send(link.CloseStream, stream&streamMask) }

// EndConn ends the instances of a connection.
func (p *Process) EndConn(conn uint64) { p.send(link.EndConn, conn) }

// A stream id holds the serial number of its process (upper bits) and the stream's number there, so that a stream of an
// ended process cannot be confused with one of the next process.
const streamMask = 1<<40 - 1

func (p *Process) streamID(stream uint64) uint64 { return p.serial<<40 | stream&streamMask }

// Holds reports whether a stream is one of the process.
func (p *Process) Holds(stream uint64) bool { return p.serial == stream>>40 }

// Start begins a call of at most [link.Large] bytes of arguments without waiting, see [object.Starter]. wall is the
// limit of its wall time. A loop must read the process's link.
func (p *Process) Start(
	c *object.Call, wall time.Duration, later func(func()), done func(on any, r object.Reply, err error),
) bool {
	w := p.pendings.Get().(*pending)
	w.call, w.deadline, w.wall = c, c.Deadline, wall
	w.bytes, w.placed, w.done = len(c.Payload), c.Enqueued, done
	n, _, err := p.enter(w, c.ID)
	if err != nil {
		p.release(w)
		return false
	}
	e := encoders.Get().(*link.Encoder)
	e.Begin(link.Call, n)
	e.PutCallHead(c)
	e.Raw(c.Payload)
	end, err := p.out.AppendBounded(e.FramePrefix(0))
	encoders.Put(e)
	if err != nil {
		if p.forget(n) {
			p.release(w)
			return false
		}
		return true // another goroutine completes it
	}
	w.end.Store(end)
	if w.placed != nil {
		w.placed()
	}
	if !p.toFlush.Swap(true) {
		later(p.flush)
	}
	return true
}

// Cancel ends a call of Start whose caller waits no longer.
func (p *Process) Cancel(c *object.Call, cause error) {
	if w := p.cancelCall(c); w != nil {
		p.finish(w, cancelled(cause))
	}
}

// cancelCall removes a call from the table and cancels it in the worker. It returns nil if the call is not there.
func (p *Process) cancelCall(c *object.Call) *pending {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n, w := range p.pending {
		if w.call == c {
			p.post(link.Cancel, n)
			return p.dropLocked(n)
		}
	}
	return nil
}

// cancelled returns the error of a call whose caller waits no longer.
func cancelled(cause error) error {
	return object.Errorf(object.CodeOf(cause), "the call was cancelled; whether it was executed is unknown")
}

// flushStaged writes the frames of Start. It does not wait for a worker that does not read: all tenants share the loop.
func (p *Process) flushStaged() {
	p.toFlush.Store(false) // first: a frame that is staged meanwhile is flushed by its own loop
	p.out.TryFlush()
}
