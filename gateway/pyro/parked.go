package pyro

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/gateway/pyro/socket"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/internal/loop"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// A connection that waits for its next message is parked in an event loop: it has no goroutine and no buffers. The loop
// reads the bytes that arrive. If they are one small ordinary call of a running object, the loop runs the call and
// writes the answer. Everything else gets a goroutine, which begins with the bytes that the loop has read: larger and
// partial messages, oneways, pings, errors, cold objects, a peer that does not read, the end. The goroutine parks the
// connection again when no message is left.
//
// While tenants contend, a connection whose next message has arrived waits for a slot of the fair queue: first in the
// flow of its last call, before the message is read, and if the call belongs to another flow, in that one.

// Loop runs the parked connections of an event loop. Its fields belong to the loop's goroutine.
type Loop struct {
	events  *loop.Loop
	parser  wire.Parser
	msg     wire.Message
	in      []byte // bytes of the round's messages, which requests alias until the round ends
	used    int    // length of these
	buffers socket.Buffers
	round   *dispatch.Round
	later   []func() // run after the round; see object.Starter
	running int      // calls that were started and not answered
}

const (
	arenaBytes    = 256 << 10 // memory for the messages of one round, at first
	maxArenaBytes = 2 << 20   // the same after a round that needed more
	parkedBytes   = 32 << 10  // longest message, and longest payload of an answer, that a loop handles
)

// after runs f at the end of the round.
func (l *Loop) after(f func()) { l.later = append(l.later, f) }

// endRound writes the audit records of the round, and then sends its requests.
func (l *Loop) endRound() {
	if !l.round.Commit() {
		return // another goroutine is the loop's now
	}
	for i, f := range l.later {
		f()
		l.later[i] = nil
	}
	l.later = l.later[:0]
	l.used = 0
}

// takenOver replaces the state that a round uses whose audit records are still being written.
func (l *Loop) takenOver() {
	l.in, l.used = make([]byte, arenaBytes), 0
	l.round.Abandon()
}

// NewLoop returns the connections of an event loop, and sets what the loop does at the end of a round. Call it before
// the loop runs.
func NewLoop(events *loop.Loop) *Loop {
	l := &Loop{events: events, in: make([]byte, arenaBytes)}
	l.round = dispatch.NewRound(events, l.after)
	l.parser.Check = acceptHeader
	l.parser.SetMax(object.DefaultMessageBytes)
	events.EndRound = l.endRound
	events.TakenOver = l.takenOver
	events.Busy = func() bool { return l.running > 0 }
	return l
}

// parked is the state of a connection that a loop may own. The zero value is a connection that is never parked.
type parked struct {
	loop    *Loop           // nil: the connection is never parked
	adopted atomic.Bool     // the socket and the calls belong to the loop; loop does not change any longer
	async   *dispatch.Async // runs the calls of the loop; nil until the connection is parked for the first time
	answer  wire.Message    // to the running call
	ser     codec.Serializer
	busy    bool   // a call runs
	queued  bool   // the connection waits for a slot
	event   bool   // an event came during that, and was not handled yet
	end     bool   // the event may be the end of the stream
	held    []byte // message of a call that waits for its slot; nil: no message was read
	turn    func() // takeTurn, made once
}

// park gives the connection to its loop. It reports false if the connection must keep its goroutine: it has signed
// messages, or bytes have arrived.
func (c *conn) park() bool {
	if c.parked.loop == nil || c.in.Buffered() > 0 || c.peer.Legacy != nil || !c.partBy.IsZero() || !c.adopt() ||
		!c.socket.Idle() {
		return false
	}
	c.dropBuffers()
	c.waiting.Store(true)
	c.socket.Park(c)
	return true
}

// dropBuffers frees the slot and the buffers of a connection between two messages, and returns their bytes to the
// account.
func (c *conn) dropBuffers() {
	c.s.queue.Release(&c.slot, false)
	c.in.Drop()
	c.inflated, c.result = nil, nil
	c.socket.Drop()
	c.held.Release()
}

