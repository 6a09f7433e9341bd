package pyro

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/gateway/pyro/handshake"
	"github.com/hearthhost/hearth/gateway/pyro/socket"
	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/internal/largebuf"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// handle answers one message after the handshake. It reports whether the connection continues.
func (c *conn) handle(m *wire.Message) bool {
	switch {
	case !c.peer.ValidSignature(m):
		c.log(slog.LevelWarn, "connection closed: a message is not signed as it must be",
			"peer", c.peer.Caller.Peer.Addr)
		return false
	case m.Type == wire.Ping:
		c.takeSlot(time.Now())
		pong := &wire.Message{
			Protocol:   c.peer.Protocol,
			Type:       wire.Ping,
			Serializer: m.Serializer,
			Seq:        m.Seq,
			Payload:    []byte("pong"),
		}
		socket.Correlate(m, pong)
		return c.send(pong) == nil
	case m.Type == wire.Invoke:
		return c.invoke(m)
	}
	c.log(slog.LevelInfo, "connection closed: a message of this type cannot follow the handshake",
		"peer", c.peer.Caller.Peer.Addr, "type", m.Type)
	return false
}

// invoke scans one call, passes it to the dispatcher and answers. It reports whether the connection continues.
func (c *conn) invoke(m *wire.Message) bool {
	ser := pyro.Serializer(m.Protocol, m.Serializer)
	answer := wire.Message{Protocol: c.peer.Protocol, Type: wire.Result, Serializer: m.Serializer, Seq: m.Seq}
	socket.Correlate(m, &answer)
	oneway := m.Flags&wire.Oneway != 0
	if ser.ID() == codec.MarshalData {
		if !oneway {
			c.fail(&answer, ser, handshake.ErrMarshal)
		}
		return false
	}
	if err := c.scan(m, ser); err != nil {
		c.takeSlot(time.Now()) // the message was read already, but the next one was not
		if tooLarge(err) {
			c.logLarge(err)
			err = notExecuted(err)
		}
		return c.answerError(&answer, ser, nil, oneway, err)
	}
	r := &c.req
	r.Corr, r.Oneway, r.Truncated = answer.Corr, oneway, c.truncated
	if oneway {
		return c.background(r)
	}
	c.socket.Await()
	reply, err := c.s.dispatch.Do(c.ctx, r)
	c.flow, c.weight = r.Flow, r.Weight
	switch {
	case errors.Is(err, dispatch.ErrRevoked), err != nil && c.ctx.Err() != nil: // nothing reads the answer
		return false
	case err != nil:
		return c.answerError(&answer, ser, &r.Call, false, err)
	}
	return c.reply(&answer, ser, reply)
}

// answerError answers a call with an error. It reports whether the connection continues. call is nil for an unreadable
// call.
func (c *conn) answerError(answer *wire.Message, ser codec.Serializer, call *object.Call, oneway bool, err error) bool {
	if object.CodeOf(err) == object.CodeInternal {
		c.logInternal(call, answer, err)
	}
	if !oneway && !c.fail(answer, ser, err) {
		return false
	}
	if tooLarge(err) {
		c.socket.Linger()
	}
	return !closes(err)
}

// takeSlot waits for a slot of the connection's own share of the fair queue.
func (c *conn) takeSlot(now time.Time) {
	c.flow, c.weight = c.session.Flow(), 1
	c.s.queue.Acquire(&c.slot, c.flow, c.weight, now)
}

// closes reports whether a Python daemon closes the connection after a reply with this error. Pyro clients expect that.
func closes(err error) bool {
	var e *object.Error
	if !errors.As(err, &e) {
		return false
	}
	switch pyro.ErrorClass(e) {
	case "SerializeError", "SecurityError", "MessageTooLargeError":
		return true
	}
	return false
}

