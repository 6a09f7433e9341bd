package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// Service does work in the host's process for the running objects of tenants, for example calls of other objects.
// Its methods may be called concurrently, for many tenants.
type Service interface {
	// ID returns the service's number on the link.
	ID() link.Service
	// Handle runs one op. It may keep the payload. ctx is done when the call from which the op comes ends, when the
	// worker gives the op up, and when the worker's process ends: Handle then returns soon. The worker receives an
	// [object.Error] without its cause, and of any other error only the code.
	Handle(ctx context.Context, from From, op link.Op, payload []byte) (link.ServiceReply, error)
}

// From is the running object for which a worker requests an op. Every field comes from the host's own tables: the
// worker can only choose among the objects that it runs and the calls that they have not answered.
type From struct {
	Tenant object.Tenant
	Object object.ID
	// The call that the object runs. The fields except Chain are zero while init, close or handover runs.
	Caller object.Caller
	Conn   uint64   // connection of the call; it names the instance of an object of mode "session"
	Corr   [16]byte // correlation id
	// Chain has the objects through which the call came, outermost first, without the last Object. It belongs to
	// Handle. In init, close and handover it has Object as often as the longest chain of the worker's calls is long.
	Chain []object.ID
}

// Budget is an account of bytes in flight, for example of a tenant. Acquire fails if n bytes exceed it. Release gives
// back acquired bytes. Both are safe for concurrent use and do not wait.
type Budget interface {
	Acquire(n int) error
	Release(n int)
}

// noBudget grants everything.
type noBudget struct{}

func (noBudget) Acquire(int) error { return nil }
func (noBudget) Release(int)       {}

// maxHostCalls bounds the host calls of one worker in flight.
const maxHostCalls = 256

// hostCall is an op of a service that runs for the worker's objects.
type hostCall struct {
	service Service
	id      uint64
	request uint64 // request of the calling call; 0: none
	from    From
	op      link.Op
	payload []byte
	bytes   int // taken from the budget
	ctx     context.Context
	cancel  context.CancelFunc
	next    *hostCall // next one of the same request; guarded by the process's mu
}

// ErrProtocol is the error of [Service.Handle] for an op or a payload that no worker sends.
var ErrProtocol = errors.New("link: the worker broke the protocol")

var (
	errForeignObject  = errors.New("link: a host call for an object that the worker does not have")
	errForeignRequest = errors.New("link: a host call for the request of another object")
	errUnknownService = errors.New("link: unknown service or op")
)

// errTooManyHostCalls is the answer to a host call beyond maxHostCalls.
var errTooManyHostCalls = object.Errorf(object.CodeExhausted,
	"limit exceeded: %d host calls in flight, calls of other objects included; not executed", maxHostCalls)

// errCallEnded is the answer to a host call whose own call the host has answered, for example at its deadline.
var errCallEnded = object.Errorf(object.CodeCanceled, "the call that requested this has ended; not executed")

// hostCall starts an op in its own goroutine, which ends with the op, or takes a log line. The reader calls it, so it
// does not wait. An error means that the worker broke the protocol.
func (p *process) hostCall(id uint64, d *link.Decoder, body []byte) error {
	head := d.HostCallFields()
	switch {
	case d.Err != nil:
		return d.Err
	case !p.hasObject(head.Object):
		return errForeignObject
	case head.Service == link.Log:
		return p.logOp(head, d)
	}
	service := p.t.service(head.Service)
	if service == nil || id == 0 {
		return errUnknownService
	}
	n := len(body)
	if full := p.t.cfg.Budget.Acquire(n); full != nil {
		p.postServiceError(id, object.Errorf(object.CodeExhausted, "limit exceeded: %v; not executed", full))
		return nil
	}
	h := &hostCall{
		service: service,
		id:      id,
		request: head.Request,
		from:    From{Tenant: p.t.cfg.Tenant, Object: head.Object},
		op:      head.Op,
		bytes:   n,
	}
	refused, err := p.register(h)
	if refused == nil && err == nil {
		h.payload = d.Raw()
		if n <= link.Large { // a larger body belongs to its handler
			h.payload = bytes.Clone(h.payload)
		}
		go p.runHostCall(h)
		return nil
	}
	p.t.cfg.Budget.Release(n)
	if refused != nil {
		p.postServiceError(id, refused)
	}
	return err
}

