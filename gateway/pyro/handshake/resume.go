package handshake

import (
	"fmt"
	"net"
	"time"

	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport"
	"github.com/hearthhost/hearth/wire"
)

// IdentityFormat is the version of Identity. A process rejects another version than its own.
const IdentityFormat = 1

// Identity is an identified peer, for the process that takes over its connection.
type Identity struct {
	Format    int    // [IdentityFormat]
	Listener  string // name of the listener in the policy
	Protocol  wire.Protocol
	Principal object.Principal
	Proof     transport.Proof
	Local     string            // address of the host that the peer used
	Handshake *object.Handshake `json:",omitempty"`
}

// Identity returns the identity of a peer whose messages are not signed.
func (p *Peer) Identity() Identity {
	proof := p.proof.Load()
	return Identity{
		Format:    IdentityFormat,
		Listener:  p.name,
		Protocol:  p.Protocol,
		Principal: proof.principal,
		Proof:     proof.channel.Proof(),
		Local:     p.Caller.Peer.Endpoint.Local,
		Handshake: p.Caller.Handshake,
	}
}

// Resume sets an identity that another process has verified, and returns the channel of its connection. nc transmits
// the plaintext. It is an error if the identity is not valid under the snapshot.
func (p *Peer) Resume(nc net.Conn, id Identity, snap *snapshot.Snapshot) (*transport.Channel, error) {
	if id.Format != IdentityFormat {
		return nil, fmt.Errorf("the description of the peer has format %d, not %d", id.Format, IdentityFormat)
	}
	if id.Protocol != wire.Pyro4 && id.Protocol != wire.Pyro5 {
		return nil, fmt.Errorf("the peer has protocol %d", id.Protocol)
	}
	ch, err := p.listener.Resume(nc, id.Proof)
	if err != nil {
		return nil, err
	}
	p.Caller.Peer, p.Caller.Principal = ch.Peer, snap.Credentials.Principal(ch.Peer)
	p.Caller.Peer.Gateway = object.GatewayPyro
	if p.Caller.Principal != id.Principal {
		return nil, fmt.Errorf("the peer is not %s under the policy now", id.Principal)
	}
	if id.Principal == object.Anonymous && !snap.Policy.Known(object.Anonymous) {
		return nil, fmt.Errorf("the policy has no %s now", object.Anonymous)
	}
	p.Caller.Peer.Endpoint = &object.Endpoint{Listener: id.Listener, Local: id.Local}
	p.Caller.Handshake = id.Handshake
	p.Protocol = id.Protocol
	p.proof.Store(&proof{channel: ch, principal: id.Principal})
	return ch, p.Revoked(snap, time.Now())
}
