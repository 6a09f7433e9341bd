package handshake

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/gateway/pyro/socket"
	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/transport"
	"github.com/hearthhost/hearth/wire"
)

// Peer is the peer of a connection. Revoked and Identified are safe for concurrent use; the rest belongs to the
// connection's goroutine.
type Peer struct {
	Caller   object.Caller
	Protocol wire.Protocol
	Legacy   *credential.LegacyKey // key of the messages' Pyro4 signatures; nil: unsigned messages

	listener *transport.Listener
	name     string // of the listener in the policy
	proof    atomic.Pointer[proof]
}

// proof is the evidence of the peer's identity.
type proof struct {
	channel   *transport.Channel
	legacy    *credential.LegacyKey
	principal object.Principal
	under     atomic.Pointer[policy.Policy] // the last policy under which the principal was checked
}

// Init sets the listener that accepted the peer, and its name in the policy.
func (p *Peer) Init(l *transport.Listener, name string) { p.listener, p.name = l, name }

// identify sets the identity that the peer of a channel has proven.
func (p *Peer) identify(ch *transport.Channel, snap *snapshot.Snapshot) {
	p.Caller.Peer, p.Caller.Principal = ch.Peer, snap.Credentials.Principal(ch.Peer)
	p.Caller.Peer.Gateway = object.GatewayPyro
	local := p.listener.Addr() // of a Unix socket
	if !strings.HasPrefix(local, "unix:") {
		local = ch.LocalAddr().String()
	}
	p.Caller.Peer.Endpoint = &object.Endpoint{Listener: p.name, Local: local}
	p.proof.Store(&proof{channel: ch, principal: p.Caller.Principal})
}

// errMismatch is the reason of a rejection: no key verifies the signature.
const errMismatch = "message hmac mismatch"

// checkSignature identifies a Pyro4 peer by the signature of its first message. It returns the reason of a rejection,
// "" for none. Ignoring a signature would make the peer rely on a check that did not happen.
func (p *Peer) checkSignature(m *wire.Message, snap *snapshot.Snapshot) string {
	if p.Protocol != wire.Pyro4 || !m.Signed() {
		return ""
	}
	if !p.listener.TakesLegacy(p.Caller.Peer.Channel) {
		return "hmac key config not symmetric"
	}
	p.Legacy = snap.Credentials.FindLegacy(m.Verify)
	if p.Legacy == nil {
		return errMismatch
	}
	// A channel's proof is stronger than a signature, which can be replayed.
	if way := p.Caller.Peer.Auth; way == "" || way == object.AuthPeer {
		p.Caller.Peer.Auth, p.Caller.Principal = object.AuthLegacy, p.Legacy.Principal
	}
	p.proof.Store(&proof{channel: p.proof.Load().channel, legacy: p.Legacy, principal: p.Caller.Principal})
	return ""
}

// ValidSignature reports whether a message after the handshake is signed exactly when this connection requires it.
func (p *Peer) ValidSignature(m *wire.Message) bool {
	if p.Legacy == nil {
		return p.Protocol != wire.Pyro4 || !m.Signed()
	}
	return m.Verify([]byte(p.Legacy.Secret))
}

// Send sends a message, signed if the connection requires it.
func (p *Peer) Send(s *socket.Socket, m *wire.Message) error {
	if p.Legacy != nil {
		m.Sign([]byte(p.Legacy.Secret))
	}
	return s.Send(m)
}

// Identified returns the principal and the address of the peer. ok is false before the handshake of its channel.
func (p *Peer) Identified() (who object.Principal, addr string, ok bool) {
	proof := p.proof.Load()
	if proof == nil {
		return "", "", false
	}
	return proof.principal, proof.channel.Peer.Addr, true
}

// Revoked returns an error if the proof of the peer is no longer valid. Call it after the handshake of the channel.
func (p *Peer) Revoked(snap *snapshot.Snapshot, now time.Time) error {
	proof := p.proof.Load()
	if err := p.listener.Revoked(proof.channel, now); err != nil {
		return err
	}
	credentials := snap.Credentials
	if proof.legacy != nil {
		if !credentials.Holds(proof.legacy) {
			return errors.New("the shared secret was revoked")
		}
		return nil
	}
	peer := proof.channel.Peer
	if peer.Auth != object.AuthHMAC && proof.under.Load() == snap.Policy {
		return nil // only keys change without the policy
	}
	if credentials.Principal(peer) != proof.principal {
		if peer.Auth == object.AuthHMAC {
			return fmt.Errorf("key %s proves another principal now", peer.Key)
		}
		return errors.New("the peer is another principal under the policy now")
	}
	proof.under.Store(snap.Policy)
	return nil
}