// adopt moves the socket to the loop, once. It reports false if that is not possible.
func (c *conn) adopt() bool {
	p := &c.parked
	if p.async != nil {
		return true
	}
	events := p.loop.events
	if !c.socket.Adopt(events) {
		p.loop = nil // do not try again
		c.blocks.Store(true)
		return false
	}
	p.turn = c.takeTurn
	p.async = c.s.dispatch.NewAsync(c.ctx, c.hasSlot, c.answered)
	p.adopted.Store(true)
	return true
}

// cancelParked cancels the call of a parked connection whose client is gone.
func (c *conn) cancelParked() {
	if c.parked.busy {
		c.parked.async.Cancel(context.Cause(c.ctx))
	}
}

// unpark continues in a goroutine. It does first, which reports whether the connection continues, and then handles
// messages.
func (c *conn) unpark(first func() bool) {
	c.socket.Unpark()
	c.waiting.Store(false)
	go func() { // ends when the connection ends or is parked again
		more := first()
		c.s.queue.Release(&c.slot, true)
		if more {
			c.run()
		} else {
			c.finish()
		}
	}()
}

// unparkMessage has a goroutine handle the next message, which begins with the bytes that the loop has read, or the end
// of the connection.
func (c *conn) unparkMessage(read []byte) {
	c.in.Prepend(read)
	c.unpark(func() bool {
		var m wire.Message
		if len(read) == 0 && !c.stays() {
			return true
		}
		return !c.socket.Draining() && c.next(&m)
	})
}

// unparkEnd has a goroutine end the connection.
func (c *conn) unparkEnd() { c.unpark(func() bool { return false }) }

// Ready implements [loop.Handler].
func (c *conn) Ready(end bool) {
	p := &c.parked
	p.event, p.end = p.event || p.busy || p.queued, p.end || end
	if p.busy || p.queued {
		return
	}
	now := time.Now()
	// The next call most likely belongs to the flow of the last one.
	if c.s.queue.Contended(now) && !c.socket.Draining() &&
		!c.s.queue.Request(&c.slot, c.flow, c.weight, now, c.hasSlot) {
		p.queued = true
		c.waiting.Store(false)
		return
	}
	c.readParked(now)
}

// hasSlot continues a connection that waited for its slot. It runs in any goroutine.
func (c *conn) hasSlot() { c.parked.loop.events.Post(c.parked.turn) }

// takeTurn continues a connection that has its slot, in the loop's goroutine.
func (c *conn) takeTurn() {
	p := &c.parked
	p.queued = false
	held := p.held
	if held == nil {
		c.readParked(time.Now())
		return
	}
	p.held = nil
	room := p.loop.room()
	if b := room[:copy(room, held)]; !c.startParked(b, time.Now()) {
		c.unparkMessage(b)
	}
}

// room returns memory for a message of the round.
func (l *Loop) room() []byte {
	if len(l.in)-l.used <= parkedBytes { // the round still uses the buffer
		l.in, l.used = make([]byte, min(2*len(l.in), maxArenaBytes)), 0
	}
	return l.in[l.used:][:parkedBytes+1]
}

// readParked reads the next message and starts its call. The connection has its slot.
func (c *conn) readParked(now time.Time) {
	p := &c.parked
	l, end := p.loop, p.end
	p.event, p.end = false, false
	read, more := c.socket.TryRead(l.room(), &l.buffers)
	switch {
	case c.socket.Draining(), !c.stays(), more, len(read) > 0 && !c.startParked(read, now):
		c.unparkMessage(read)
	case len(read) == 0:
		c.s.queue.Release(&c.slot, false)
		c.waiting.Store(true)
	case end:
		p.event = true // the end follows
	}
}

