package job

import (
	"errors"
	"slices"
	"sync"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/worker/bounded"
	"github.com/hearthhost/hearth/sandbox/worker/request"
	"github.com/hearthhost/hearth/sandbox/worker/services"
)

// Job is one request of the host with its arguments and its reply. It belongs to the goroutine that holds it, and ends
// with exactly one reply: that of Refuse or Finish. A job is its own [context.Context].
type Job struct {
	request.Request
	Call   object.Call // of a request for an item: the call that opened the stream
	Stream uint64      // stream of which the next item is requested; 0: the request is a call

	table *Table
	body  []byte // body of the request's frame, which Call.Payload aliases, unless it is large

	req        sandbox.Request
	format     format
	args       func(to object.Sink) error // req.Args; created once
	resetReply func()                     // req.ResetResult; created once
	stored     func(int) ([]byte, bool)   // req.Reply; created once
	handshake  func(to object.Sink) error // req.Handshake of a call with one; created once
	blobInfo   func(to object.Sink) error // the info of req.Blob; created once
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

var pool sync.Pool // of *Job

// makeJob returns a job that was not used before.
func makeJob() *Job {
	j := new(Job)
	j.Init(j.recycle)
	j.args = j.decodeArguments
	j.handshake = j.decodeHandshake
	j.blobInfo = j.decodeBlobInfo
	j.stored = j.storedReply
	j.resetReply = func() {
		j.encoder.Reset(j.frame.B[:j.head])
		j.bounded.Restart()
	}
	return j
}

// maxPooledBytes bounds the buffers that are kept for reuse.
const maxPooledBytes = 64 << 10

// Run runs the job in a state and writes the reply, of at most max bytes, to j.frame and j.rest. st is the stream of
// which the next item is requested, nil for a call. It returns the stream that the call opened, if any, and whether the
// state is broken.
func (j *Job) Run(s *sandbox.State, st *sandbox.Stream, max int) (opened *sandbox.Stream, broken bool) {
	f := lookupFormat(j.Call.Format)
	if f == nil {
		j.SetError(object.Errorf(object.CodeInternal, "call in the format %q, which this worker does not support",
			j.Call.Format))
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
		e := object.AsError(err)
		if cause := j.Cause(); cause != nil && e.Code == object.CodeCanceled {
			e = cause
		}
		if e.Code == object.CodeInternal {
			j.table.log.Failure(j.Call.ID, j.ID(), e.Error)
		}
		j.SetError(e)
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
			j.SetError(object.AsError(err))
			return nil, out.Broken
		}
		j.frame.B, j.rest = doc[0], [2][]byte(doc[1:])
	}
	if out.Raised != "" {
		j.table.log.Failure(j.Call.ID, j.ID(), func() string { return out.Raised })
	}
	// The head was written before the outcome was known.
	j.frame.B[j.head-3] = link.ReplyFlags(out.Exception, len(out.Annotations) > 0)
	j.frame.B[j.head-2] = flag(more)
	j.putAnnotations(out.Annotations)
	return nil, out.Broken
}

// putAnnotations appends the annotations of the reply behind its payload.
func (j *Job) putAnnotations(list []object.Annotation) {
	switch {
	case len(list) == 0:
	case len(j.rest[0])+len(j.rest[1]) == 0:
		j.frame.B = link.AppendReplyAnnotations(j.frame.B, list)
	default: // the last part is in the spare capacity of the first
		j.rest[1] = link.AppendReplyAnnotations(slices.Clone(j.rest[1]), list)
	}
}

// decodeArguments writes the arguments of the call.
func (j *Job) decodeArguments(to object.Sink) error {
	if j.Call.Blob == nil {
		return j.format.DecodeCall(j.Call.Kind, j.Call.Payload, codec.Limits{}, to)
	}
	f := pyro.Lookup(j.Call.Format)
	if f == nil {
		return object.Errorf(object.CodeInternal, "blob in the format %q", j.Call.Format)
	}
	return f.DecodeBlob(j.Call.Payload, codec.Limits{}, to)
}

// decodeHandshake writes the value that the client sent when it connected.
func (j *Job) decodeHandshake(to object.Sink) error {
	h := j.Call.Caller.Handshake
	f := pyro.Lookup(h.Format)
	if f == nil {
		return object.Errorf(object.CodeInternal, "handshake in the format %q", h.Format)
	}
	return f.Decode(h.Data, codec.Limits{}, to)
}

