package pyro

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/internal/loop"
	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/transport"
	"github.com/hearthhost/hearth/wire"
)

// conn is one connection. Its goroutine reads a message, handles it and answers before it reads the next one: Pyro
// clients expect answers in order. Only oneway calls run concurrently.
type conn struct {
	s        *Server
	socket   net.Conn // the accepted socket, or that of adopt; guarded by the server's mu, under which others close it
	listener *transport.Listener
	session  *dispatch.Session
	name     string // name of the listener in the policy
	in       *wire.Reader
	pending  *list.Element // entry among the unauthenticated connections; guarded by the host's mu
	proof    atomic.Pointer[proof]
	draining atomic.Bool
	revoked  atomic.Bool  // the peer's identity was revoked
	share    *admit.Share // the principal's; nil before the handshake. Written under the host's mu, by this goroutine
	waiting  atomic.Bool  // the connection waits for a message
	closing  bool         // it is being closed to make room; guarded by the host's mu
	ctx      context.Context
	cancel   context.CancelCauseFunc // cancels the running call, oneway calls excepted
	outbound outbound

	// The fields below belong to the connection's goroutine.
	nc        net.Conn // the channel on the socket, to read and write
	proto     wire.Protocol
	refusal   string                // the reason for which this channel accepts no peer
	legacy    *credential.LegacyKey // key of the messages' Pyro4 signatures; nil: unsigned messages
	caller    object.Caller
	inflated  []byte
	out       []byte    // the message being written
	writable  time.Time // write deadline; guarded by outbound.mu
	result    []byte    // the payload being written
	req       dispatch.Request
	head      pyro.Head
	held      admit.Holding // bytes of messages and buffers
	packed    *wire.Message // the message being inflated
	truncated bool          // only the head of the payload was inflated, since the policy denies the call
	slot      admit.Slot
	partBy    time.Time  // deadline of the rest of a message; zero: no part has arrived
	flow      admit.Flow // of the last message, and its weight
	weight    float64
	known     bool   // the handshake is done
	unwatch   func() // ends watchPeer; nil: the peer is not watched
	oneways   sync.WaitGroup
	slots     chan struct{} // one token for each running oneway call

	parked parked
}

// proof is the evidence of the peer's identity.
type proof struct {
	channel   *transport.Channel
	legacy    *credential.LegacyKey
	principal object.Principal
	under     atomic.Pointer[policy.Policy] // the last policy under which the principal was checked
}

func newConn(s *Server, nc net.Conn, l *transport.Listener, name string) *conn {
	c := &conn{s: s, socket: nc, nc: nc, listener: l, name: name,
		held: admit.Holding{Account: s.shares.Unauthenticated}}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	return c
}

// recheck reports whether the peer is still the principal that it was. changed means that another snapshot came into
// force.
func (c *conn) recheck(changed bool) bool {
	if changed && c.s.revoked(c, c.proof.Load(), time.Now()) != nil {
		return false // the reloader closes the connection, and logs it
	}
	return !c.revoked.Load()
}

// drain lets the connection finish its call and read no more messages.
func (c *conn) drain() {
	c.draining.Store(true)
	_ = c.socket.SetReadDeadline(time.Unix(1, 0))
	if parked, ok := c.socket.(*loop.Conn); ok {
		parked.Notify()
	}
}

// cut ends the connection at once and drops received messages that were not begun. Closing the socket alone would not
// drop them. The caller cancels the running call.
func (c *conn) cut() {
	c.draining.Store(true)
	c.socket.Close()
}

// serve runs the connection until it ends or is parked.
func (c *conn) serve() {
	c.session = c.s.dispatch.NewSession()
	c.req.Session, c.req.Slot, c.req.Recheck = c.session, &c.slot, c.recheck
	if !c.introduce() {
		c.finish()
		return
	}
	c.run()
}

