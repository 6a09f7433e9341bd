package client

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport/signed"
	"github.com/hearthhost/hearth/wire"
)

// keepBytes is the largest buffer that an idle connection keeps.
const keepBytes = 256 << 10

// conn is a connection after its handshake. It runs one call at a time.
type conn struct {
	client *Client
	nc     net.Conn
	in     *wire.Reader
	seq    uint16

	request, reply wire.Message
	enc            codec.Encoder // encoder of the request's payload
	payload        []byte        // its bytes that are not borrowed
	out            []byte        // encoded request
	once           string        // idempotency key of the request; "": none
	inflated       []byte        // payload of a compressed reply

	builder codec.Builder // builds the values of replies

	deadline  time.Time // deadline of nc, zero without one
	watch     *watch    // watch of the latest context, nil if it cannot end
	idleSince time.Time
}

// dial opens a connection and does the handshake.
func (c *Client) dial(ctx context.Context) (*conn, error) {
	dialing := ctx
	if _, ok := ctx.Deadline(); !ok && c.cfg.Timeout > 0 {
		var cancel context.CancelFunc
		dialing, cancel = context.WithTimeout(ctx, c.cfg.Timeout)
		defer cancel()
	}
	nc, err := c.cfg.Dial(dialing, c.network, c.addr)
	if err != nil {
		return nil, wrapError(dialing, No, "connecting to "+c.cfg.Address, err)
	}
	nc, err = c.secure(dialing, nonblock.Wrap(nc))
	if err != nil {
		return nil, wrapError(dialing, No, "connecting to "+c.cfg.Address, err)
	}
	one := &conn{client: c, nc: nc, in: wire.NewReader(nc, c.cfg.MaxMessageBytes)}
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.open[one] = true
	}
	c.mu.Unlock()
	if closed {
		nc.Close()
		return nil, wrapError(ctx, No, "", errClosed)
	}
	if err := one.connect(dialing); err != nil {
		c.forget(one)
		return nil, err
	}
	return one, nil
}

// secure opens the configured TLS and HMAC channels on a new connection. It closes the connection after an error.
func (c *Client) secure(ctx context.Context, nc net.Conn) (net.Conn, error) {
	if c.cfg.TLS == nil && c.cfg.KeyID == "" {
		return nc, nil
	}
	raw := nc
	var err error
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	if c.cfg.TLS != nil {
		t := tls.Client(nc, c.cfg.TLS)
		nc, err = t, t.HandshakeContext(ctx)
	}
	if c.cfg.KeyID != "" && err == nil {
		s := signed.Client(nc, c.cfg.KeyID, c.cfg.Key)
		nc, err = s, s.Handshake()
	}
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	return nc, nil
}

// connect does the handshake. A Pyro5 handshake must name an object; it names the daemon, which every server has.
func (c *conn) connect(ctx context.Context) error {
	hello := codec.Dict{{Key: "handshake", Value: "hello"}}
	if c.client.cfg.Protocol == wire.Pyro5 {
		hello = append(hello, codec.Pair{Key: "object", Value: string(object.Daemon)})
	}
	var err error
	c.payload, err = codec.Append(c.client.ser, c.payload[:0], hello)
	if err != nil {
		return &CallError{Executed: No, Err: err}
	}
	c.arm(ctx)
	_, err = c.send(wire.Connect, 0, pyro.SerializerNumber(c.client.cfg.Protocol, c.client.ser), [3][]byte{c.payload})
	if err == nil {
		err = c.in.Read(&c.reply)
	}
	if !c.disarm() {
		return wrapError(ctx, No, "connecting to "+c.client.cfg.Address, context.Cause(ctx))
	}
	switch {
	case err != nil:
		return wrapError(ctx, No, "connecting to "+c.client.cfg.Address, err)
	case c.reply.Protocol != c.client.cfg.Protocol:
		return &CallError{Executed: No, Err: ErrProtocol}
	case c.reply.Type == wire.ConnectFail:
		return &CallError{Executed: No, Err: object.Errorf(object.CodeUnavailable,
			"connection to %s rejected: %s", c.client.cfg.Address, c.reason())}
	case c.reply.Type != wire.ConnectOK:
		return badReply(No, "invalid msg type %d received", c.reply.Type)
	}
	return nil
}

// reason returns the text of a CONNECTFAIL, "?" if it is not readable.
func (c *conn) reason() string {
	ser := pyro.Serializer(c.reply.Protocol, c.reply.Serializer)
	if ser == nil {
		return "?"
	}
	body, err := c.body()
	if err != nil {
		return "?"
	}
	v, err := codec.Unmarshal(ser, body, codec.Limits{})
	if text, ok := v.(string); ok && err == nil {
		return text
	}
	return "?"
}

