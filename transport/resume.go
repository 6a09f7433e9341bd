package transport

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/object"
)

// Proof is how the peer of a channel has proven its identity, for the process that takes over the connection.
type Proof struct {
	Peer   object.Peer
	KeySum []byte   `json:",omitempty"` // SHA-256 of the key if Auth is AuthHMAC
	Chain  [][]byte `json:",omitempty"` // verified certificates in DER if Auth is AuthCert, that of the client first
}

// Proof returns how the peer has proven its identity.
func (c *Channel) Proof() Proof {
	p := Proof{Peer: c.Peer}
	switch c.Peer.Auth {
	case object.AuthHMAC:
		sum := sha256.Sum256(c.key[:])
		p.KeySum = sum[:]
	case object.AuthCert:
		chain := c.chains[0]
		for _, cert := range chain[:max(1, len(chain)-1)] { // not the authority, which the listener has
			p.Chain = append(p.Chain, cert.Raw)
		}
	}
	return p
}

// Resume returns the channel of a connection that a listener of the same name in another process has opened. nc
// transmits its plaintext. The proof must come from that process. Resume returns an error if this listener would not
// accept the channel or the proof now.
func (l *Listener) Resume(nc net.Conn, p Proof) (*Channel, error) {
	ch := &Channel{Conn: nonblock.Wrap(nc), Peer: p.Peer}
	ch.socket = ch.Conn
	switch p.Peer.Channel {
	case "unix", "tcp":
		if !l.cfg.Plain {
			return nil, ErrPlain
		}
	case "tls":
		if l.cfg.TLS == nil {
			return nil, errors.New("the listener has no tls block any more")
		}
	}
	if p.Peer.Auth != "" && !l.cfg.accepts(p.Peer.Auth) {
		return nil, fmt.Errorf("the listener does not identify by %s any more", p.Peer.Auth)
	}
	switch p.Peer.Auth {
	case object.AuthHMAC:
		key, ok := l.cfg.Keys(p.Peer.Key)
		sum := sha256.Sum256(key[:])
		if !ok || subtle.ConstantTimeCompare(sum[:], p.KeySum) != 1 {
			return nil, fmt.Errorf("key %s was revoked", p.Peer.Key)
		}
		ch.key = key
	case object.AuthCert:
		return ch, l.resumeCert(ch, p.Chain)
	}
	return ch, nil
}

// resumeCert verifies the certificates of a client again.
func (l *Listener) resumeCert(ch *Channel, chain [][]byte) error {
	if l.cfg.TLS == nil {
		return errors.New("the listener has no tls block any more")
	}
	var certs []*x509.Certificate
	for _, der := range chain {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		certs = append(certs, cert)
	}
	t := l.cfg.TLS()
	chains, err := t.verify(certs)
	if err != nil {
		return err
	}
	if len(chains) == 0 {
		return errors.New("the connection has no certificate")
	}
	ch.chains, ch.Peer.Cert = chains, t.describe(chains[0])
	return nil
}
