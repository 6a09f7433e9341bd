package process

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/internal/loop"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// pending is a request that waits for its reply. Its call and its times are guarded by the process's mu while it is
// in the table. The goroutine that removes it from the table owns it and completes it: the reader, the goroutine that
// waits when it gives up, sweep, or the end of the process.
type pending struct {
	call     *object.Call  // nil: the request is not a call
	deadline time.Time     // latest beginning of a call, latest reply to another request; zero: no limit
	wall     time.Duration // limit of a call's time from its beginning
	bytes    int           // payload, counted in process.bytes

	sent        time.Time // time of sending, or of the worker's last report that the call had not begun
	begun       time.Time // zero: no report of the worker that it has begun
	withdrawn   time.Time // time at which the call was withdrawn; zero: it was not
	withdrawErr error     // answer if the worker has not begun the call

	hasHostCalls bool // the call has made host calls

	end atomic.Uint64 // position in the link's stream after its frame; 0: not known

	done func(on any, r object.Reply, err error) // receives the result of a call of Start; nil: a goroutine waits
	on   *loop.Loop                              // the loop in whose goroutine the request is completed; nil: none

	answer chan struct{} // holds one token when the fields below are set
	buf    []byte        // buffer for the reply's payload
	placed func()        // see [object.Call]
	reply  object.Reply
	more   bool
	detail string // why the call failed, as the worker reports it, without secrets; for the log
	err    error
}

func newPending() any { return &pending{answer: make(chan struct{}, 1)} }

// finish completes a request that was removed from the table.
func (p *Process) finish(w *pending, err error) {
	if done := w.done; done != nil {
		var on any
		if w.on != nil {
			on = w.on
		}
		r := w.reply
		p.release(w)
		if errors.Is(err, ErrEnded) {
			err = object.ErrRetired // it was not begun: another process can run it
		}
		done(on, r, err)
		return
	}
	w.err = err
	w.answer <- struct{}{}
}

// take returns the request's result and releases it.
func (p *Process) take(w *pending) (object.Reply, bool, error) {
	r, more, err := w.reply, w.more, w.err
	p.release(w)
	return r, more, err
}

func (p *Process) release(w *pending) {
	*w = pending{answer: w.answer}
	p.pendings.Put(w)
}

var encoders = sync.Pool{New: func() any { return new(link.Encoder) }}

// request sends a call, or a request for a stream's next item. wall is the limit of its time from its beginning.
func (p *Process) request(
	ctx context.Context, typ link.Type, stream uint64, c *object.Call, wall time.Duration,
) (object.Reply, bool, error) {
	e := encoders.Get().(*link.Encoder)
	var large []byte // the payload if it is larger than link.Large: it is not copied
	if len(c.Payload) > link.Large {
		large = c.Payload
	}
	w := p.pendings.Get().(*pending)
	w.call, w.deadline, w.wall = c, c.Deadline, wall
	w.buf, w.bytes, w.placed = c.Buffer, len(c.Payload), c.Enqueued
	r, more, err := p.exchange(ctx, w, c.ID, func(n uint64) []byte {
		e.Begin(typ, n)
		if typ == link.Next {
			e.Uint(stream)
		}
		e.PutCallHead(c)
		if large == nil {
			e.Raw(c.Payload)
		}
		return e.FramePrefix(len(large))
	}, large)
	if cap(e.B) <= 64<<10 {
		encoders.Put(e)
	}
	return r, more, err
}

// query sends a request that is not a call and waits for its reply, its deadline or ctx. The object's source is sent
// before its first request. frame returns the frame for the request's id.
func (p *Process) query(
	ctx context.Context, id object.ID, deadline time.Time, frame func(uint64) []byte,
) (object.Reply, error) {
	w := p.pendings.Get().(*pending)
	w.deadline = deadline
	r, _, err := p.exchange(ctx, w, id, frame, nil)
	return r, err
}

// ErrEnded is the answer to a request that the process did not receive. It was not executed, so another process can
// run it.
var ErrEnded = object.Errorf(object.CodeUnavailable, "the tenant's worker has ended; not executed")

// exchange sends a request, waits for its reply and releases w. If large is not nil, the frame ends before its last
// field, which is large.
func (p *Process) exchange(
	ctx context.Context, w *pending, id object.ID, frame func(uint64) []byte, large []byte,
) (object.Reply, bool, error) {
	n, alone, err := p.enter(w, id)
	if err != nil {
		p.release(w)
		return object.Reply{}, false, err
	}
	var end uint64
	if alone || large != nil {
		end, err = p.out.WriteParts(frame(n), large)
	} else {
		end, err = p.out.Queue(frame(n))
	}
	if err != nil {
		return p.unsent(n, w, err)
	}
	w.end.Store(end)
	if w.placed != nil {
		w.placed()
	}
	if alone && p.canSpin() && p.spinWait(w) {
		return p.take(w)
	}
	select {
	case <-w.answer:
	case <-ctx.Done():
		if p.forget(n) {
			p.post(link.Cancel, n)
			p.release(w)
			return object.Reply{}, false, object.Errorf(object.CodeOf(context.Cause(ctx)),
				"the call was cancelled; whether it was executed is unknown")
		}
		<-w.answer // another goroutine has removed it from the table and completes it
	}
	if alone && p.canSpin() && p.spinning.CompareAndSwap(false, true) {
		p.spin.Slept()
		p.spinning.Store(false)
	}
	return p.take(w)
}