// decodeBlobInfo writes the info of a blob.
func (j *Job) decodeBlobInfo(to object.Sink) error {
	b, err := pyro.ScanBlob(j.Call.Blob, true)
	if err != nil {
		return err
	}
	return codec.Write(to, b.Info)
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
func (j *Job) beginReply(f format) {
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
func (j *Job) request(f format) {
	c, r := &j.Call, &j.req
	j.format = f
	r.Kind, r.Method, r.Batch = c.Kind, c.Method, c.Batch
	r.Caller, r.Corr, r.Traceback = c.Caller, c.Corr, c.Traceback
	r.Once, r.Retry, r.Reply = c.Once != nil, c.Once != nil && c.Once.Retry, j.stored
	r.Location, r.Annotations = c.Caller.Peer.Endpoint.Location(), c.Annotations
	r.Handshake, r.Blob = nil, nil
	if c.Caller.Handshake != nil {
		r.Handshake = j.handshake
	}
	if c.Blob != nil {
		r.Blob = &sandbox.Blob{Info: j.blobInfo, Format: codec.ByID(f.ID()).Name()}
	}
	r.Args, r.ResetResult = j.args, j.resetReply
	r.Result, r.Classes = j.encoder, f
	r.OwnedBuf = nil
	if len(c.Payload) > link.Large { // then it is ours
		r.OwnedBuf = c.Payload
	}
}

// storedReply returns the payload of the reply, at most max bytes. ok is false for a longer or an unfinished one.
func (j *Job) storedReply(max int) (doc []byte, ok bool) {
	pieces, err := j.encoder.Pieces()
	if err != nil || len(pieces[0])-j.head+len(pieces[1])+len(pieces[2]) > max {
		return nil, false
	}
	return slices.Concat(pieces[0][j.head:], pieces[1], pieces[2]), true
}

// SetError makes the reply an error.
func (j *Job) SetError(err *object.Error) {
	j.replyErr = err
	j.frame.Begin(link.Reply, j.ID())
	j.frame.PutReply(object.Reply{}, false, err)
}

// RemoveWithdrawn removes the withdrawn jobs from a queue and releases them.
func RemoveWithdrawn(queue []*Job) []*Job {
	return slices.DeleteFunc(queue, func(j *Job) bool {
		if !j.Withdrawn() {
			return false
		}
		j.Release()
		return true
	})
}

// SetStream makes the reply the number of a stream that the call has opened.
func (j *Job) SetStream(id uint64) {
	j.frame.Begin(link.Reply, j.ID())
	j.frame.PutReply(object.Reply{Stream: id}, true, nil)
}

// AddSteps counts VM instructions as the job's.
func (j *Job) AddSteps(n int64) { j.steps += n }

// Last reports whether the stream of the job has no more items.
func (j *Job) Last() bool { return j.last }

// Failed returns the reply if it is an error, otherwise nil.
func (j *Job) Failed() *object.Error { return j.replyErr }

// Bytes returns the size of arguments and reply.
func (j *Job) Bytes() int64 { return int64(len(j.Call.Payload) + len(j.frame.B) + len(j.rest[0])) }

// Refuse answers a job that did not run with an error, and releases it. It does not wait: the leader calls it.
func (j *Job) Refuse(err *object.Error) {
	if j.Begin() {
		j.SetError(err)
		j.frame.SetSteps(uint64(j.steps))
		j.table.Forget(j.ID())
		j.table.out.Post(j.frame.Frame())
	}
	j.Release()
}

// Finish sends the reply and releases the job. term is the leader's if it runs the job, otherwise 0. Only in another
// goroutine than the leader's it may wait until the host reads.
func (j *Job) Finish(term uint64) {
	j.frame.SetSteps(uint64(j.steps))
	err := j.table.out.Reply(Reply{
		Last:  j.table.Forget(j.ID()),
		Frame: j.frame.FramePrefix(len(j.rest[0]) + len(j.rest[1])),
		Rest:  &j.rest,
		Steps: j.steps,
		Term:  term,
	})
	if errors.Is(err, link.ErrBacklog) { // after any other error the host is gone
		j.SetError(object.Errorf(object.CodeExhausted,
			"limit exceeded: %d MiB of results that wait for the host, which does not keep up; "+
				"the call was executed", link.MaxBacklogBytes>>20))
		j.table.out.Post(j.frame.Frame())
	}
	j.Release()
}

// Value is part of context.Context. The goroutine that runs the job calls it.
func (j *Job) Value(key any) any {
	if key == (services.RequestKey{}) {
		return j.ID()
	}
	return nil
}

// Release ends a job that has been answered, or withdrawn.
func (j *Job) Release() {
	t := j.table
	j.Request.Release()
	t.open.Done()
}

// recycle makes a released job ready for the next request.
func (j *Job) recycle() {
	if cap(j.body) <= maxPooledBytes && cap(j.frame.B) <= maxPooledBytes {
		if j.encoder != nil {
			j.encoder.Reset(nil)
		}
		j.Call.Payload, j.req.OwnedBuf, j.table, j.rest = nil, nil, nil, [2][]byte{}
		j.Call.Blob, j.Call.Caller.Handshake, j.req.Annotations = nil, nil, nil
		clear(j.Call.Annotations[:cap(j.Call.Annotations)])
		pool.Put(j)
	}
}
