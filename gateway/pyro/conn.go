package pyro

import (
	"container/list"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/gateway/pyro/handshake"
	"github.com/hearthhost/hearth/gateway/pyro/socket"
	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/transport"
	"github.com/hearthhost/hearth/wire"
)

// conn is one connection. Its goroutine reads a message, handles it and answers before it reads the next one: Pyro
// clients expect answers in order. Only oneway calls run concurrently.
type conn struct {
	s       *Server
	socket  socket.Socket
	peer    handshake.Peer
	session *dispatch.Session
	pending *list.Element // entry among the unauthenticated connections; guarded by the server's mu
	revoked atomic.Bool   // the peer's identity was revoked
	share   *admit.Share  // the principal's; nil before the handshake. Written under the server's mu, by this goroutine
	waiting atomic.Bool   // the connection waits for a message
	closing bool          // it is being closed to make room; guarded by the server's mu
	blocks  atomic.Bool   // its goroutine waits for messages, not a loop
	relayed atomic.Bool   // another process serves the connection
	ctx     context.Context
	end     context.CancelCauseFunc // of ctx; see cancel

	// The fields below belong to the connection's goroutine.
	in        *wire.Reader
	inflated  []byte
	result    []byte // the payload being written
	req       dispatch.Request
	head      pyro.Head
	held      admit.Holding // bytes of messages and buffers
	packed    *wire.Message // the message being inflated
	truncated bool          // only the head of the payload was inflated, since the policy denies the call
	slot      admit.Slot
	partBy    time.Time  // deadline of the rest of a message; zero: no part has arrived
	flow      admit.Flow // of the last message, and its weight
	weight    float64
	known     bool // the handshake is done
	kept      bool // the connection cannot be passed to another process before its next message
	oneways   sync.WaitGroup
	slots     chan struct{} // one token for each running oneway call

	parked parked
}

func newConn(s *Server, nc net.Conn, l *transport.Listener, name string) *conn {
	c := &conn{s: s, held: admit.Holding{Account: s.shares.Unauthenticated}}
	c.socket.Init(nc, s.writeTimeout)
	c.peer.Init(l, name)
	c.ctx, c.end = context.WithCancelCause(context.Background())
	return c
}

// cancel cancels the running call, oneway calls excepted, and all later ones. It is safe for concurrent use and does
// not wait.
func (c *conn) cancel(cause error) {
	c.end(cause)
	if c.parked.adopted.Load() { // if it is not, a later call of the loop sees that the context has ended
		c.parked.loop.events.Post(c.cancelParked)
	}
}

// recheck reports whether the peer is still the principal that it was. changed means that another snapshot came into
// force.
func (c *conn) recheck(changed bool) bool {
	if changed && c.peer.Revoked(c.s.snapshot(), time.Now()) != nil {
		return false // the reloader closes the connection, and logs it
	}
	return !c.revoked.Load()
}

// serve runs the connection until it ends or is parked.
func (c *conn) serve() {
	c.begin()
	if !c.introduce() {
		c.finish()
		return
	}
	c.run()
}

// begin prepares the requests and the reader of the connection.
func (c *conn) begin() {
	c.session = c.s.dispatch.NewSession()
	c.req.Session, c.req.Slot, c.req.Recheck = c.session, &c.slot, c.recheck
	c.in = wire.NewReader(&c.socket, handshake.MaxBytes)
	c.in.Check = acceptHeader
	c.in.Reserve = c.reserve
}

// introduce does the handshakes of the channel and of the protocol. It reports whether the connection continues.
func (c *conn) introduce() bool {
	h := &handshake.Handshake{
		Peer:       &c.peer,
		Socket:     &c.socket,
		In:         c.in,
		Dispatcher: c.s.dispatch,
		Snapshot:   c.s.snapshot,
		Log:        c.log,
		Idle:       c.wait,
		Enter:      c.enter,
		Reserve:    c.reserve,
	}
	if !h.Do(c.ctx) {
		return false
	}
	c.identified()
	return true
}

