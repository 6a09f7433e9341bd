package worker

import (
	"errors"
	"slices"
	"sync"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/worker/bounded"
	"github.com/hearthhost/hearth/sandbox/worker/request"
	"github.com/hearthhost/hearth/sandbox/worker/services"
)

// job is one request of the host with its arguments and its reply. It ends with exactly one reply. A job is its own
// [context.Context].
type job struct {
	request.Request
	w      *process
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
}

var jobs sync.Pool // of *job

// makeJob returns a job that was not used before.
func makeJob() *job {
	j := new(job)
	j.Init(j.recycle)
	j.args = func(to object.Sink) error { return j.format.DecodeCall(j.call.Payload, codec.Limits{}, to) }
	j.resetReply = func() {
		j.encoder.Reset(j.frame.B[:j.head])
		j.bounded.Restart()
	}
	return j
}

// maxPooledBytes bounds the buffers that are kept for reuse.
const maxPooledBytes = 64 << 10

func newJob(w *process, id uint64) *job {
	j, ok := jobs.Get().(*job)
	if !ok {
		j = makeJob()
	}
	j.Accept(id)
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
		if cause := j.Cause(); cause != nil && e.Code == object.CodeCanceled {
			e = cause
		}
		if e.Code == object.CodeInternal {
			j.w.services.Log.Failure(j.call.ID, j.ID(), e.Error)
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
		j.w.services.Log.Failure(j.call.ID, j.ID(), func() string { return out.Raised })
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
	j.frame.Begin(link.Reply, j.ID())
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
	j.frame.Begin(link.Reply, j.ID())
	j.frame.PutReply(object.Reply{}, false, err)
}

// removeWithdrawn removes the withdrawn jobs from a queue and releases them.
func removeWithdrawn(queue []*job) []*job {
	return slices.DeleteFunc(queue, func(j *job) bool {
		if !j.Withdrawn() {
			return false
		}
		j.release()
		return true
	})
}

// fail answers a job that did not run with an error, and releases it. It does not wait: the leader calls it.
func (j *job) fail(err *object.Error) {
	if j.Begin() {
		j.failure(err)
		j.frame.SetSteps(uint64(j.steps))
		j.w.forget(j.ID())
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

// Value is part of context.Context. The goroutine that runs the job calls it.
func (j *job) Value(key any) any {
	if key == (services.RequestKey{}) {
		return j.ID()
	}
	return nil
}

// release ends a job that has been answered, or withdrawn.
func (j *job) release() {
	w := j.w
	j.Release()
	w.jobs.Done()
}

// recycle makes a released job ready for the next request.
func (j *job) recycle() {
	if cap(j.body) <= maxPooledBytes && cap(j.frame.B) <= maxPooledBytes {
		if j.encoder != nil {
			j.encoder.Reset(nil)
		}
		j.call.Payload, j.req.OwnedBuf, j.w, j.rest = nil, nil, nil, [2][]byte{}
		jobs.Put(j)
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
