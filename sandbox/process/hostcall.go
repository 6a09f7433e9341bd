package process

import (
	"errors"
	"slices"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/hostcall"
	"github.com/hearthhost/hearth/sandbox/link"
)

var (
	errForeignObject  = errors.New("link: a host call for an object that the worker does not have")
	errForeignRequest = errors.New("link: a host call for the request of another object")
)

// errCallEnded is the answer to a host call whose own call the host has answered, for example at its deadline.
var errCallEnded = object.Errorf(object.CodeCanceled, "the call that requested this has ended; not executed")

// hostCall starts an op, or takes a log line. The reader calls it, so it does not wait. An error means that the worker
// broke the protocol.
func (p *Process) hostCall(id uint64, d *link.Decoder, body []byte) error {
	head := d.HostCallFields()
	switch {
	case d.Err != nil:
		return d.Err
	case !p.hasObject(head.Object):
		return errForeignObject
	case head.Service == link.Log:
		return p.logOp(head, d)
	}
	return p.hostCalls.Start(id, head, d.Raw(), len(body))
}

// logOp takes one op of the log service: an object's line, or a report of the worker about an object. The reader
// calls it, in the order of the frames.
func (p *Process) logOp(head link.HostCallHead, d *link.Decoder) error {
	if head.Op != link.LogFailure {
		return p.log.Op(head.Object, head.Op, d)
	}
	why := d.LogText()
	p.mu.Lock()
	w := p.pending[head.Request]
	var c object.Call // copy: the call belongs to the goroutine that waits for the reply
	if w != nil && w.call != nil {
		c = *w.call
		w.detail = p.owner.Redact(why)
	}
	p.mu.Unlock()
	if c.ID != "" {
		p.log.Failed(&c, why)
	}
	return d.Err
}

// hostCaller is a process as the [hostcall.Worker] of its host calls. Kill is that of the process.
type hostCaller struct{ *Process }

// Bind implements [hostcall.Worker].
func (p hostCaller) Bind(c *hostcall.Call) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.pending[c.Request]
	if c.Request != 0 {
		switch {
		case w == nil: // the host gave the call up, and the worker has not read that yet
			return errCallEnded
		case w.call == nil || w.call.ID != c.From.Object:
			return errForeignRequest
		}
	}
	if err := c.Enter(); err != nil {
		return err
	}
	if w == nil {
		c.From.Chain = slices.Repeat([]object.ID{c.From.Object}, p.depthLocked())
		return nil
	}
	w.hasHostCalls = true
	from, call := &c.From, w.call // call belongs to the goroutine that waits for the reply: no reference leaves mu
	from.Caller, from.Conn, from.Corr, from.Once = call.Caller, call.Conn, call.Corr, call.Once
	from.Chain = append(slices.Grow[[]object.ID](nil, len(call.Chain)+1), call.Chain...) // with room for Object
	return nil
}

// Post implements [hostcall.Worker].
func (p hostCaller) Post(frame []byte) { p.postFrame(frame) }

// Send implements [hostcall.Worker].
func (p hostCaller) Send(frame, payload []byte) error {
	_, err := p.out.WriteParts(frame, payload)
	return err
}

// depthLocked returns the length of the longest chain of an open call. An op without a request gets a chain of that
// length: any open call may be its cause, for example by the first call of an object, which runs init. A hijacked
// worker that hides the cause gains nothing.
func (p *Process) depthLocked() (depth int) {
	for _, w := range p.pending {
		if w.call != nil {
			depth = max(depth, len(w.call.Chain))
		}
	}
	return depth
}