// identified prepares the connection for its first call.
func (c *conn) identified() {
	c.session.SetPrincipal(c.peer.Caller.Principal)
	c.flow, c.weight, c.known = c.session.Flow(), 1, true
	c.in.SetMax(object.DefaultMessageBytes)
	c.in.Limit = c.messageBytes
	c.blocks.Store(c.parked.loop == nil || c.peer.Legacy != nil)
	c.watch()
}

// enter counts the connection in its principal's share and removes it from the unauthenticated ones. It returns an
// error if the principal has too many connections.
func (c *conn) enter(who object.Principal, p *policy.Policy) *admit.TooManyConns {
	share, err := c.s.shares.Enter(who, p)
	if err != nil {
		c.s.usage.OverConnections.Add(1)
		return err
	}
	c.s.mu.Lock()
	c.s.unauthenticated.remove(c)
	c.share = share
	c.s.mu.Unlock()
	c.held.Transfer(share.Bytes)
	return nil
}

// watch has the server's watcher cancel the calls of a client that is gone. Without a watcher they run to their end.
func (c *conn) watch() {
	if c.s.peers == nil {
		return
	}
	if err := c.socket.Watch(c.s.peers, func() { c.cancel(dispatch.ClientGone) }); err != nil {
		// most likely a socket that was closed meanwhile
		c.s.log.Debug("calls of a connection are not cancelled when its client is gone", "err", err)
	}
}

// run handles messages until the connection ends, is parked or is passed to another process.
func (c *conn) run() {
	var m wire.Message
	for {
		if c.pass() {
			return
		}
		if c.socket.Draining() {
			break
		}
		if c.park() {
			return
		}
		if !c.next(&m) {
			break
		}
	}
	c.finish()
}

// finish ends the connection and frees its resources.
func (c *conn) finish() {
	c.s.queue.Release(&c.slot, true)
	c.oneways.Wait()
	c.socket.Close()
	c.end(nil)
	c.session.End()
	c.held.Release()
	if c.share != nil {
		c.s.shares.Exit(c.share)
	}
	c.s.remove(c)
}

// next reads and handles one message. It reports whether the connection continues.
func (c *conn) next(m *wire.Message) bool {
	// Under contention the next call waits for a slot before it is read: most likely it belongs to the same flow.
	// If no message has arrived, wait releases the slot.
	if now := time.Now(); c.s.queue.Contended(now) {
		c.s.queue.Acquire(&c.slot, c.flow, c.weight, now)
	}
	err := c.in.Read(m)
	c.waiting.Store(false)
	c.kept = false
	if !c.partBy.IsZero() {
		c.partBy = time.Time{}
		c.socket.ReadBy(time.Time{})
	}
	switch {
	case err == nil:
		if !c.handle(m) {
			return false
		}
	case tooLarge(err):
		c.refuseLarge(m, err)
		return false
	case whole(err):
		if !c.reject(m, err) {
			return false
		}
	case object.CodeOf(err) == object.CodeExhausted:
		if !c.skip(m, err) {
			return false
		}
	default:
		c.logReadError(err)
		return false
	}
	c.settle()
	c.s.queue.Release(&c.slot, true)
	return true
}

// reserve counts the bytes of an announced message, before its buffer is allocated. It waits for room after the
// handshake.
func (c *conn) reserve(n int) error {
	err := c.held.Add(n)
	switch {
	case err == nil:
		return nil
	case !c.known:
		return c.s.shares.Exhausted(err)
	}
	return c.awaitRoom(func(ctx context.Context) error { return c.held.Wait(ctx, n) })
}

// awaitRoom waits for room in an account, without a slot. It returns the error of a call after admit.WaitTimeout.
func (c *conn) awaitRoom(wait func(context.Context) error) error {
	c.s.queue.Release(&c.slot, false)
	ctx, cancel := context.WithTimeout(c.s.life, admit.WaitTimeout)
	defer cancel()
	if err := wait(ctx); err != nil {
		return c.s.shares.Exhausted(err)
	}
	return nil
}