// scan fills the request with object and method, without decoding arguments.
func (c *conn) scan(m *wire.Message, ser codec.Serializer) error {
	payload, err := c.plain(m)
	if err != nil {
		return err
	}
	batch := m.Flags&wire.Batch != 0
	call := &c.req.Call
	call.Batch, call.Blob = call.Batch[:0], nil
	blob := m.Flags&wire.KeepSerialized != 0
	if !c.truncated && !blob {
		if err := pyro.ScanCall(ser, payload, batch, &c.head); err != nil {
			return err
		}
	}
	call.ID = object.Intern(c.head.Object, call.ID)
	if blob {
		if err := scanBlob(m, call); err != nil {
			return err
		}
	} else if batch {
		call.Kind, call.Method = object.Batch, ""
		for _, name := range c.head.Batch {
			call.Batch = append(call.Batch, object.Method(name))
		}
	} else {
		setMethod(call, &c.head)
	}
	call.Caller, call.Format = c.peer.Caller, pyro.FormatOf(c.peer.Protocol, ser).Format()
	call.Payload, call.Buffer = payload, c.result
	call.Chain = call.Chain[:0]
	call.Once = once(m, call)
	c.req.Correlated = m.HasCorr
	return annotations(m, call)
}

// scanBlob fills a call whose argument stays serialized. The annotation names object and method, not the payload.
func scanBlob(m *wire.Message, call *object.Call) error {
	if m.Flags&wire.Batch != 0 {
		return &object.Error{
			Code:   object.CodeInvalid,
			Reason: object.ReasonType,
			Msg:    "a blob in a batch is not accepted",
		}
	}
	annotation, given := m.Annotation("BLBI")
	b, err := pyro.ScanBlob(annotation, given)
	if err != nil {
		return err
	}
	call.Kind, call.ID, call.Method, call.Blob = object.Invoke, b.Object, b.Method, annotation
	return nil
}

// annotations sets the annotations of a call, without reserved ones.
func annotations(m *wire.Message, call *object.Call) error {
	clear(call.Annotations[:cap(call.Annotations)])
	call.Annotations = call.Annotations[:0]
	for i := range m.Annotations {
		a := &m.Annotations[i]
		if id := string(a.ID[:]); !object.ReservedAnnotation(id) {
			call.Annotations = append(call.Annotations, object.Annotation{ID: id, Value: a.Value})
		}
	}
	if err := object.CheckAnnotations(call.Annotations); err != nil {
		return notExecuted(err)
	}
	return nil
}

// annotate adds the annotations of a reply to its message.
func annotate(answer *wire.Message, r *object.Reply) {
	for i := range r.Annotations {
		a := &r.Annotations[i]
		answer.Annotations = append(answer.Annotations, wire.Annotation{ID: [4]byte([]byte(a.ID)), Value: a.Value})
	}
}

// onceID is the id of the annotation with the idempotency key of a call.
const onceID = "ONCE"

// once returns the idempotency key of a call, nil if it has none.
func once(m *wire.Message, call *object.Call) *object.Once {
	key, ok := m.Annotation(onceID)
	if !ok {
		return nil
	}
	return object.NewOnce(string(key), call)
}

// setMethod sets the kind and the method of a call other than a batch.
func setMethod(call *object.Call, h *pyro.Head) {
	call.Kind, call.Method = object.Invoke, object.Intern(h.Method, call.Method)
	switch call.Method {
	case "__getattr__":
		call.Kind, call.Method = object.Get, object.Method(h.First)
	case "__setattr__":
		call.Kind, call.Method = object.Set, object.Method(h.First)
	}
}

// onewaySlot waits until one more oneway call may run. Beyond MaxOneways the connection waits, which delays its own
// client alone.
func (c *conn) onewaySlot() {
	if c.slots == nil {
		c.slots = make(chan struct{}, MaxOneways)
	}
	select {
	case c.slots <- struct{}{}:
	default:
		c.s.queue.Release(&c.slot, false)
		c.slots <- struct{}{}
	}
}

// background starts a oneway call. It returns when the call is in the object's queue, so that the next message's call
// runs after it. It reports whether the connection continues: false after a revocation of the peer's identity.
func (c *conn) background(r *dispatch.Request) bool {
	c.onewaySlot()
	own := *r // the connection reuses its own request
	own.Batch = slices.Clone(r.Batch)
	own.Buffer, own.Chain, own.Blob = nil, nil, slices.Clone(r.Blob)
	own.Annotations = slices.Clone(r.Annotations)
	for i := range own.Annotations {
		own.Annotations[i].Value = slices.Clone(own.Annotations[i].Value)
	}
	counted, err := c.detach(&own.Call)
	if err != nil {
		<-c.slots
		c.logOneway(&r.Call, err)
		return !c.revoked.Load()
	}
	account := c.held.Account
	revoked := false // set before Start returns: a call that runs has passed the recheck
	c.oneways.Add(1)
	c.s.dispatch.Start(context.Background(), &own, func(_ object.Reply, err error) {
		account.Release(counted)
		<-c.slots
		switch {
		case errors.Is(err, dispatch.ErrRevoked):
			revoked = true
		case err != nil:
			c.logOneway(&own.Call, err)
		}
		c.oneways.Done()
	})
	c.flow, c.weight = own.Flow, own.Weight
	return !revoked && !c.revoked.Load()
}

