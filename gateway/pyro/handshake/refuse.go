package handshake

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// unproven records that the peer did not prove its identity.
func (h *Handshake) unproven(why string) {
	h.Dispatcher.Deny(&audit.Record{
		Event:  "connect",
		Caller: &h.Peer.Caller,
		Reason: "denied: identity not proven: " + why,
	})
}

// refuseUnknown refuses a peer that matches no principal.
func (h *Handshake) refuseUnknown(m *wire.Message, ser codec.Serializer) {
	caller := &h.Peer.Caller
	remedy, shown := unknownPeer(&caller.Peer)
	attrs := []any{"peer", caller.Peer.Addr, "auth", caller.Peer.Auth}
	h.Log(slog.LevelWarn, "unknown peer refused", append(attrs, shown...)...)
	h.Dispatcher.Deny(&audit.Record{
		Event:  "connect",
		Caller: caller,
		Reason: "denied: no permit names unidentified peers",
		Call:   m.Corr,
	})
	h.refuse(m, ser, "access denied: the host has no principal for this peer; "+remedy)
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

// unreadable answers an invalid first message with CONNECTFAIL, in the protocol that the message claims. A peer that
// sends nothing gets no answer: a name server checks in that way whether a host is alive.
func (h *Handshake) unreadable(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return
	}
	if errors.Is(err, wire.ErrHTTP) {
		h.answerHTTP()
		return
	}
	p := h.Peer
	p.Protocol = h.In.Protocol()
	reason := "receiving: timeout"
	var e *object.Error
	switch {
	case errors.As(err, &e):
		reason = e.Msg
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return
	}
	if p.Protocol == 0 {
		p.Protocol = wire.Pyro5
	}
	h.Log(slog.LevelInfo, "connection refused", "peer", h.Socket.RemoteAddr().String(), "err", err)
	h.refuse(&wire.Message{Protocol: p.Protocol}, codec.ByID(codec.MarshalData), reason)
}

// answerHTTP refuses an HTTP client in its own protocol. The deadline of the handshake bounds the answer.
func (h *Handshake) answerHTTP() {
	const body = "This is a Hearth host. It speaks the Pyro protocol here, not HTTP: " +
		"use a Pyro client, or hearth call.\n"
	const answer = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n" +
		"X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n" +
		"Content-Length: %d\r\n\r\n%s"
	h.Log(slog.LevelInfo, "connection refused", "peer", h.Socket.RemoteAddr().String(),
		"err", "an HTTP client connected to a listener for Pyro clients")
	if _, err := fmt.Fprintf(h.Socket, answer, len(body), body); err == nil {
		h.Socket.Linger()
	}
}

// refuse sends CONNECTFAIL with a reason. It closes the connection so that the reason arrives even if the peer still
// sends.
func (h *Handshake) refuse(m *wire.Message, ser codec.Serializer, reason string) {
	payload, err := codec.Append(ser, nil, reason)
	if err != nil {
		return
	}
	p := h.Peer
	_ = p.Send(h.Socket, &wire.Message{
		Protocol:   p.Protocol,
		Type:       wire.ConnectFail,
		Serializer: pyro.SerializerNumber(p.Protocol, ser),
		Seq:        m.Seq,
		Corr:       m.Corr,
		HasCorr:    m.HasCorr,
		Payload:    payload,
	})
	h.Socket.Linger()
}
