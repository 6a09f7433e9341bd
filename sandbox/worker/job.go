package worker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/worker/bounded"
	"github.com/hearthhost/hearth/sandbox/worker/services"
)

// job is one request of the host. It ends with exactly one reply. A job is its own [context.Context], so that running
// it allocates nothing.
type job struct {
	w      *process
	id     uint64
	stream uint64 // stream of which the next item is requested; 0: the request is a call
	call   object.Call
	body   []byte // body of the request's frame, which call.Payload aliases, unless it is large

	req        sandbox.Request
	format     format
	args       func(to object.Sink) error // req.Args; created once
	resetReply func()                     // req.ResetResult; created once
	encoder    codec.Encoder
	serializer codec.ID        // of encoder
	bounded    bounded.Encoder // wraps encoder if that escapes texts
	frame      link.Encoder
	head       int           // offset of the reply's payload in frame
	rest       [2][]byte     // parts of the payload behind frame
	last       bool          // the stream has no more items
	steps      int64         // VM instructions, those of init included
	replyErr   *object.Error // the reply if it is an error

	cancelled atomic.Bool

	mu        sync.Mutex    // guards the fields below, and id while the job is in use
	begun     time.Time     // zero: the job waits
	withdrawn bool          // the job has been answered and will not begin
	endErr    *object.Error // reply of a job that the worker ended
	done      chan struct{} // nil until Done is called
	onCancel  func()
	callbacks int  // functions of AfterFunc that run or are about to
	released  bool // the job is recycled after the last callback
}

var jobs = sync.Pool{New: func() any {
	j := new(job)
	j.args = func(to object.Sink) error { return j.format.DecodeCall(j.call.Payload, codec.Limits{}, to) }
	j.resetReply = func() {
		j.encoder.Reset(j.frame.B[:j.head])
		j.bounded.Restart()
	}
	return j
}}

// maxPooledBytes bounds the buffers that are kept for reuse.
const maxPooledBytes = 64 << 10

func newJob(w *process, id uint64) *job {
	j := jobs.Get().(*job)
	j.mu.Lock()
	j.id = id
	j.mu.Unlock()
	j.w, j.stream, j.steps, j.replyErr = w, 0, 0, nil
	return j
}

// run runs the job in a state and writes the reply, of at most max bytes, to j.frame and j.rest. st is the stream of
// which the next item is requested, nil for a call. It returns the stream that the call opened, if any, and whether the
// state is broken.
func (j *job) run(s *sandbox.State, st *sandbox.Stream, max int) (opened *sandbox.Stream, broken bool) {
	f := lookupFormat(j.call.Format)
	if f == nil {
		j.failure(object.Errorf(object.CodeInternal, "call in the format %q, which this worker does not support",
			j.call.Format))
		return nil, false
	}
	j.beginReply(f)
	j.request(f)
	if bounded.Escapes(j.serializer) {
		j.bounded = bounded.Encoder{Encoder: j.encoder, Max: max, TooLong: resultTooLong}
		j.req.Result = &j.bounded
	}
	var out sandbox.Outcome
	var err error
	more := true
	if st != nil {
		more, out, err = st.Next(j, &j.req)
	} else {
		out, err = s.Call(j, &j.req)
	}
	j.last = err != nil || !more || out.Exception
	j.steps += s.Spent()
	if err != nil {
		e := asError(err)
		if cause := j.endCause(); cause != nil && e.Code == object.CodeCanceled {
			e = cause
		}
		if e.Code == object.CodeInternal {
			j.w.services.Log.Failure(j.call.ID, j.id, e.Error)
		}
		j.failure(e)
		return nil, out.Broken
	}
	if out.Stream != nil {
		return out.Stream, out.Broken
	}
	if more {
		doc, err := j.encoder.Pieces()
		if err == nil && len(doc[0])+len(doc[1])+len(doc[2]) > max {
			err = resultTooLong(max)
		}
		if err != nil {
			j.failure(asError(err))
			return nil, out.Broken
		}
		j.frame.B, j.rest = doc[0], [2][]byte(doc[1:])
	}
	if out.Raised != "" {
		j.w.services.Log.Failure(j.call.ID, j.id, func() string { return out.Raised })
	}
	// The head was written before the outcome was known.
	j.frame.B[j.head-3], j.frame.B[j.head-2] = flag(out.Exception), flag(more)
	return nil, out.Broken
}

// resultTooLong is the error for a result of more than max bytes.
func resultTooLong(max int) *object.Error {
	return object.Errorf(object.CodeTooLarge,
		"limit exceeded: the result takes more than %d bytes once it is written; it was executed", max)
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// beginReply writes the reply's head. The encoder appends to it.
func (j *job) beginReply(f format) {
	j.frame.Begin(link.Reply, j.id)
	j.frame.PutReply(object.Reply{}, true, nil)
	j.head = len(j.frame.B)
	if j.encoder == nil || j.serializer != f.ID() {
		j.encoder, j.serializer = f.NewEncoder(j.frame.B), f.ID()
		j.encoder.Borrow(link.Large) // texts of Lua do not change
		return
	}
	j.encoder.Reset(j.frame.B)
}

// request fills in the engine's request. It does not allocate.
func (j *job) request(f format) {
	c, r := &j.call, &j.req
	j.format = f
	r.Kind, r.Method, r.Batch = c.Kind, c.Method, c.Batch
	r.Caller, r.Corr, r.Traceback = c.Caller, c.Corr, c.Traceback
	r.Args, r.ResetResult = j.args, j.resetReply
	r.Result, r.Classes = j.encoder, f
	r.OwnedBuf = nil
	if len(c.Payload) > link.Large { // then it is ours
		r.OwnedBuf = c.Payload
	}
}

// failure makes the reply an error.
func (j *job) failure(err *object.Error) {
	j.replyErr = err
	j.frame.Begin(link.Reply, j.id)
	j.frame.PutReply(object.Reply{}, false, err)
}

// begin marks the job as running. It returns false if the job was withdrawn: the caller then releases it.
func (j *job) begin() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.withdrawn {
		return false
	}
	j.begun = time.Now()
	return true
}