// introduce does the handshakes of the channel and of the protocol. It reports whether the connection continues.
func (c *conn) introduce() bool {
	_ = c.socket.SetDeadline(time.Now().Add(HandshakeTimeout))
	if c.draining.Load() {
		return false
	}
	if !c.open() {
		return false
	}
	c.in = wire.NewReader(channelReader{c}, MaxHandshakeBytes)
	c.in.Check = acceptHeader
	c.in.Reserve = c.reserve
	var m wire.Message
	if err := c.in.Read(&m); err != nil {
		c.unreadable(err)
		return false
	}
	if !c.connect(&m) {
		return false
	}
	c.session.SetPrincipal(c.caller.Principal)
	c.flow, c.weight, c.known = c.session.Flow(), 1, true
	c.in.SetMax(object.DefaultMessageBytes)
	c.in.Limit = c.messageBytes
	c.watchPeer()
	_ = c.nc.SetReadDeadline(time.Time{})
	return true
}

// run handles messages until the connection ends or is parked.
func (c *conn) run() {
	var m wire.Message
	for !c.draining.Load() {
		if c.park() {
			return
		}
		if !c.next(&m) {
			break
		}
	}
	c.finish()
}

// finish ends the connection.
func (c *conn) finish() {
	c.end()
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
	if !c.partBy.IsZero() {
		c.partBy = time.Time{}
		c.readBy(time.Time{})
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

// channelReader reads from the connection's channel, which adopt may replace.
type channelReader struct{ c *conn }

func (r channelReader) Read(p []byte) (int, error) { return r.c.nc.Read(p) }

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
	c.readBy(time.Now().Add(c.s.messageTimeout))
	err := c.in.Skip(maxSkipped)
	c.readBy(time.Time{})
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
	c.s.shares.Discard(c.in.Size() + cap(c.inflated))
	c.in.Release(64 << 10)
	if cap(c.inflated) > admit.LargeBuffer {
		c.inflated = nil
	}
	kept := c.in.Size() + cap(c.inflated) + cap(c.out) + cap(c.result)
	if kept > admit.FreeBytes && !c.held.Account.Quiet() || !c.held.Settle(kept) {
		c.in.Release(0)
		c.inflated, c.out, c.result = nil, nil, nil
		c.held.Settle(c.in.Size())
	}
}

// open does the handshake of the peer's channel and identifies the peer.
func (c *conn) open() bool {
	ch, err := c.listener.Open(c.socket)
	switch {
	case errors.Is(err, transport.ErrPlain):
		c.refusal = err.Error() // a Pyro client can read that
		c.nc = nonblock.Wrap(c.socket)
		return true
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return false
	case err != nil:
		c.log(slog.LevelInfo, "connection refused", "peer", c.socket.RemoteAddr().String(), "err", err)
		if transport.Unproven(err) {
			c.caller.Principal, c.caller.Peer.Addr = object.Anonymous, c.socket.RemoteAddr().String()
			c.unproven(err.Error())
		}
		c.lingeringClose()
		return false
	}
	c.nc = ch.Conn
	ch.OnIdle(c.wait)
	c.caller.Peer, c.caller.Principal = ch.Peer, c.s.snapshot().Credentials.Principal(ch.Peer)
	c.caller.Peer.Endpoint = c.endpoint()
	proof := &proof{channel: ch, principal: c.caller.Principal}
	c.proof.Store(proof)
	// The handshake may have begun before something was revoked, and taken its time.
	if err := c.s.revoked(c, proof, time.Now()); err != nil {
		c.log(slog.LevelInfo, "connection refused", "peer", ch.Peer.Addr, "err", err)
		c.unproven(err.Error())
		return false
	}
	return true
}

// endpoint returns where the peer connected.
func (c *conn) endpoint() *object.Endpoint {
	local := c.listener.Addr() // of a Unix socket
	if !strings.HasPrefix(local, "unix:") {
		local = c.nc.LocalAddr().String()
	}
	return &object.Endpoint{Listener: c.name, Local: local}
}

// whole reports whether a message arrived whole although its reading failed: one with a
// correlation id of a wrong size, which a daemon answers.
func whole(err error) bool {
	var e *object.Error
	return errors.As(err, &e) && e.Reason == object.ReasonValue
}

// reject answers a call that arrived whole with the error of its reading.
func (c *conn) reject(m *wire.Message, err error) bool {
	if m.Type != wire.Invoke || c.legacy != nil {
		return false
	}
	c.takeSlot(time.Now())
	if m.Flags&wire.Oneway != 0 {
		return true
	}
	answer := &wire.Message{Protocol: c.proto, Type: wire.Result, Serializer: m.Serializer, Seq: m.Seq}
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
	if c.in == nil || !c.known {
		return
	}
	c.waiting.Store(true)
	if c.in.Buffered() == 0 && c.partBy.IsZero() {
		return
	}
	now := time.Now()
	if c.partBy.IsZero() {
		c.partBy = now.Add(c.s.messageTimeout)
	}
	if next := now.Add(c.s.stallTimeout); next.Before(c.partBy) {
		c.readBy(next)
	} else {
		c.readBy(c.partBy)
	}
}

// readBy sets until when something must arrive, unless the host drains, which ends it at once.
func (c *conn) readBy(t time.Time) {
	_ = c.nc.SetReadDeadline(t)
	if c.draining.Load() {
		c.drain()
	}
}

// end frees the connection's resources.
func (c *conn) end() {
	c.s.queue.Release(&c.slot, true)
	c.oneways.Wait()
	if c.unwatch != nil {
		c.unwatch()
	}
	c.nc.Close()
	c.cancel(nil)
	c.session.End()
	c.held.Release()
	if c.share != nil {
		c.s.shares.Exit(c.share)
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

// unreadable answers an invalid first message with CONNECTFAIL, in the protocol that the message claims. A peer that
// sends nothing gets no answer: a name server checks in that way whether a host is alive.
func (c *conn) unreadable(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return
	}
	if errors.Is(err, wire.ErrHTTP) {
		c.answerHTTP()
		return
	}
	c.proto = c.in.Protocol()
	reason := "receiving: timeout"
	var e *object.Error
	switch {
	case errors.As(err, &e):
		reason = e.Msg
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return
	}
	if c.proto == 0 {
		c.proto = wire.Pyro5
	}
	c.log(slog.LevelInfo, "connection refused", "peer", c.nc.RemoteAddr().String(), "err", err)
	c.refuse(&wire.Message{Protocol: c.proto}, codec.ByID(codec.MarshalData), reason)
}

// answerHTTP refuses an HTTP client in its own protocol. The connection's deadline for introducing
// itself bounds the answer.
func (c *conn) answerHTTP() {
	const body = "This is a Hearth host. It speaks the Pyro protocol here, not HTTP: " +
		"use a Pyro client, or hearth call.\n"
	const answer = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n" +
		"X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n" +
		"Content-Length: %d\r\n\r\n%s"
	c.log(slog.LevelInfo, "connection refused", "peer", c.nc.RemoteAddr().String(),
		"err", "an HTTP client connected to a listener for Pyro clients")
	if _, err := fmt.Fprintf(c.nc, answer, len(body), body); err == nil {
		c.lingeringClose()
	}
}

// logReadError logs read errors other than a normal close.
func (c *conn) logReadError(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || c.draining.Load() {
		return
	}
	c.log(slog.LevelInfo, "connection closed",
		"principal", string(c.caller.Principal), "peer", c.caller.Peer.Addr, "err", err)
}

// refuse sends CONNECTFAIL with a reason. It closes the connection so that the reason arrives even if the peer still
// sends.
func (c *conn) refuse(m *wire.Message, ser codec.Serializer, reason string) {
	payload, err := codec.Append(ser, c.result[:0], reason)
	if err != nil {
		return
	}
	_ = c.write(&wire.Message{
		Protocol:   c.proto,
		Type:       wire.ConnectFail,
		Serializer: pyro.SerializerNumber(c.proto, ser),
		Seq:        m.Seq,
		Corr:       m.Corr,
		HasCorr:    m.HasCorr,
		Payload:    payload,
	})
	c.lingeringClose()
}

// lingeringClose discards the peer's further bytes, for a short time and up to a small size, and closes the connection.
// Closing with unread bytes would reset the connection and lose the last answer.
func (c *conn) lingeringClose() {
	if w, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	_, _ = io.CopyN(io.Discard, c.nc, 256<<10)
	c.nc.Close()
}

// largePayload is the size in bytes from which a payload is written separately.
const largePayload = 64 << 10

// write sends one message. A peer that does not read for long is cut off.
func (c *conn) write(m *wire.Message) error {
	if c.legacy != nil {
		m.Sign([]byte(c.legacy.Secret))
	}
	var large []byte // the payload, if it is not worth copying
	var out []byte
	var err error
	if len(m.Payload) > largePayload {
		large = m.Payload
		out, err = wire.AppendHead(c.out[:0], m, len(large))
	} else {
		out, err = wire.Append(c.out[:0], m)
	}
	if err != nil {
		return err
	}
	if c.out = out; cap(out) > 1<<20 {
		c.out = nil
	}
	c.outbound.mu.Lock()
	defer c.outbound.mu.Unlock()
	early := c.outbound.early
	c.outbound.awaited, c.outbound.early = false, 0
	err = c.writeBytes(out[early:])
	if err == nil && large != nil {
		_, err = c.nc.Write(large)
	}
	return err
}

// writeBytes writes bytes before the write deadline. The caller holds outbound.mu.
func (c *conn) writeBytes(b []byte) error {
	// Setting a deadline costs, so one serves many messages.
	if now := time.Now(); c.writable.Sub(now) < writeTimeout {
		c.writable = now.Add(2 * writeTimeout)
		_ = c.nc.SetWriteDeadline(c.writable)
	}
	_, err := c.nc.Write(b)
	return err
}

// unknownPeer returns a hint for a peer that matches no principal, and log attributes with the identity that it showed.
func unknownPeer(p *object.Peer) (remedy string, shown []any) {
	switch p.Auth {
	case object.AuthPeer:
		return "its operator can add your account as a principal", []any{"uid", p.UID}
	case object.AuthCert:
		return fmt.Sprintf("its operator can add your certificate (common name %q) to a principal", p.Cert.CommonName),
			[]any{"common_name", p.Cert.CommonName, "cert", p.Cert.SHA256}
	}
	return "show it a key or a certificate of a principal", nil
}

// connect handles the first message. It reports whether the connection continues.
func (c *conn) connect(m *wire.Message) bool {
	c.proto = m.Protocol
	ser := pyro.Serializer(m.Protocol, m.Serializer)
	if m.Type != wire.Connect {
		text := "invalid msg type %d received"
		if c.proto == wire.Pyro5 {
			text = "invalid msg type %d received (expected: 1)"
		}
		c.refuse(&wire.Message{}, codec.ByID(codec.MarshalData), fmt.Sprintf(text, m.Type))
		return false
	}
	if ser.ID() == codec.MarshalData {
		c.refuse(m, ser, errMarshal.Msg)
		return false
	}
	if c.refusal != "" {
		c.refuse(m, ser, c.refusal)
		return false
	}
	if reason := c.checkSignature(m); reason != "" {
		c.refuse(&wire.Message{}, codec.ByID(codec.MarshalData), reason)
		return false
	}
	snap := c.s.snapshot()
	if c.caller.Principal == object.Anonymous && !snap.Policy.Known(object.Anonymous) {
		remedy, shown := unknownPeer(&c.caller.Peer)
		attrs := []any{"peer", c.caller.Peer.Addr, "auth", c.caller.Peer.Auth}
		c.log(slog.LevelWarn, "unknown peer refused", append(attrs, shown...)...)
		c.s.dispatch.Deny(&audit.Record{
			Event:  "connect",
			Caller: &c.caller,
			Reason: "denied: no permit names unidentified peers",
			Call:   m.Corr,
		})
		c.refuse(m, ser, "access denied: the host has no principal for this peer; "+remedy)
		return false
	}
	if err := c.s.introduced(c, snap.Policy); err != nil {
		c.s.dispatch.Deny(&audit.Record{
			Event:     "connect",
			Caller:    &c.caller,
			Reason:    "denied: too many connections",
			Exceeding: err.Limit,
			Call:      m.Corr,
		})
		c.refuse(m, ser, err.Error())
		return false
	}
	payload, err := c.inflate(m, MaxHandshakeBytes)
	if err != nil {
		c.refuse(m, ser, object.SafeText(err))
		return false
	}
	id, err := pyro.ScanConnect(ser, payload)
	if err != nil {
		c.refuse(m, ser, object.SafeText(err))
		return false
	}
	return c.welcome(m, ser, object.ID(id))
}

// unproven records that the peer did not prove its identity.
func (c *conn) unproven(why string) {
	c.s.dispatch.Deny(&audit.Record{Event: "connect", Caller: &c.caller, Reason: "denied: identity not proven: " + why})
}

// checkSignature identifies a Pyro4 peer by the signature of its first message. It returns the reason of a rejection,
// "" for none. Ignoring a signature would make the peer rely on a check that did not happen.
func (c *conn) checkSignature(m *wire.Message) string {
	if c.proto != wire.Pyro4 || !m.Signed() {
		return ""
	}
	if !c.listener.TakesLegacy(c.caller.Peer.Channel) {
		return "hmac key config not symmetric"
	}
	c.legacy = c.s.snapshot().Credentials.FindLegacy(m.Verify)
	if c.legacy == nil {
		c.log(slog.LevelWarn, "signature refused", "peer", c.caller.Peer.Addr)
		c.unproven("message hmac mismatch")
		return "message hmac mismatch"
	}
	// A channel's proof is stronger than a signature, which can be replayed.
	if way := c.caller.Peer.Auth; way == "" || way == object.AuthPeer {
		c.caller.Peer.Auth, c.caller.Principal = object.AuthLegacy, c.legacy.Principal
	}
	c.proof.Store(&proof{channel: c.proof.Load().channel, legacy: c.legacy, principal: c.caller.Principal})
	return ""
}

// validSignature reports whether a message after the handshake is signed exactly when this connection requires it.
func (c *conn) validSignature(m *wire.Message) bool {
	if c.legacy == nil {
		return c.proto != wire.Pyro4 || !m.Signed()
	}
	return m.Verify([]byte(c.legacy.Secret))
}

// welcome answers CONNECT, with the metadata of the object that it names if the client requests it.
func (c *conn) welcome(m *wire.Message, ser codec.Serializer, id object.ID) bool {
	ok := &wire.Message{Protocol: c.proto, Type: wire.ConnectOK, Serializer: m.Serializer, Seq: m.Seq}
	c.correlate(m, ok)
	var answer any = "hello"
	if c.proto == wire.Pyro5 || m.Flags&wire.MetaOnConnect != 0 {
		ok.Flags = m.Flags & wire.MetaOnConnect
		d, err := c.s.dispatch.Describe(c.ctx, &c.caller, id)
		if err != nil {
			c.refuse(m, ser, object.SafeText(err))
			return false
		}
		answer = map[string]any{"handshake": "hello", "meta": pyro.Metadata(d, c.proto == wire.Pyro4)}
	}
	payload, err := codec.Append(ser, c.result[:0], answer)
	if err != nil {
		c.refuse(m, ser, "internal error")
		return false
	}
	if err := c.held.Add(len(payload)); err != nil {
		c.refuse(m, ser, object.SafeText(c.s.shares.Exhausted(err)))
		return false
	}
	ok.Payload = payload
	return c.write(ok) == nil
}

// correlate puts the request's correlation id on the answer, or a new one.
func (c *conn) correlate(m, answer *wire.Message) {
	answer.Corr, answer.HasCorr = m.Corr, true
	if !m.HasCorr {
		answer.Corr = newCorrelation()
	}
}

// log logs a line about the connection's peer, which may cause many.
func (c *conn) log(level slog.Level, msg string, attrs ...any) {
	who := object.Principal("")
	if c.share != nil { // after the handshake
		who = c.caller.Principal
	}
	c.s.peerLog.Log(who, level, msg, attrs...)
}