// encode writes the payload of a call. It does not copy a large argument.
func (c *conn) encode(id object.ID, r request) (payload [3][]byte, err error) {
	if c.enc == nil {
		c.enc = c.client.ser.NewEncoder(nil)
		if !c.client.cfg.Compress {
			c.enc.Borrow(keepBytes)
		}
	}
	c.enc.Reset(c.payload[:0])
	if err := pyro.WriteCall(c.client.ser, c.enc, string(id), r.method, r.args, r.kw, r.nullKw); err != nil {
		return payload, err
	}
	payload, err = c.enc.Pieces()
	if err == nil {
		c.payload = payload[0]
	}
	return payload, err
}

// send writes one message with the current sequence number and a payload in pieces. whole reports whether all of it
// was sent.
func (c *conn) send(
	kind wire.Type, flags wire.Flags, serializer uint16, payload [3][]byte,
) (whole bool, err error) {
	c.request = wire.Message{
		Protocol:   c.client.cfg.Protocol,
		Type:       kind,
		Serializer: serializer,
		Flags:      flags,
		Seq:        c.seq,
		Payload:    payload[0],
	}
	if c.once != "" {
		c.request.Annotations = []wire.Annotation{{ID: [4]byte([]byte(onceID)), Value: []byte(c.once)}}
	}
	size := len(payload[0]) + len(payload[1]) + len(payload[2])
	var behind [3][]byte // payload that is too large to copy; a smaller one is in c.out
	switch {
	case c.client.cfg.Compress:
		c.out, err = wire.AppendCompressed(c.out[:0], &c.request)
	case size <= keepBytes:
		c.out, err = wire.Append(c.out[:0], &c.request)
	default:
		behind = payload
		c.out, err = wire.AppendHead(c.out[:0], &c.request, size)
	}
	if err != nil {
		return false, err
	}
	left := len(c.out) + len(behind[0]) + len(behind[1]) + len(behind[2])
	for _, p := range [...][]byte{c.out, behind[0], behind[1], behind[2]} {
		if len(p) == 0 {
			continue
		}
		n, err := c.nc.Write(p)
		left -= n
		if err != nil {
			return left == 0, err
		}
	}
	return true, nil
}

// exchange sends a request and, unless it is oneway, reads the reply into c.reply. keep reports whether the
// connection is reusable.
func (c *conn) exchange(
	ctx context.Context, kind wire.Type, flags wire.Flags, serializer uint16, payload [3][]byte,
) (keep bool, err error) {
	c.seq++
	c.arm(ctx)
	whole, err := c.send(kind, flags, serializer, payload)
	sent := err == nil
	switch {
	case err != nil && !whole:
		if flags&wire.Oneway != 0 || ctx.Err() != nil || c.readEarly() != nil {
			c.disarm()
			return false, wrapError(ctx, No, "sending the request", err)
		}
		err = nil
	case err == nil && flags&wire.Oneway == 0:
		err = c.in.Read(&c.reply)
	}
	// A context that has just ended may still set a deadline: the connection is not reusable, but the reply is valid.
	keep = c.disarm() && sent
	if sent && object.CodeOf(err) == object.CodeTooLarge {
		return false, &CallError{Executed: Yes, Err: &object.Error{Code: object.CodeTooLarge,
			Msg: "reading the reply: Config.MaxMessageBytes bounds it", Err: err}}
	}
	if err != nil {
		return false, wrapError(ctx, Unknown, "waiting for the reply", err)
	}
	if flags&wire.Oneway != 0 {
		return keep, nil
	}
	expected := wire.Result
	if kind == wire.Ping {
		expected = wire.Ping
	}
	switch r := &c.reply; {
	case r.Type != expected:
		return false, badReply(Unknown, "invalid msg type %d received", r.Type)
	case r.Seq != c.seq:
		return false, badReply(Unknown, "reply sequence out of sync, got %d expected %d", r.Seq, c.seq)
	case kind == wire.Invoke && r.Serializer != serializer:
		return false, badReply(Yes, "invalid serializer in response: %d", r.Serializer)
	}
	return keep, nil
}

// earlyWait bounds the wait for a reply that the server sent before it had read the request.
const earlyWait = time.Second

// readEarly reads the reply of a server that closed the connection before it had read the request.
func (c *conn) readEarly() error {
	c.deadline = time.Now().Add(earlyWait) // the connection is not used again
	_ = c.nc.SetReadDeadline(c.deadline)
	return c.in.Read(&c.reply)
}

// body returns the reply's payload, inflated. It is valid until the next exchange.
func (c *conn) body() ([]byte, error) {
	if c.reply.Flags&wire.Compressed == 0 {
		return c.reply.Payload, nil
	}
	var err error
	c.inflated, err = wire.Inflate(c.inflated[:0], c.reply.Payload, c.client.cfg.MaxMessageBytes)
	return c.inflated, err
}

// trim releases large buffers.
func (c *conn) trim() {
	for _, b := range []*[]byte{&c.payload, &c.out, &c.inflated} {
		if cap(*b) > keepBytes {
			*b = nil
		}
	}
	c.request.Payload = nil
	if cap(c.reply.Payload) > keepBytes {
		c.reply = wire.Message{}
	}
	if c.enc != nil {
		c.enc.Reset(c.payload[:0]) // ends its reference to a large argument
	}
}
