package host

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// errUnknown is the one answer to everything that a caller may not see: an unknown
// object, a forbidden one, a forbidden method. It is a DaemonError in every generation.
var errUnknown = &object.Error{Code: object.CodeNotFound, Msg: "unknown object", Class: "DaemonError"}

// errMarshal refuses the one serializer that is known and off.
var errMarshal = &object.Error{Code: object.CodeInvalid, Class: "SerializeError",
	Msg: "message used serializer that is not accepted: marshal; use serpent, json or msgpack"}

// handle answers one message after the handshake. It reports whether the connection
// goes on.
func (c *conn) handle(m *wire.Message) bool {
	switch {
	case !c.signedRightly(m):
		c.log(slog.LevelWarn, "connection closed: a message is not signed as it must be", "peer", c.caller.Peer.Addr)
		return false
	case m.Type == wire.Ping:
		c.takeTurn(c.own, 1, time.Now())
		pong := &wire.Message{Protocol: c.proto, Type: wire.Ping, Serializer: m.Serializer, Seq: m.Seq, Payload: []byte("pong")}
		c.correlate(m, pong)
		return c.write(pong) == nil
	case m.Type == wire.Invoke:
		return c.invoke(m)
	}
	c.log(slog.LevelInfo, "connection closed: a message of this type cannot follow the handshake", "peer", c.caller.Peer.Addr, "type", m.Type)
	return false
}

// invoke reads what a call asks for, decides, runs it and answers.
func (c *conn) invoke(m *wire.Message) bool {
	ser := pyro.Serializer(m.Protocol, m.Serializer)
	answer := wire.Message{Protocol: c.proto, Type: wire.Result, Serializer: m.Serializer, Seq: m.Seq}
	c.correlate(m, &answer)
	oneway := m.Flags&wire.Oneway != 0
	if ser.ID() == codec.MarshalData {
		if !oneway {
			c.fail(&answer, ser, errMarshal)
		}
		return false
	}
	req, err := c.scan(m, ser)
	if err != nil {
		c.takeTurn(c.own, 1, time.Now()) // it was read already, but the next one is not
		if tooLarge(err) {
			c.logLarge(err)
			err = notExecuted(err)
		}
	} else {
		req.Corr, req.Oneway = answer.Corr, oneway
		beside := oneway && !ofHost(req.ID)
		snap, ok := c.admit(req, beside)
		if !ok {
			return false
		}
		var g grant
		g, err = c.h.authorize(snap, req)
		if err == nil && c.short && !ofHost(req.ID) {
			c.h.release(g)
			err = errChanged
		}
		if err == nil {
			if beside {
				c.background(snap, req, g)
				return true
			}
			var r object.Reply
			r, err = c.run(snap, req, ser)
			c.h.release(g)
			if err == nil {
				return oneway || c.reply(&answer, ser, req, r)
			}
		} else if beside {
			<-c.slots
		}
	}
	if object.CodeOf(err) == object.CodeInternal {
		c.logInternal(req, &answer, err)
	}
	if !oneway && !c.fail(&answer, ser, err) {
		return false
	}
	if tooLarge(err) {
		c.lingeringClose()
	}
	return !closes(err)
}

// errChanged is the answer to a call that was decided on under another policy than the one in force, before it was read
// whole or had room.
var errChanged = object.Errorf(object.CodeUnavailable, "the policy changed before the call began; not executed, try again")

// ofHost reports whether an object is one of the host's own.
func ofHost(id object.ID) bool {
	return id == object.Daemon || id == object.NameServer || id == object.Enroll
}

// admit waits until a call may be decided on: for its turn, and for a slot if it runs beside the connection. It
// returns the snapshot that is in force then; ok is false if the peer has been revoked meanwhile.
func (c *conn) admit(call *object.Call, beside bool) (snap *snapshot, ok bool) {
	before := c.h.snap.Load()
	c.share(before, call)
	if beside && !c.slot() {
		call.Deadline = time.Now().Add(callTimeout) // it waits for its object from now on
	}
	snap = c.h.snap.Load()
	if snap != before && c.h.revoked(c, c.proof.Load(), time.Now()) != nil {
		return snap, false // the reloader closes the connection, and says so
	}
	if c.revoked.Load() {
		return snap, false
	}
	return snap, true
}

// share waits for a turn to do a call: the tenant's whose object it is of. What is not there
// or not permitted is of the caller's own share, or it could keep others from an object that
// they may call, and how long it waits would tell him whether there is one.
func (c *conn) share(snap *snapshot, call *object.Call) {
	now := time.Now()
	sharer, weight := c.own, 1.0
	if snap.has(call.ID) && (!c.h.turns.Contended(now) || snap.permits(call)) {
		sharer = call.ID.Tenant()
		weight = snap.policy.Weight(sharer)
	}
	c.takeTurn(sharer, weight, now)
}