// skip answers a message for which there was no memory, once it has arrived.
func (c *conn) skip(m *wire.Message, why error) bool {
	c.socket.ReadBy(time.Now().Add(c.s.messageTimeout))
	err := c.in.Skip(maxSkipped)
	c.socket.ReadBy(time.Time{})
	c.partBy = time.Time{}
	if err != nil {
		c.logReadError(err)
		return false
	}
	return c.reject(m, why)
}

// settle releases the last message, counts the buffers that are kept, and drops large ones unless memory is plentiful.
func (c *conn) settle() {
	c.packed, c.req.Payload, c.req.Buffer = nil, nil, nil
	c.head.Object, c.head.Method, c.head.First = nil, nil, nil
	if len(c.head.Batch) > 0 {
		c.head.Batch, c.req.Batch = smallBatch(c.head.Batch), smallBatch(c.req.Batch)
	}
	c.s.shares.Discard(c.in.Release(64 << 10))
	if cap(c.inflated) > admit.LargeBuffer {
		c.s.shares.Discard(cap(c.inflated))
		c.inflated = nil
	}
	kept := c.in.Size() + cap(c.inflated) + c.socket.Size() + cap(c.result)
	if kept > admit.FreeBytes && !c.held.Account.Quiet() || !c.held.Settle(kept) {
		c.s.shares.Discard(c.in.Release(0))
		c.inflated, c.result = nil, nil
		c.socket.Drop()
		c.held.Settle(c.in.Size())
	}
}

// whole reports whether a message arrived whole although its reading failed: one with a
// correlation id of a wrong size, which a daemon answers.
func whole(err error) bool {
	var e *object.Error
	return errors.As(err, &e) && e.Reason == object.ReasonValue
}

// reject answers a call that arrived whole with the error of its reading.
func (c *conn) reject(m *wire.Message, err error) bool {
	if m.Type != wire.Invoke || c.peer.Legacy != nil {
		return false
	}
	c.takeSlot(time.Now())
	if m.Flags&wire.Oneway != 0 {
		return true
	}
	answer := &wire.Message{Protocol: c.peer.Protocol, Type: wire.Result, Serializer: m.Serializer, Seq: m.Seq}
	return c.fail(answer, pyro.Serializer(m.Protocol, m.Serializer), err)
}

// smallBatch returns an empty slice, with the memory of one unless that is large.
func smallBatch[T any](s []T) []T {
	if cap(s) > 64 {
		return nil
	}
	clear(s[:cap(s)])
	return s[:0]
}

// wait runs when no bytes have arrived and the connection is about to wait. It releases the slot. If a part of a
// message has arrived, it sets the deadlines for the rest and for the next part.
func (c *conn) wait() {
	c.s.queue.Release(&c.slot, false)
	if c.in == nil || !c.known || c.relayed.Load() {
		return
	}
	c.waiting.Store(true)
	if c.in.Buffered() == 0 && c.partBy.IsZero() && !c.socket.Partial() {
		return
	}
	now := time.Now()
	if c.partBy.IsZero() {
		c.partBy = now.Add(c.s.messageTimeout)
	}
	if next := now.Add(c.s.stallTimeout); next.Before(c.partBy) {
		c.socket.ReadBy(next)
	} else {
		c.socket.ReadBy(c.partBy)
	}
}

// acceptHeader rejects unsafe and unknown serializers before the body is read. A ping names no serializer.
func acceptHeader(m *wire.Message) error {
	if m.Type == wire.Ping || pyro.Serializer(m.Protocol, m.Serializer) != nil {
		return nil
	}
	return object.Errorf(object.CodeInvalid,
		"message used serializer that is not accepted: %d; use serpent, json or msgpack", m.Serializer)
}

// logReadError logs read errors other than a normal close.
func (c *conn) logReadError(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || c.socket.Draining() {
		return
	}
	c.log(slog.LevelInfo, "connection closed",
		"principal", string(c.peer.Caller.Principal), "peer", c.peer.Caller.Peer.Addr, "err", err)
}

// log logs a line about the connection's peer, which may cause many.
func (c *conn) log(level slog.Level, msg string, attrs ...any) {
	who := object.Principal("")
	if c.share != nil { // after the handshake
		who = c.peer.Caller.Principal
	}
	c.s.peerLog.Log(who, level, msg, attrs...)
}