// enter puts a request into the table and returns its id, and whether it is the only request. Before the first
// request of an object it sends the object's version.
func (p *Process) enter(w *pending, id object.ID) (n uint64, alone bool, err error) {
	w.sent = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending == nil || p.retired || p.cause != nil {
		return 0, false, ErrEnded
	}
	if p.unresponsive {
		return 0, false, object.Errorf(object.CodeUnavailable,
			"the tenant's worker does not answer the host; not executed, try again")
	}
	if room := p.payloadRoom(); w.bytes > 0 && p.bytes > 0 && p.bytes+w.bytes > room {
		return 0, false, object.Errorf(object.CodeExhausted,
			"limit exceeded: %d MiB of arguments in flight to the tenant's worker, "+
				"a quarter of its memory; not executed, try again", room>>20)
	}
	p.last++
	n = p.last
	p.pending[n] = w
	p.bytes += w.bytes
	p.sweepLocked()
	if id != "" && p.active[id] == nil {
		if family := id.Family(); p.active[family] == nil {
			p.load(family)
		}
	}
	return n, len(p.pending) == 1, nil
}

// payloadRoom bounds the bytes of the arguments of one worker's open calls. A single call may exceed it.
func (p *Process) payloadRoom() int {
	return int(min(object.MaxPendingArguments(p.cfg.Confine.Memory()), 1<<40))
}

// dropLocked removes a request from the table and cancels its host calls. It returns nil if it is not there.
func (p *Process) dropLocked(n uint64) *pending {
	w := p.pending[n]
	if w != nil {
		delete(p.pending, n)
		p.bytes -= w.bytes
		if w.hasHostCalls {
			p.hostCalls.CancelRequest(n)
		}
	}
	return w
}

// drop is dropLocked for callers that do not hold mu.
func (p *Process) drop(n uint64) *pending {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dropLocked(n)
}

// forget removes a request from the table. It reports whether it was still there.
func (p *Process) forget(n uint64) bool { return p.drop(n) != nil }

// canSpin reports whether the goroutine of a caller may read the link.
func (p *Process) canSpin() bool { return p.polls && p.stopWatch == nil }

// spinWait polls the link for the reply of the only open request, as long as [spin.Spin] expects that to be faster than
// sleeping. It reports whether the reply came.
func (p *Process) spinWait(w *pending) bool {
	if !p.spinning.CompareAndSwap(false, true) {
		return false
	}
	defer p.spinning.Store(false)
	for p.spin.Start(); p.spin.More(); {
		p.in.Poll()
		select {
		case <-w.answer:
			p.spin.Found()
			return true
		default:
			runtime.Gosched()
		}
	}
	return false
}

// unsent ends a request whose frame could not be written.
func (p *Process) unsent(n uint64, w *pending, err error) (object.Reply, bool, error) {
	if !p.forget(n) {
		<-w.answer // the process has ended, or a deadline has passed
	}
	p.release(w)
	if errors.Is(err, link.ErrBacklog) {
		return object.Reply{}, false, object.Errorf(object.CodeExhausted,
			"limit exceeded: %d MiB that wait for the tenant's worker, which does not keep up; "+
				"not executed, try again", link.MaxBacklogBytes>>20)
	}
	return object.Reply{}, false, ErrEnded
}

// answer completes a request. The reply to a request that the host gave up is dropped, and a stream that it opened is
// closed.
func (p *Process) answer(id uint64, d *link.Decoder) {
	p.mu.Lock()
	w := p.dropLocked(id)
	delete(p.overdue, id)
	p.mu.Unlock()
	reply, more, failed := d.ReplyFields()
	if w == nil {
		if reply.Stream != 0 {
			p.send(link.CloseStream, reply.Stream)
		}
		return
	}
	w.reply, w.more = reply, more
	if w.done != nil {
		w.on = p.cfg.Loop
		if reply.Stream != 0 {
			w.reply.Stream = p.streamID(reply.Stream)
		}
		w.reply.Owned = len(reply.Payload) > link.Large
	} else if len(reply.Payload) <= link.Large { // a larger one belongs to its handler
		w.reply.Payload = append(w.buf[:0], reply.Payload...)
	}
	switch {
	case d.Err != nil:
		p.finish(w, &object.Error{Code: object.CodeInternal, Err: d.Err})
	case failed != nil:
		if failed.Code == object.CodeRetired {
			failed.Code = object.CodeUnavailable // reserved for the host: it would run the call again
		}
		p.logLimit(w, failed)
		p.finish(w, failed)
	default:
		p.finish(w, nil)
	}
}

// logLimit logs a call that ended by a limit or an error of the worker.
func (p *Process) logLimit(w *pending, failed *object.Error) {
	if failed.Code == object.CodeInternal && w.detail != "" {
		failed.Err = errors.New(w.detail) // cause, for the host's log
	}
	switch failed.Code {
	case object.CodeExhausted, object.CodeDeadline, object.CodeTooLarge:
		if w.call != nil {
			p.log.Failed(w.call, failed.Msg)
		}
	default:
	}
}