// takeTurn waits for a turn of a share, unless the connection has it already.
func (c *conn) takeTurn(sharer object.Tenant, weight float64, now time.Time) {
	c.sharer, c.weight = sharer, weight
	if c.turn.Flow != sharer {
		c.h.turns.Release(&c.turn, false)
		c.h.turns.Acquire(&c.turn, sharer, weight, now)
	}
}

// closes reports whether a Python daemon would close the connection after answering with
// this error, which its clients expect.
func closes(err error) bool {
	var e *object.Error
	return errors.As(err, &e) && (e.Class == "SerializeError" || e.Class == "SecurityError" || e.Class == wire.ClassTooLarge)
}

// scan finds out what is asked, without decoding arguments.
func (c *conn) scan(m *wire.Message, ser codec.Serializer) (*object.Call, error) {
	payload, err := c.plain(m)
	if err != nil {
		return nil, err
	}
	if m.Flags&wire.KeepSerialized != 0 {
		return nil, &object.Error{Code: object.CodeInvalid, Class: "TypeError",
			Msg: "blobs are not supported: send the data as an ordinary argument"}
	}
	batch := m.Flags&wire.Batch != 0
	if !c.short {
		if err := ser.ScanCall(payload, batch, &c.head); err != nil {
			return nil, err
		}
	}
	call := &c.call
	call.ID = object.Intern(c.head.Object, call.ID)
	call.Batch = call.Batch[:0]
	if batch {
		call.Kind, call.Method = object.Batch, ""
		for _, name := range c.head.Batch {
			call.Batch = append(call.Batch, object.Method(name))
		}
	} else {
		setMethod(call, &c.head)
	}
	call.Caller, call.Conn, call.Protocol, call.Serializer = c.caller, c.id, c.proto, uint8(ser.ID())
	call.Payload, call.Buffer = payload, c.result
	call.Chain = call.Chain[:0]
	call.Deadline = time.Now().Add(callTimeout)
	return call, nil
}

// setMethod fills in what a call that is no batch asks for.
func setMethod(call *object.Call, h *codec.Head) {
	call.Kind, call.Method = object.Invoke, object.Intern(h.Method, call.Method)
	switch call.Method {
	case "__getattr__":
		call.Kind, call.Method = object.Get, object.Method(h.First)
	case "__setattr__":
		call.Kind, call.Method = object.Set, object.Method(h.First)
	}
}

// run executes an authorised call.
func (c *conn) run(snap *snapshot, call *object.Call, ser codec.Serializer) (object.Reply, error) {
	switch call.ID {
	case object.Daemon:
		return c.callHost(snap, call, ser, daemonMethods)
	case object.NameServer:
		return c.callHost(snap, call, ser, nameServerMethods)
	case object.Enroll:
		return c.callHost(snap, call, ser, enrollMethods)
	}
	r, b, err := c.h.invoke(context.Background(), c.backend(snap, call.ID), call)
	c.ran = b
	return r, err
}

// backend returns the backend of an object, which may hold a session of this connection from now on.
func (c *conn) backend(snap *snapshot, id object.ID) object.Backend {
	b := snap.backend(id)
	c.touched.add(b, id)
	return b
}

// passOn runs a call in a backend, or, if that has just been replaced, in its successor. It
// returns who ran it.
func (h *Host) passOn(ctx context.Context, b object.Backend, call *object.Call) (object.Reply, object.Backend, error) {
	r, err := b.Invoke(ctx, call)
	if !object.Retired(err) {
		return r, b, err
	}
	snap := h.snap.Load()
	if !snap.has(call.ID) {
		return object.Reply{}, b, errUnknown
	}
	b = snap.backend(call.ID)
	r, err = b.Invoke(ctx, call)
	if object.Retired(err) {
		err = object.ErrShutdown
	}
	return r, b, err
}

// slot waits until one more oneway call may run beside the connection: beyond maxOneways at a time the connection
// waits, which slows its own caller alone. It reports whether it did not wait.
func (c *conn) slot() (at bool) {
	if c.slots == nil {
		c.slots = make(chan struct{}, maxOneways)
	}
	select {
	case c.slots <- struct{}{}:
		return true
	default:
		c.slots <- struct{}{}
		return false
	}
}