// beginTime returns the time at which the job of request id began, zero if it has not.
func (j *job) beginTime(id uint64) time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.id != id {
		return time.Time{}
	}
	return j.begun
}

// withdrawIf withdraws the job if it serves request id and has not begun. It reports whether it did.
func (j *job) withdrawIf(id uint64) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.id != id || j.withdrawn || !j.begun.IsZero() {
		return false
	}
	j.withdrawn = true
	return true
}

// isWithdrawn reports whether the job was withdrawn.
func (j *job) isWithdrawn() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.withdrawn
}

// removeWithdrawn removes the withdrawn jobs from a queue and releases them.
func removeWithdrawn(queue []*job) []*job {
	return slices.DeleteFunc(queue, func(j *job) bool {
		if !j.isWithdrawn() {
			return false
		}
		j.release()
		return true
	})
}

// fail answers a job that did not run with an error, and releases it. It does not wait: the leader calls it.
func (j *job) fail(err *object.Error) {
	if j.begin() {
		j.failure(err)
		j.frame.SetSteps(uint64(j.steps))
		j.w.forget(j.id)
		j.w.Post(j.frame.Frame())
	}
	j.release()
}

// finish sends the reply and releases the job. term is the leader's if it runs the job, otherwise 0. Only in another
// goroutine than the leader's it may wait until the host reads.
func (j *job) finish(term uint64) {
	j.frame.SetSteps(uint64(j.steps))
	j.w.reply(j, term)
	j.release()
}

// release returns a job that has been answered to the pool.
func (j *job) release() {
	w := j.w
	j.mu.Lock()
	j.id, j.released = 0, true
	idle := j.callbacks == 0
	j.mu.Unlock()
	if idle {
		j.recycle()
	}
	w.jobs.Done()
}

// callback calls a function of [job.AfterFunc], which was counted in callbacks. Until it returns the job keeps its
// state: the function reads Err.
func (j *job) callback(f func()) {
	f()
	j.mu.Lock()
	j.callbacks--
	last := j.released && j.callbacks == 0
	j.mu.Unlock()
	if last {
		j.recycle()
	}
}

// recycle makes a released job ready for the next request.
func (j *job) recycle() {
	j.mu.Lock()
	j.cancelled.Store(false)
	j.done, j.onCancel, j.released = nil, nil, false
	j.begun, j.withdrawn, j.endErr = time.Time{}, false, nil
	j.mu.Unlock()
	if cap(j.body) <= maxPooledBytes && cap(j.frame.B) <= maxPooledBytes {
		if j.encoder != nil {
			j.encoder.Reset(nil)
		}
		j.call.Payload, j.req.OwnedBuf, j.w, j.rest = nil, nil, nil, [2][]byte{}
		jobs.Put(j)
	}
}

// cancelIf cancels the job if it still serves request id. A pooled job may serve another request.
func (j *job) cancelIf(id uint64) { j.cancel(id, nil) }

// end cancels the running job; cause is its reply. It returns the job's request.
func (j *job) end(cause *object.Error) uint64 {
	j.mu.Lock()
	id := j.id
	j.mu.Unlock()
	j.cancel(id, cause)
	return id
}

// serves reports whether the job still serves a request.
func (j *job) serves(id uint64) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.id == id
}

// endCause returns the cause that end was given, nil if it was not called.
func (j *job) endCause() *object.Error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.endErr
}

func (j *job) cancel(id uint64, cause *object.Error) {
	j.mu.Lock()
	if j.id != id || j.cancelled.Load() {
		j.mu.Unlock()
		return
	}
	j.cancelled.Store(true)
	j.endErr = cause
	done, f := j.done, j.onCancel
	if f != nil {
		j.callbacks++
	}
	j.mu.Unlock()
	if done != nil {
		close(done)
	}
	if f != nil {
		j.callback(f)
	}
}

// Deadline is part of context.Context. A job has no deadline: the engine's limits end it.
func (j *job) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done is part of context.Context.
func (j *job) Done() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.done == nil {
		j.done = make(chan struct{})
		if j.cancelled.Load() {
			close(j.done)
		}
	}
	return j.done
}

// Err is part of context.Context.
func (j *job) Err() error {
	if j.cancelled.Load() {
		return context.Canceled
	}
	return nil
}

// Value is part of context.Context. The goroutine that runs the job calls it.
func (j *job) Value(key any) any {
	if key == (services.RequestKey{}) {
		return j.id
	}
	return nil
}

// AfterFunc lets the context package wait for a job without a goroutine. f runs when the job is cancelled.
func (j *job) AfterFunc(f func()) func() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.cancelled.Load() {
		j.callbacks++
		go j.callback(f)
		return func() bool { return false }
	}
	prev := j.onCancel
	j.onCancel = func() {
		if prev != nil {
			prev()
		}
		f()
	}
	id := j.id
	return func() bool {
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.id != id || j.cancelled.Load() {
			return false
		}
		j.onCancel = prev
		return true
	}
}

// asError returns err as an error that may cross the link.
func asError(err error) *object.Error {
	var e *object.Error
	if errors.As(err, &e) {
		return e
	}
	if code := object.CodeOf(err); code != object.CodeInternal {
		return object.Errorf(code, "%s", err)
	}
	return &object.Error{Code: object.CodeInternal, Err: err}
}
