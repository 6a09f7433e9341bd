package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport/channel"
	"github.com/hearthhost/hearth/transport/peer"
	"github.com/hearthhost/hearth/transport/signed"
)

// Channel is an open connection with its identified peer.
type Channel struct {
	net.Conn             // decrypted connection
	Peer     object.Peer // identity of the peer

	socket net.Conn // underlying socket; nil after Codec
	tls    *tls.Conn
	memory *channel.Memory // below tls
	signed *signed.Conn
	key    signed.Key            // key of the peer if Auth is AuthHMAC
	chains [][]*x509.Certificate // verified chains if Auth is AuthCert
}

// OnIdle sets a function that the reading goroutine calls when no data is available and a read is about to block. It
// must not be called during a read.
func (c *Channel) OnIdle(f func()) {
	if n, ok := c.socket.(*nonblock.Conn); ok {
		n.OnIdle(f)
	}
}

// Codec separates the channel from its socket, which the caller owns and transmits from now on. The codec converts the
// bytes, starting with a call of Feed without bytes; it is nil for a plain connection. The Channel must not be read or
// written any more.
func (c *Channel) Codec() (codec channel.Codec, err error) {
	if u, ok := c.Conn.(*unread); ok && u.left {
		return nil, errors.New("codec of a channel: a byte was not read")
	}
	if c.tls != nil {
		if codec, err = channel.NewTLS(c.tls, c.memory); err != nil {
			return nil, err
		}
	}
	if c.signed != nil {
		inner, ok := c.signed.Codec()
		switch {
		case !ok:
			return nil, errors.New("HMAC codec: the handshake is not complete")
		case codec != nil:
			codec = &channel.Nested{Outer: codec, Inner: inner}
		default:
			codec = inner
		}
	}
	c.Conn, c.socket, c.tls, c.memory, c.signed = nil, nil, nil, nil, nil
	return codec, nil
}

// ErrPlain reports a plain connection to a listener that does not accept plain connections.
var ErrPlain = errors.New("plain connections are not taken here: use TLS or the HMAC channel")

// First bytes of the channels.
const (
	tlsHandshake = 0x16
	hmacMagic    = 'H' // first byte of signed.Magic
	httpHead     = "HEAD "
)

// tlsRefusal is the fatal TLS alert handshake_failure.
var tlsRefusal = []byte{0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x28}

// Open detects the channel of an accepted connection by its first bytes, makes its handshake and identifies the peer.
// The connection's deadline bounds it. The error is ErrPlain or describes the failed handshake; the channel has then
// sent its own error to the peer.
func (l *Listener) Open(nc net.Conn) (*Channel, error) {
	first, err := peek(nc)
	if err != nil {
		return nil, err
	}
	ch := &Channel{Conn: nonblock.Wrap(nc), Peer: peer.Describe(nc)}
	ch.socket = ch.Conn
	switch {
	case first[0] == tlsHandshake:
		if l.cfg.TLS == nil {
			_, _ = ch.Write(tlsRefusal)
			return nil, errors.New(
				"TLS is not taken here: the listener has no tls block, and the client uses TLS or HTTPS")
		}
		err = l.openTLS(ch, sourceOf(nc))
	case first[0] == hmacMagic && string(first) != httpHead && !l.cfg.HTTP:
		err = l.openHMAC(ch)
	case !l.cfg.Plain:
		return nil, ErrPlain
	}
	if err != nil {
		return nil, err
	}
	if ch.Peer.Auth == "" && l.cfg.accepts(object.AuthPeer) {
		if known := peer.Identify(nc); known.Auth != "" {
			ch.Peer.Auth, ch.Peer.UID = known.Auth, known.UID
		}
	}
	return ch, nil
}

// peek returns the first available bytes, at least one, without consuming them.
func peek(nc net.Conn) ([]byte, error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("a %T is not a socket", nc)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	var b [len(httpHead)]byte
	var n int
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, _, failed = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
			if !errors.Is(failed, unix.EINTR) {
				return !errors.Is(failed, unix.EAGAIN)
			}
		}
	})
	switch {
	case err != nil:
		return nil, err
	case failed != nil:
		return nil, failed
	case n == 0:
		return nil, io.EOF
	}
	return b[:n], nil
}

