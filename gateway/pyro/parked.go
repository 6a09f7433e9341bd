package pyro

import (
	"context"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/internal/loop"
	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// A connection that waits for its next message is parked in an event loop: it has no goroutine and no buffers. The loop
// reads the bytes that arrive. If they are one small ordinary call of a running object, the loop runs the call and
// writes the answer. Everything else gets a goroutine, which begins with the bytes that the loop has read: larger and
// partial messages, oneways, pings, contention of tenants, denials, cold objects, a peer that does not read, the end.
// The goroutine parks the connection again when no message is left.

// Loop runs the parked connections of an event loop. Its fields belong to the loop's goroutine.
type Loop struct {
	events  *loop.Loop
	parser  wire.Parser
	msg     wire.Message
	in      []byte // bytes of the round's messages, which requests alias until the round ends
	used    int    // length of these
	out     []byte // the message being written
	round   *dispatch.Round
	later   []func() // run after the round; see object.Starter
	running int      // calls that were started and not answered
}

const (
	arenaBytes  = 256 << 10       // bytes of the messages of one round
	parkedBytes = admit.FreeBytes // longest message that a loop handles
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
	loop   *Loop           // nil: the connection is never parked
	socket *loop.Conn      // nil until the connection is parked for the first time
	async  *dispatch.Async // runs the calls of the loop
	answer wire.Message    // to the running call
	ser    codec.Serializer
	busy   bool // a call runs
	event  bool // an event came that was not handled yet
}

// park gives the connection to its loop. It reports false if the connection must keep its goroutine: it has a TLS or
// HMAC channel or signed messages, or tenants contend.
func (c *conn) park() bool {
	p := &c.parked
	if p.loop == nil || c.in.Buffered() > 0 || c.legacy != nil || !c.partBy.IsZero() ||
		c.s.queue.Contended(time.Now()) || !c.adopt() {
		return false
	}
	c.s.queue.Release(&c.slot, false)
	c.in.Drop()
	c.inflated, c.out, c.result = nil, nil, nil
	c.held.Settle(0)
	c.waiting.Store(true)
	p.socket.Park(c)
	return true
}

// adopt moves the socket to the loop, once. It reports false if that is not possible.
func (c *conn) adopt() bool {
	p := &c.parked
	if p.socket != nil {
		return true
	}
	plain, ok := c.nc.(*nonblock.Conn)
	if ok {
		socket, err := p.loop.events.Adopt(plain.Conn)
		if ok = err == nil; ok {
			p.socket, p.async = socket, c.s.dispatch.NewAsync(c.ctx, c.answered)
			nc := nonblock.Wrap(socket).(*nonblock.Conn) //nolint:forcetypeassert // it is a socket
			nc.OnIdle(c.wait)
			c.outbound.mu.Lock()               // probe may be using it
			c.nc, c.writable = nc, time.Time{} // the new socket has no deadline yet
			c.outbound.mu.Unlock()
			context.AfterFunc(c.ctx, func() { p.loop.events.Post(c.cancelParked) })
			c.s.mu.Lock()
			c.socket = socket
			draining := c.draining.Load() // its deadline was set for the old socket
			c.s.mu.Unlock()
			if draining {
				_ = socket.SetReadDeadline(time.Unix(1, 0))
				return false
			}
		}
	}
	if !ok {
		p.loop = nil // do not try again
	}
	return ok
}

// cancelParked cancels the call of a parked connection whose client is gone.
func (c *conn) cancelParked() {
	if c.parked.busy {
		c.parked.async.Cancel(context.Cause(c.ctx))
	}
}

// unpark continues in a goroutine, which does first. If first is nil, it handles the next message, which begins with
// the bytes that the loop has read, or the end of the connection.
func (c *conn) unpark(read []byte, first func() bool) {
	c.parked.socket.Unpark()
	c.waiting.Store(false)
	c.in.Prepend(read)
	go func() { // ends when the connection ends or is parked again
		var m wire.Message
		if c.draining.Load() && first == nil || first == nil && !c.next(&m) || first != nil && !first() {
			c.finish()
			return
		}
		c.run()
	}()
}

// Ready implements [loop.Handler].
func (c *conn) Ready(end bool) {
	p := &c.parked
	if p.busy {
		p.event = true
		return
	}
	p.event = false
	l := p.loop
	if len(l.in)-l.used <= parkedBytes { // the round still uses the buffer
		l.in, l.used = make([]byte, arenaBytes), 0
	}
	room := l.in[l.used:][:parkedBytes+1]
	n, ok, err := p.socket.TryRead(room)
	switch {
	case c.draining.Load(), ok && (err != nil || n == 0), ok && !c.startParked(room[:n]):
		c.unpark(room[:n], nil)
	case ok && end:
		p.event = true // the end follows
	}
}

// startParked starts the call in the bytes. It reports false, and has done nothing, if a goroutine must handle them.
func (c *conn) startParked(b []byte) bool {
	p := &c.parked
	l := p.loop
	l.parser.Reset()
	m := &l.msg
	size, _, err := l.parser.Parse(b, m)
	if err != nil || size != len(b) || m.Type != wire.Invoke || m.Protocol != c.proto || m.Signed() ||
		m.Flags&^(wire.Batch) != 0 {
		return false
	}
	ser := pyro.Serializer(m.Protocol, m.Serializer)
	if ser.ID() == codec.MarshalData || c.scan(m, ser) != nil {
		return false
	}
	p.answer = wire.Message{Protocol: c.proto, Type: wire.Result, Serializer: m.Serializer, Seq: m.Seq}
	c.correlate(m, &p.answer)
	p.ser = ser
	r := &c.req
	r.Corr, r.Oneway, r.Truncated = p.answer.Corr, false, false
	p.busy = true
	c.beginCall()
	started, err := p.async.Start(r, time.Now(), l.round)
	if !started {
		p.busy = false
	}
	switch {
	case started:
		c.flow, c.weight = r.Flow, r.Weight
		l.used += len(b)
		l.running++
		c.waiting.Store(false)
		return true
	case err != nil: // the caller's identity was revoked
		c.unpark(nil, func() bool { return false })
		return true
	}
	return false
}

// writeRest writes the rest of an answer, as write does. It reports whether it was sent.
func (c *conn) writeRest(rest []byte) bool {
	c.outbound.mu.Lock()
	defer c.outbound.mu.Unlock()
	return c.writeBytes(rest) == nil
}

// answered receives the result of a call of the loop.
func (c *conn) answered(on any, reply object.Reply, err error) {
	if on != any(c.parked.loop.events) {
		reply.Payload = append([]byte(nil), reply.Payload...)
		c.parked.loop.events.Post(func() { c.replyParked(reply, err) })
		return
	}
	c.replyParked(reply, err)
}

// replyParked writes the answer, in the loop's goroutine.
func (c *conn) replyParked(reply object.Reply, err error) {
	p := &c.parked
	p.busy = false
	p.loop.running--
	switch {
	case err != nil && c.ctx.Err() != nil: // nothing reads the answer
		c.unpark(nil, func() bool { return false })
		return
	case err != nil:
		c.unpark(nil, func() bool { return c.answerError(&p.answer, p.ser, &c.req.Call, false, err) })
		return
	case reply.Stream != 0 || len(reply.Payload) > parkedBytes || !c.outbound.mu.TryLock(): // probe may hold it
		reply.Payload = append([]byte(nil), reply.Payload...)
		c.unpark(nil, func() bool {
			if reply.Stream != 0 {
				var err error
				if reply, err = p.async.OpenStream(reply); err != nil {
					return c.answerError(&p.answer, p.ser, &c.req.Call, false, err)
				}
			}
			return c.reply(&p.answer, p.ser, reply)
		})
		return
	}
	c.mark(&p.answer, &reply)
	p.answer.Payload = reply.Payload
	l := p.loop
	out, err := wire.Append(l.out[:0], &p.answer)
	p.answer.Payload = nil
	l.out = out
	if err != nil {
		c.outbound.mu.Unlock()
		c.unpark(nil, func() bool { return false })
		return
	}
	out = out[c.outbound.early:]
	c.outbound.awaited, c.outbound.early = false, 0
	n, err := p.socket.TryWrite(out)
	c.outbound.mu.Unlock()
	if err != nil || n < len(out) {
		rest := append([]byte(nil), out[n:]...)
		c.unpark(nil, func() bool { return c.writeRest(rest) })
		return
	}
	c.waiting.Store(true)
	if p.event || c.draining.Load() {
		c.Ready(true)
	}
}
