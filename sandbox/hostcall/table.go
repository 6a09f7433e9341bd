package hostcall

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// MaxInFlight bounds the host calls of one worker in flight.
const MaxInFlight = 256

// Config is the configuration of a [Table].
type Config struct {
	Tenant   object.Tenant
	Services []Service // services of the tenant, at most one of each number
	Budget   Budget    // bytes of the host calls in flight; nil: no limit
}

// Table has the host calls of one worker process in flight. Safe for concurrent use.
type Table struct {
	worker   Worker
	tenant   object.Tenant
	budget   Budget
	services [link.MaxService + 1]Service // by number; not modified
	ctx      context.Context              // ends with the process
	slots    chan struct{}                // a token for each call in flight

	mu        sync.Mutex       // guards the fields below, and next of each call; the worker's locks come before it
	byID      map[uint64]*Call // by the worker's id
	byRequest map[uint64]*Call // first call of each request of the host
}

// New returns the table of a process. ctx ends with the process and cancels its host calls.
func New(ctx context.Context, cfg Config, w Worker) *Table {
	t := &Table{
		worker:    w,
		tenant:    cfg.Tenant,
		budget:    cfg.Budget,
		ctx:       ctx,
		slots:     make(chan struct{}, MaxInFlight),
		byID:      map[uint64]*Call{},
		byRequest: map[uint64]*Call{},
	}
	if t.budget == nil {
		t.budget = noBudget{}
	}
	for _, s := range cfg.Services {
		t.services[s.ID()] = s
	}
	return t
}

// Call is one op of a service that a worker requests.
type Call struct {
	From    From
	Request uint64 // request of the host from whose call the op comes; 0: none

	table   *Table
	service Service
	id      uint64 // the worker's id
	op      link.Op
	payload []byte
	bytes   int // taken from the budget
	ctx     context.Context
	cancel  context.CancelFunc
	next    *Call // next one of the same request
}

// errTooMany is the answer to a host call beyond MaxInFlight.
var errTooMany = object.Errorf(object.CodeExhausted,
	"limit exceeded: %d host calls in flight, calls of other objects included; not executed", MaxInFlight)

// Start starts an op, or answers why it is refused. id is the worker's id of the op, payload the
// part of the frame's body after the head, and size the length of the body. An error means that the worker broke the
// protocol. Start does not wait: the reader of the link calls it.
func (t *Table) Start(id uint64, head link.HostCallHead, payload []byte, size int) error {
	if int(head.Service) >= len(t.services) || t.services[head.Service] == nil || id == 0 {
		return ErrUnknown
	}
	if full := t.budget.Acquire(size); full != nil {
		t.postError(id, object.Errorf(object.CodeExhausted, "limit exceeded: %v; not executed", full))
		return nil
	}
	c := &Call{
		From:    From{Tenant: t.tenant, Object: head.Object},
		Request: head.Request,
		table:   t,
		service: t.services[head.Service],
		id:      id,
		op:      head.Op,
		bytes:   size,
	}
	err := t.worker.Bind(c)
	if err == nil {
		c.payload = payload
		if size <= link.Large { // a larger body belongs to its handler
			c.payload = bytes.Clone(payload)
		}
		if s, ok := c.service.(Starter); ok && size <= maxStarted && s.Start(c.ctx, c.From, c.op, c.payload, c.done) {
			return nil
		}
		go t.run(c)
		return nil
	}
	t.budget.Release(size)
	if refused, ok := errors.AsType[*object.Error](err); ok {
		t.postError(id, refused)
		return nil
	}
	return err
}

// maxStarted bounds the body of an op that the reader of the link begins. Decoding a larger one takes too long there.
const maxStarted = 4 << 10

// done answers an op that a [Starter] has run. It does not wait.
func (c *Call) done(r link.ServiceReply, err error) {
	t := c.table
	t.remove(c)
	c.cancel()
	if errors.Is(err, ErrProtocol) {
		go t.worker.Kill(err) // it may wait for the caller
	}
	if err != nil {
		t.postError(c.id, asError(err))
	} else {
		var e link.Encoder
		e.Begin(link.HostReply, c.id)
		e.PutServiceReply(r, nil)
		t.worker.Post(e.Frame())
	}
	t.budget.Release(c.bytes)
	<-t.slots
}

// Enter takes a slot for the call and enters it into the table. The error is an [*object.Error] if too many calls are
// in flight. [Worker.Bind] calls it once, as its last check.
func (c *Call) Enter() error {
	t := c.table
	select {
	case t.slots <- struct{}{}:
	default:
		return errTooMany
	}
	c.ctx, c.cancel = context.WithCancel(t.ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byID[c.id] = c
	if c.Request != 0 {
		c.next, t.byRequest[c.Request] = t.byRequest[c.Request], c
	}
	return nil
}

// run runs an op that has entered the table, and answers it.
func (t *Table) run(c *Call) {
	r, err := c.service.Handle(c.ctx, c.From, c.op, c.payload)
	t.remove(c)
	c.cancel()
	if errors.Is(err, ErrProtocol) {
		t.worker.Kill(err)
	}
	t.answer(c.id, r, err)
	t.budget.Release(c.bytes)
	<-t.slots
}

// remove takes a host call that has ended out of the table.
func (t *Table) remove(c *Call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID[c.id] == c { // a hostile worker may use an id twice
		delete(t.byID, c.id)
	}
	first := t.byRequest[c.Request]
	for at := &first; *at != nil; at = &(*at).next {
		if *at == c {
			*at = c.next
			break
		}
	}
	if first == nil {
		delete(t.byRequest, c.Request)
	} else {
		t.byRequest[c.Request] = first
	}
}

// Cancel cancels a host call that the worker has given up.
func (t *Table) Cancel(id uint64) {
	t.mu.Lock()
	c := t.byID[id]
	t.mu.Unlock()
	if c != nil {
		c.cancel()
	}
}

// CancelRequest cancels the host calls of a request that has ended.
func (t *Table) CancelRequest(request uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := t.byRequest[request]; c != nil; c = c.next {
		c.cancel()
	}
	delete(t.byRequest, request)
}

// InFlight returns the number of host calls that run or whose answer is being sent.
func (t *Table) InFlight() int { return len(t.slots) }

// answer sends the result of an op. It may wait until the worker reads.
func (t *Table) answer(id uint64, r link.ServiceReply, err error) {
	if err != nil {
		t.postError(id, asError(err))
		return
	}
	size := len(r.Payload)
	full := t.budget.Acquire(size)
	if full == nil {
		defer t.budget.Release(size)
		var e link.Encoder
		e.Begin(link.HostReply, id)
		e.PutServiceReply(link.ServiceReply{Kind: r.Kind}, nil)
		if err := t.worker.Send(e.FramePrefix(size), r.Payload); !errors.Is(err, link.ErrBacklog) {
			return
		}
		full = fmt.Errorf("%d MiB that wait for the tenant's worker, which does not keep up", link.MaxBacklogBytes>>20)
	}
	t.postError(id, object.Errorf(object.CodeExhausted,
		"limit exceeded: %v; the call was executed, its result is lost", full))
}

// postError answers a host call with an error, without waiting.
func (t *Table) postError(id uint64, err *object.Error) {
	var e link.Encoder
	e.Begin(link.HostReply, id)
	e.PutServiceReply(link.ServiceReply{}, err)
	t.worker.Post(e.Frame())
}

// asError returns err as an error that may cross the link.
func asError(err error) *object.Error {
	if failed, ok := errors.AsType[*object.Error](err); ok {
		return failed
	}
	return object.Errorf(object.CodeOf(err), "internal error")
}
