// Package handshake identifies the peers of Pyro connections: the handshake of the channel, the client's CONNECT and
// the answer to it.
package handshake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/gateway/pyro/socket"
	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/transport"
	"github.com/hearthhost/hearth/wire"
)

// Limits of a handshake.
const (
	Timeout  = 5 * time.Second
	MaxBytes = 64 << 10 // of a CONNECT message, also inflated
)

// ErrMarshal rejects marshal, which is recognized and disabled.
var ErrMarshal = &object.Error{Code: object.CodeInvalid, Reason: object.ReasonUnsupported,
	Msg: "message used serializer that is not accepted: marshal; use serpent, json or msgpack"}

// Handshake is the handshake of one connection. All fields are required.
type Handshake struct {
	Peer       *Peer // filled by Do
	Socket     *socket.Socket
	In         *wire.Reader // of Socket; at most MaxBytes
	Dispatcher *dispatch.Dispatcher
	Snapshot   func() *snapshot.Snapshot // the current one

	Log     func(level slog.Level, msg string, attrs ...any)                 // logs a line about the peer
	Idle    func()                                                           // called when a read is about to wait
	Enter   func(who object.Principal, p *policy.Policy) *admit.TooManyConns // counts the connection
	Reserve func(n int) error                                                // counts bytes before their allocation
}

// Do makes the handshake. It reports whether the connection continues. If not, the peer has got an error, except for
// one that is gone.
func (h *Handshake) Do(ctx context.Context) bool {
	h.Socket.SetDeadline(time.Now().Add(Timeout))
	if h.Socket.Draining() {
		return false
	}
	refusal, ok := h.open()
	if !ok {
		return false
	}
	var m wire.Message
	if err := h.In.Read(&m); err != nil {
		h.unreadable(err)
		return false
	}
	if !h.connect(ctx, &m, refusal) {
		return false
	}
	h.Socket.ReadBy(time.Time{})
	return true
}

// open does the handshake of the peer's channel and identifies the peer. ok reports whether the handshake continues.
// refusal is the reason for which a Pyro client is refused, "" for none.
func (h *Handshake) open() (refusal string, ok bool) {
	p := h.Peer
	raw := h.Socket.Raw()
	ch, err := p.listener.Open(raw)
	switch {
	case errors.Is(err, transport.ErrPlain):
		h.Socket.Use(&transport.Channel{Conn: nonblock.Wrap(raw)}, h.Idle)
		return err.Error(), true // a Pyro client can read that
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return "", false
	case err != nil:
		h.Log(slog.LevelInfo, "connection refused", "peer", raw.RemoteAddr().String(), "err", err)
		if transport.Unproven(err) {
			p.Caller.Principal, p.Caller.Peer.Addr = object.Anonymous, raw.RemoteAddr().String()
			h.unproven(err.Error())
		}
		h.Socket.Linger()
		return "", false
	}
	h.Socket.Use(ch, h.Idle)
	p.identify(ch, h.Snapshot())
	// The handshake may have begun before something was revoked, and taken its time.
	if err := p.Revoked(h.Snapshot(), time.Now()); err != nil {
		h.Log(slog.LevelInfo, "connection refused", "peer", ch.Peer.Addr, "err", err)
		h.unproven(err.Error())
		return "", false
	}
	return "", true
}

// connect handles the first message. It reports whether the connection continues.
func (h *Handshake) connect(ctx context.Context, m *wire.Message, refusal string) bool {
	p := h.Peer
	p.Protocol = m.Protocol
	ser := pyro.Serializer(m.Protocol, m.Serializer)
	if m.Type != wire.Connect {
		text := "invalid msg type %d received"
		if p.Protocol == wire.Pyro5 {
			text = "invalid msg type %d received (expected: 1)"
		}
		h.refuse(&wire.Message{}, codec.ByID(codec.MarshalData), fmt.Sprintf(text, m.Type))
		return false
	}
	if ser.ID() == codec.MarshalData {
		h.refuse(m, ser, ErrMarshal.Msg)
		return false
	}
	if refusal != "" {
		h.refuse(m, ser, refusal)
		return false
	}
	snap := h.Snapshot()
	if reason := p.checkSignature(m, snap); reason != "" {
		if reason == errMismatch {
			h.Log(slog.LevelWarn, "signature refused", "peer", p.Caller.Peer.Addr)
			h.unproven(reason)
		}
		h.refuse(&wire.Message{}, codec.ByID(codec.MarshalData), reason)
		return false
	}
	if p.Caller.Principal == object.Anonymous && !snap.Policy.Known(object.Anonymous) {
		h.refuseUnknown(m, ser)
		return false
	}
	if err := h.Enter(p.Caller.Principal, snap.Policy); err != nil {
		h.Dispatcher.Deny(&audit.Record{
			Event:     "connect",
			Caller:    &p.Caller,
			Reason:    "denied: too many connections",
			Exceeding: err.Limit,
			Call:      m.Corr,
		})
		h.refuse(m, ser, err.Error())
		return false
	}
	payload, err := h.inflate(m)
	if err != nil {
		h.refuse(m, ser, object.SafeText(err))
		return false
	}
	id, data, err := pyro.ScanConnect(ser, payload)
	if err == nil && len(data) > object.MaxHandshakeBytes {
		err = object.Errorf(object.CodeTooLarge, "handshake data of %d bytes, at most %d are accepted", len(data),
			object.MaxHandshakeBytes)
	}
	if err != nil {
		h.refuse(m, ser, object.SafeText(err))
		return false
	}
	if data != nil {
		p.Caller.Handshake = &object.Handshake{
			Format: pyro.FormatOf(p.Protocol, ser).Format(),
			Data:   bytes.Clone(data),
		}
	}
	return h.welcome(ctx, m, ser, object.ID(id))
}

// inflate returns the payload of the first message.
func (h *Handshake) inflate(m *wire.Message) ([]byte, error) {
	if m.Flags&wire.Compressed == 0 {
		return m.Payload, nil
	}
	return wire.InflateGuarded(nil, m.Payload, MaxBytes, guard{h.Reserve})
}

// guard counts inflated bytes before they are allocated.
type guard struct{ reserve func(n int) error }

// Grow implements [wire.Guard].
func (g guard) Grow(n int) error { return g.reserve(n) }

// Head implements [wire.Guard].
func (guard) Head([]byte) error { return nil }

// welcome answers CONNECT, with the metadata of the object that it names if the client requests it.
func (h *Handshake) welcome(ctx context.Context, m *wire.Message, ser codec.Serializer, id object.ID) bool {
	p := h.Peer
	ok := &wire.Message{Protocol: p.Protocol, Type: wire.ConnectOK, Serializer: m.Serializer, Seq: m.Seq}
	socket.Correlate(m, ok)
	var answer any = pyro.Hello
	if p.Protocol == wire.Pyro5 || m.Flags&wire.MetaOnConnect != 0 {
		ok.Flags = m.Flags & wire.MetaOnConnect
		d, err := h.Dispatcher.Describe(ctx, &p.Caller, id)
		if err != nil {
			h.refuse(m, ser, object.SafeText(err))
			return false
		}
		answer = map[string]any{"handshake": pyro.Hello, "meta": pyro.Metadata(d, p.Protocol == wire.Pyro4)}
	}
	payload, err := codec.Append(ser, nil, answer)
	if err != nil {
		h.refuse(m, ser, "internal error")
		return false
	}
	if err := h.Reserve(len(payload)); err != nil {
		h.refuse(m, ser, object.SafeText(err))
		return false
	}
	ok.Payload = payload
	return p.Send(h.Socket, ok) == nil
}