// startParked starts the call in the bytes, or denies it. It reports false, and has done nothing, if a goroutine must
// handle them.
func (c *conn) startParked(b []byte, now time.Time) bool {
	p := &c.parked
	l := p.loop
	l.parser.Reset()
	m := &l.msg
	size, _, err := l.parser.Parse(b, m)
	if err != nil || size != len(b) || m.Type != wire.Invoke || m.Protocol != c.peer.Protocol || m.Signed() ||
		m.Flags&^(wire.Batch) != 0 {
		return false
	}
	ser := pyro.Serializer(m.Protocol, m.Serializer)
	if ser.ID() == codec.MarshalData || c.scan(m, ser) != nil {
		return false
	}
	p.answer = wire.Message{Protocol: c.peer.Protocol, Type: wire.Result, Serializer: m.Serializer, Seq: m.Seq}
	socket.Correlate(m, &p.answer)
	p.ser = ser
	r := &c.req
	r.Corr, r.Oneway, r.Truncated = p.answer.Corr, false, false
	if !c.holdParked(len(b)) { // the goroutine waits for room
		return false
	}
	c.socket.Await()
	progress, err := p.async.Start(r, now, l.round)
	switch {
	case progress == dispatch.Left:
		c.held.Release()
		return false
	case progress == dispatch.Waiting:
		p.queued, p.held = true, bytes.Clone(b)
	case progress == dispatch.Started:
		p.busy = true
		c.flow, c.weight = r.Flow, r.Weight
		l.used += len(b)
		l.running++
	case errors.Is(err, dispatch.ErrRevoked):
		c.unparkEnd()
		return true
	default: // the call is denied
		c.unpark(func() bool { return c.answerDenied(err) })
		return true
	}
	c.waiting.Store(false)
	return true
}

// holdParked counts the bytes that a parked connection holds for one message, instead of those for the last one. It
// reports false if there is no room for them.
func (c *conn) holdParked(n int) bool {
	if c.held.Settle(n) {
		return true
	}
	c.held.Release()
	return false
}

// answerDenied records the denial of a call and answers it.
func (c *conn) answerDenied(err error) bool {
	p := &c.parked
	c.takeSlot(time.Now()) // a denied call belongs to the connection's own share of the queue
	p.async.RecordDenial()
	return c.answerError(&p.answer, p.ser, &c.req.Call, false, err)
}

// answered receives the result of a call of the loop.
func (c *conn) answered(on any, reply object.Reply, err error) {
	if on != any(c.parked.loop.events) {
		keepPayload(&reply)
		c.parked.loop.events.Post(func() { c.replyParked(reply, err) })
		return
	}
	c.replyParked(reply, err)
}

// replyParked sends the answer, in the loop's goroutine.
func (c *conn) replyParked(reply object.Reply, err error) {
	p := &c.parked
	p.busy = false
	p.loop.running--
	c.s.queue.Release(&c.slot, true)
	switch {
	case err != nil && c.ctx.Err() != nil: // nothing reads the answer
		c.unparkEnd()
		return
	case err != nil:
		c.unpark(func() bool { return c.answerError(&p.answer, p.ser, &c.req.Call, false, err) })
		return
	case reply.Stream != 0 || len(reply.Payload) > parkedBytes || !c.holdParked(len(reply.Payload)):
		c.unparkReply(reply)
		return
	}
	c.mark(&p.answer, &reply)
	annotate(&p.answer, &reply)
	p.answer.Payload = reply.Payload
	rest, err := c.socket.TrySend(&p.answer, &p.loop.buffers)
	p.answer.Payload = nil
	switch {
	case errors.Is(err, socket.ErrBusy):
		c.unparkReply(reply)
	case err != nil:
		c.unparkEnd()
	case len(rest) > 0:
		rest = append([]byte(nil), rest...)
		c.unpark(func() bool { return c.socket.SendRest(rest) == nil })
	default:
		c.held.Release()
		c.waiting.Store(true)
		c.kept = false
		if p.event || c.socket.Draining() || !c.stays() {
			c.Ready(true)
		}
	}
}

// keepPayload copies the payload of a reply whose buffer is reused. A large payload is not copied: the loop serves
// other connections, too.
func keepPayload(reply *object.Reply) {
	if !reply.Owned {
		reply.Payload, reply.Owned = bytes.Clone(reply.Payload), true
	}
}

// unparkReply has a goroutine send a reply.
func (c *conn) unparkReply(reply object.Reply) {
	p := &c.parked
	keepPayload(&reply)
	c.unpark(func() bool {
		if reply.Stream != 0 {
			var err error
			if reply, err = p.async.OpenStream(reply); err != nil {
				return c.answerError(&p.answer, p.ser, &c.req.Call, false, err)
			}
		}
		return c.reply(&p.answer, p.ser, reply)
	})
}