// openHMAC makes the handshake of the HMAC channel.
func (l *Listener) openHMAC(ch *Channel) error {
	if !l.cfg.accepts(object.AuthHMAC) {
		return errors.New("the HMAC channel is not taken here: the listener does not identify by hmac")
	}
	sc := signed.Server(ch.Conn, func(id string) (signed.Key, bool) {
		key, ok := l.cfg.Keys(id)
		ch.key = key
		return key, ok
	})
	if err := sc.Handshake(); err != nil {
		return err
	}
	if ch.Peer.Channel != "tls" {
		ch.Peer.Channel = "hmac"
	}
	ch.Conn, ch.signed = sc, sc
	ch.Peer.Auth, ch.Peer.Key, ch.Peer.Cert, ch.chains = object.AuthHMAC, sc.KeyID(), nil, nil
	return nil
}

// openTLS makes the TLS handshake, and the handshake of an HMAC channel inside TLS.
func (l *Listener) openTLS(ch *Channel, from source) error {
	t := l.cfg.TLS()
	hc, err := l.cfg.Handshakes.begin(ch.Conn, from)
	if err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	ch.memory = &channel.Memory{Conn: hc}
	tc, chains, err := t.handshake(ch.memory, l.cfg.protocols())
	hc.end()
	if err != nil {
		return err
	}
	ch.Conn, ch.tls, ch.Peer.Channel = tc, tc, "tls"
	if len(chains) > 0 && l.cfg.accepts(object.AuthCert) {
		ch.chains = chains
		ch.Peer.Auth, ch.Peer.Cert = object.AuthCert, t.describe(chains[0])
	}
	if !l.cfg.accepts(object.AuthHMAC) {
		return nil
	}
	inner := &unread{Conn: tc}
	if _, err := io.ReadFull(tc, inner.first[:]); err != nil {
		return fmt.Errorf("inside TLS: %w", err)
	}
	inner.left = true
	ch.Conn = inner
	if inner.first[0] == hmacMagic {
		return l.openHMAC(ch)
	}
	return nil
}

// protocols returns the application protocols that TLS offers; nil for Pyro clients.
func (c *Config) protocols() []string {
	if c.HTTP {
		return []string{"h2", "http/1.1"}
	}
	return nil
}

// unread is a connection whose first byte was read and is returned again.
type unread struct {
	net.Conn
	first [1]byte
	left  bool
}

func (u *unread) Read(p []byte) (int, error) {
	if u.left && len(p) > 0 {
		u.left = false
		p[0] = u.first[0]
		return 1, nil
	}
	return u.Conn.Read(p)
}

// CloseWrite ends the writing side.
func (u *unread) CloseWrite() error {
	if w, ok := u.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// TakesLegacy reports whether signed Pyro4 messages authenticate their sender on a channel.
func (l *Listener) TakesLegacy(channel string) bool {
	return l.cfg.accepts(object.AuthLegacy) && (l.local || channel == "tls")
}

// TakesTLS reports whether the listener accepts TLS.
func (l *Listener) TakesTLS() bool { return l.cfg.TLS != nil }

// ServerName returns a name in the host's certificate, "" without a certificate.
func (l *Listener) ServerName() string {
	if l.cfg.TLS == nil {
		return ""
	}
	switch leaf := l.cfg.TLS().chain[0]; {
	case len(leaf.DNSNames) > 0:
		return leaf.DNSNames[0]
	case len(leaf.IPAddresses) > 0:
		return leaf.IPAddresses[0].String()
	}
	return ""
}

// Revoked returns the reason why the identity of an open channel is no longer valid; nil if it is. Reasons are: the key
// was removed or replaced; the certificate or one of its authorities was revoked, expired or is no longer trusted.
func (l *Listener) Revoked(ch *Channel, now time.Time) error {
	switch ch.Peer.Auth {
	case object.AuthHMAC:
		if key, ok := l.cfg.Keys(ch.Peer.Key); !ok || key != ch.key {
			return fmt.Errorf("key %s was revoked", ch.Peer.Key)
		}
	case object.AuthCert:
		return l.cfg.TLS().holds(ch.chains, ch.Peer.Cert, now)
	}
	return nil
}