// runHostCall runs an op that was registered, and answers it.
func (p *process) runHostCall(h *hostCall) {
	r, err := h.service.Handle(h.ctx, h.from, h.op, h.payload)
	p.unregister(h)
	h.cancel()
	if errors.Is(err, ErrProtocol) {
		p.kill(err)
	}
	p.answerHostCall(h.id, r, err)
	p.t.cfg.Budget.Release(h.bytes)
	<-p.hostSlots
}

// register takes a slot for a host call, enters it into the process's table and into its request, and
// completes its From by the call of that request. It returns why the op is refused, or how the worker broke the
// protocol.
func (p *process) register(h *hostCall) (refused *object.Error, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.pending[h.request]
	if h.request != 0 {
		switch {
		case w == nil: // the host gave the call up, and the worker has not read that yet
			return errCallEnded, nil
		case w.call == nil || w.call.ID != h.from.Object:
			return nil, errForeignRequest
		}
	}
	select {
	case p.hostSlots <- struct{}{}:
	default:
		return errTooManyHostCalls, nil
	}
	h.ctx, h.cancel = context.WithCancel(p.ctx)
	p.hostCalls[h.id] = h
	if w == nil {
		h.from.Chain = slices.Repeat([]object.ID{h.from.Object}, p.depthLocked())
		return nil, nil
	}
	c := w.call // belongs to the goroutine that waits for the reply: no reference leaves mu
	h.from.Caller, h.from.Conn, h.from.Corr = c.Caller, c.Conn, c.Corr
	h.from.Chain = append(slices.Grow[[]object.ID](nil, len(c.Chain)+1), c.Chain...) // with room for Object
	h.next, w.hostCalls = w.hostCalls, h
	return nil, nil
}

// depthLocked returns the length of the longest chain of an open call. An op without a request gets a chain of that
// length: any open call may be its cause, for example by the first call of an object, which runs init. A hijacked
// worker that hides the cause gains nothing.
func (p *process) depthLocked() (depth int) {
	for _, w := range p.pending {
		if w.call != nil {
			depth = max(depth, len(w.call.Chain))
		}
	}
	return depth
}

// unregister takes a host call that has ended out of the tables.
func (p *process) unregister(h *hostCall) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hostCalls[h.id] == h { // a hostile worker may use an id twice
		delete(p.hostCalls, h.id)
	}
	w := p.pending[h.request]
	if w == nil {
		return
	}
	for at := &w.hostCalls; *at != nil; at = &(*at).next {
		if *at == h {
			*at = h.next
			return
		}
	}
}

// cancelHostCall cancels a host call that the worker has given up.
func (p *process) cancelHostCall(id uint64) {
	p.mu.Lock()
	h := p.hostCalls[id]
	p.mu.Unlock()
	if h != nil {
		h.cancel()
	}
}

// cancelHostCalls cancels the host calls of a request that has ended.
func (w *pending) cancelHostCalls() {
	for h := w.hostCalls; h != nil; h = h.next {
		h.cancel()
	}
	w.hostCalls = nil
}

// answerHostCall sends the result of an op. It may wait until the worker reads.
func (p *process) answerHostCall(id uint64, r link.ServiceReply, err error) {
	if err != nil {
		p.postServiceError(id, asError(err))
		return
	}
	size := len(r.Payload)
	full := p.t.cfg.Budget.Acquire(size)
	if full == nil {
		defer p.t.cfg.Budget.Release(size)
		var e link.Encoder
		e.Begin(link.HostReply, id)
		e.PutServiceReply(link.ServiceReply{Kind: r.Kind}, nil)
		if _, err := p.out.WriteParts(e.FramePrefix(size), r.Payload); !errors.Is(err, link.ErrBacklog) {
			return
		}
		full = fmt.Errorf("%d MiB that wait for the tenant's worker, which does not keep up", link.MaxBacklogBytes>>20)
	}
	p.postServiceError(id, object.Errorf(object.CodeExhausted,
		"limit exceeded: %v; the call was executed, its result is lost", full))
}

// postServiceError answers a host call with an error, without waiting.
func (p *process) postServiceError(id uint64, err *object.Error) {
	var e link.Encoder
	e.Begin(link.HostReply, id)
	e.PutServiceReply(link.ServiceReply{}, err)
	p.postFrame(e.Frame())
}

// asError returns err as an error that may cross the link.
func asError(err error) *object.Error {
	if failed, ok := errors.AsType[*object.Error](err); ok {
		return failed
	}
	return object.Errorf(object.CodeOf(err), "internal error")
}