// detach gives a oneway call its own payload. It returns how many bytes are counted for it from now on.
func (c *conn) detach(own *object.Call) (counted int, err error) {
	size := len(own.Payload)
	if size <= admit.FreeBytes {
		own.Payload = slices.Clone(own.Payload)
		size += admit.OnewayBytes
		if c.held.Account.Acquire(size) == nil {
			return size, nil
		}
		if err := c.awaitRoom(func(ctx context.Context) error { return c.held.Account.Wait(ctx, size) }); err != nil {
			return 0, err
		}
		return size, nil
	}
	// The payload is counted already and stays in its buffer: the connection gets another one.
	if len(c.inflated) > 0 && &c.inflated[0] == &own.Payload[0] {
		c.inflated = nil
	} else {
		c.in.Detach()
	}
	return c.held.Detach(size), nil
}

// logOneway logs the failure of a oneway call, which has no reply.
func (c *conn) logOneway(call *object.Call, err error) {
	c.log(slog.LevelInfo, "oneway call failed", "object", string(call.ID), "method", string(call.Method),
		"principal", string(call.Caller.Principal), "call", object.CorrelationText(call.Corr), "err", err)
}

// mark sets the flags of an answer for the kind of its result.
func (c *conn) mark(answer *wire.Message, r *object.Reply) {
	switch {
	case r.Exception:
		answer.Flags |= wire.Exception
	case c.req.Kind == object.Batch:
		answer.Flags |= wire.Batch
	}
}

// reply sends a result.
func (c *conn) reply(answer *wire.Message, ser codec.Serializer, r object.Reply) bool {
	if id := c.req.Stream; id != "" {
		answer.Flags |= wire.ItemStream
		answer.Annotations = []wire.Annotation{{ID: [4]byte{'S', 'T', 'R', 'M'}, Value: []byte(id)}}
		annotate(answer, &r)
		return c.fail(answer, ser, &object.Error{
			Code: object.CodeInvalid, Class: "ProtocolError", Msg: "result of call is an iterator"})
	}
	c.mark(answer, &r)
	if err := c.held.Add(len(r.Payload)); err != nil {
		answer.Flags &^= wire.Exception | wire.Batch
		return c.fail(answer, ser, c.s.shares.ResultLost(err))
	}
	annotate(answer, &r)
	answer.Payload = r.Payload
	c.result = r.Payload
	err := c.send(answer)
	if cap(c.result) > admit.LargeBuffer {
		c.s.shares.Discard(largebuf.Put(c.result))
		c.result, answer.Payload = nil, nil
	}
	return err == nil
}

// logInternal logs an error whose cause the caller does not receive. call is nil for an unreadable call.
func (c *conn) logInternal(call *object.Call, answer *wire.Message, err error) {
	who := string(c.peer.Caller.Principal)
	attrs := []any{"principal", who, "call", object.CorrelationText(answer.Corr), "err", err}
	if call != nil {
		attrs = append(attrs, "object", string(call.ID), "method", string(call.Method))
	}
	c.log(slog.LevelError, "internal error", attrs...)
}

// fail sends an error answer. It reports whether it was sent.
func (c *conn) fail(answer *wire.Message, ser codec.Serializer, err error) bool {
	enc := ser.NewEncoder(c.result[:0])
	if err := codec.Write(enc, pyro.NewException(c.peer.Protocol, err)); err != nil {
		return false
	}
	doc, err := enc.Document()
	if err != nil {
		return false
	}
	answer.Flags |= wire.Exception
	answer.Payload = doc
	return c.send(answer) == nil
}

// send sends an answer, signed if the peer's messages are.
func (c *conn) send(m *wire.Message) error { return c.peer.Send(&c.socket, m) }
