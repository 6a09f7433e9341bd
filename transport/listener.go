package transport

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport/signed"
)

// Config configures a listener.
type Config struct {
	// Address is "127.0.0.1:7766" (port 0 means a free port), "[::1]:7766",
	// "0.0.0.0:7767" or "unix:path".
	Address string
	// Identify lists the authentication methods of connections: "peer", "hmac", "cert", "pyro4-hmac". An empty list
	// means "peer"; with HTTP it means none, because requests have credentials.
	Identify []string
	// Plain accepts connections without TLS and HMAC channel.
	Plain bool
	// HTTP means that the clients speak HTTP: TLS offers HTTP/1.1 and HTTP/2, and there is no HMAC channel.
	HTTP bool
	// TLS returns the configuration of the next TLS handshake; nil means no TLS.
	TLS func() *ServerTLS
	// Handshakes bounds TLS handshakes. The listeners of a process share it. nil means separate bounds.
	Handshakes *Handshakes
	// Keys returns the key of an id, for "hmac".
	Keys func(id string) (signed.Key, bool)
	// Socket is an inherited socket that already listens on Address; nil means a new socket. Listen owns it on success.
	Socket *Socket
}

// Listener accepts connections. Its methods are safe for concurrent use.
type Listener struct {
	cfg   Config
	local bool // only this machine can reach the address
	net   net.Listener
	addr  string

	once    sync.Once
	release func() error // removes the socket's file; may be nil
	adopted func() error // becomes release with Adopt
	keep    bool         // another process owns the socket's file
	err     error        // result of Close
}

// Listen opens a listener. It creates a missing folder of a Unix socket and replaces a socket file without a
// listener. A socket or port in use is an error that wraps EADDRINUSE. An insecure configuration is CodeInvalid: an
// unknown authentication method, "peer" or no method where other machines can connect, "pyro4-hmac" across a network
// without TLS. ctx bounds opening only.
func Listen(ctx context.Context, cfg Config) (*Listener, error) {
	a, err := parseAddress(cfg.Address)
	if err != nil {
		return nil, invalid(cfg.Address, err)
	}
	if err := cfg.check(a); err != nil {
		return nil, invalid(cfg.Address, err)
	}
	if len(cfg.Identify) == 0 && !cfg.HTTP {
		cfg.Identify = []string{object.AuthPeer}
	}
	if cfg.Handshakes == nil {
		cfg.Handshakes = NewHandshakes()
	}
	if cfg.Socket != nil {
		return inherit(cfg, a)
	}
	if a.unix != "" {
		l, err := listenUnix(ctx, a.unix)
		if err == nil {
			l.cfg, l.local = cfg, true
		}
		return l, err
	}
	var lc net.ListenConfig
	// No multipath TCP: such a connection has several sockets, and the owner lookup needs exactly one.
	lc.SetMultipathTCP(false)
	network := "tcp"
	if a.tcp.Addr().Is4() {
		network = "tcp4" // with "tcp", 0.0.0.0 would also accept IPv6
	}
	ln, err := lc.Listen(ctx, network, a.tcp.String())
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", cfg.Address, err)
	}
	return &Listener{cfg: cfg, local: a.local(), net: ln, addr: ln.Addr().String()}, nil
}

func invalid(addr string, err error) error {
	return &object.Error{Code: object.CodeInvalid, Msg: fmt.Sprintf("listening on %q: %v", addr, err)}
}

// Accept waits for the next connection and returns it unidentified. After Close the error wraps net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) { return l.net.Accept() }

// Addr returns the address for clients: "127.0.0.1:7766" with the real port, or "unix:path" with the configured path.
func (l *Listener) Addr() string { return l.addr }

// Close stops listening and removes the socket file, unless it was replaced. Accepted connections stay open. Further
// calls return the same result.
func (l *Listener) Close() error {
	l.once.Do(func() {
		// Remove the file first: another host could take a closed socket for a dead one.
		if l.release != nil {
			l.err = l.release()
		}
		if err := l.net.Close(); err != nil {
			l.err = err
		}
	})
	return l.err
}