// background runs a oneway call beside the connection, in the slot that the connection has taken. It returns when
// the call has its place among those of its object, so that the next message's comes after it.
func (c *conn) background(snap *snapshot, call *object.Call, g grant) {
	own := *call
	counted, err := c.detach(snap, &own)
	if err != nil {
		c.h.release(g)
		<-c.slots
		c.logOneway(call, err)
		return
	}
	own.Batch = slices.Clone(call.Batch)
	own.Buffer, own.Chain = nil, nil
	b := c.backend(snap, call.ID)
	placed := make(chan struct{})
	own.Enqueued = sync.OnceFunc(func() { close(placed) })
	if _, ordered := b.(worker); !ordered {
		own.Enqueued()
	}
	account := c.held.Account
	c.oneways.Go(func() {
		defer func() { own.Enqueued(); c.h.release(g); account.Release(counted); <-c.slots }()
		r, b, err := c.h.invoke(context.Background(), b, &own)
		if r.Stream != 0 {
			b.CloseStream(r.Stream)
		}
		if err != nil {
			c.logOneway(&own, err)
		}
	})
	<-placed
}

// detach gives a oneway call a payload of its own. It returns how many bytes are counted for it from now on.
func (c *conn) detach(snap *snapshot, own *object.Call) (counted int, err error) {
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
		if c.revoked.Load() || c.h.snap.Load().policy != snap.policy { // what was decided may no longer hold
			c.held.Account.Release(size)
			return 0, errChanged
		}
		return size, nil
	}
	// It is counted already, and stays where it is: the connection gets other buffers.
	if len(c.inflated) > 0 && &c.inflated[0] == &own.Payload[0] {
		c.inflated = nil
	} else {
		c.in.Detach()
	}
	return c.held.Detach(size), nil
}

// logOneway logs that a oneway call failed: its caller does not hear of it.
func (c *conn) logOneway(call *object.Call, err error) {
	c.log(slog.LevelInfo, "oneway call failed", "object", string(call.ID), "method", string(call.Method),
		"principal", string(call.Caller.Principal), "call", object.CorrelationText(call.Corr), "err", err)
}

// reply sends a result.
func (c *conn) reply(answer *wire.Message, ser codec.Serializer, call *object.Call, r object.Reply) bool {
	if r.Stream != 0 {
		return c.openStream(answer, ser, call, r.Stream)
	}
	if r.Exception {
		answer.Flags |= wire.Exception
	}
	if call.Kind == object.Batch && !r.Exception {
		answer.Flags |= wire.Batch
	}
	c.h.shares.Discard(len(r.Payload)) // in a moment
	if err := c.held.Add(len(r.Payload)); err != nil {
		answer.Flags &^= wire.Exception | wire.Batch
		return c.fail(answer, ser, c.h.shares.ResultLost(err))
	}
	answer.Payload = r.Payload
	if c.result = r.Payload; cap(r.Payload) > 1<<20 {
		c.result = nil
	}
	return c.write(answer) == nil
}

// logInternal logs an error of which the caller learns nothing. call is nil if it could not be read.
func (c *conn) logInternal(call *object.Call, answer *wire.Message, err error) {
	attrs := []any{"principal", string(c.caller.Principal), "call", object.CorrelationText(answer.Corr), "err", err}
	if call != nil {
		attrs = append(attrs, "object", string(call.ID), "method", string(call.Method))
	}
	c.log(slog.LevelError, "internal error", attrs...)
}

// fail sends an error answer. It reports whether it was sent.
func (c *conn) fail(answer *wire.Message, ser codec.Serializer, err error) bool {
	enc := ser.NewEncoder(c.result[:0])
	if err := codec.WriteException(enc, pyro.NewException(c.proto, err)); err != nil {
		return false
	}
	doc, err := enc.Document()
	if err != nil {
		return false
	}
	answer.Flags |= wire.Exception
	answer.Payload = doc
	return c.write(answer) == nil
}

// invoke runs a call that was authorised, and enters it. It returns who ran it.
func (h *Host) invoke(ctx context.Context, b object.Backend, call *object.Call) (object.Reply, object.Backend, error) {
	a := h.ledger.Object(call.ID)
	from := a.Begin(call)
	span := h.tracer.Begin(call, from)
	r, b, err := h.passOn(ctx, b, call)
	a.End(from, &r, err)
	h.tracer.End(span, call, &r, err)
	return r, b, err
}

// next fetches an item of a stream, and enters it as the call that it is. The end of a
// stream is no failure.
func (h *Host) next(ctx context.Context, b object.Backend, call *object.Call, stream uint64) (object.Reply, bool, error) {
	a := h.ledger.Object(call.ID)
	from := a.Begin(call)
	span := h.tracer.Begin(call, from)
	r, more, err := b.Next(ctx, call, stream)
	a.End(from, &r, err)
	h.tracer.End(span, call, &r, err)
	return r, more, err
}
