package transport

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport/signed"
)

// Config says where to listen.
type Config struct {
	// Address is "127.0.0.1:7766" (port 0 takes a free one), "[::1]:7766",
	// "0.0.0.0:7767" or "unix:path".
	Address string
	// Identify names the ways in which peers may be identified: "peer", "hmac", "cert",
	// "pyro4-hmac". None means "peer".
	Identify []string
	// Plain takes connections that are neither TLS nor the HMAC channel.
	Plain bool
	// TLS returns what the next TLS handshake goes by; nil: TLS is not taken.
	TLS func() *ServerTLS
	// Handshakes bounds TLS handshakes; listeners of one process share it. nil: the listener
	// has bounds of its own.
	Handshakes *Handshakes
	// Keys returns the key of an id, for "hmac".
	Keys func(id string) (signed.Key, bool)
	// Socket is a socket that listens on Address already; nil: a new one is made. Listen
	// takes it over if there is no error.
	Socket *Socket
}

// Listener accepts connections. Its methods may be called concurrently.
type Listener struct {
	cfg   Config
	local bool // only this machine reaches it
	net   net.Listener
	addr  string

	once    sync.Once
	release func() error // removes what the listener left in the file system; may be nil
	adopted func() error // becomes release with Adopt
	keep    bool         // the socket's file is somebody else's
	err     error        // of closing
}

// Listen opens a listener. The folder of a Unix socket is made if it is missing, a
// socket file that nobody listens on is replaced; one that somebody listens on is an
// error that wraps EADDRINUSE, as is a port that is taken. What does not identify anybody
// or would not hold is CodeInvalid: an unknown way, "peer" or nothing where other machines
// connect, "pyro4-hmac" across a network without TLS.
// ctx bounds opening only.
func Listen(ctx context.Context, cfg Config) (*Listener, error) {
	a, err := parseAddress(cfg.Address)
	if err != nil {
		return nil, invalid(cfg.Address, err)
	}
	if err := cfg.check(a); err != nil {
		return nil, invalid(cfg.Address, err)
	}
	if len(cfg.Identify) == 0 {
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
	// A multipath connection has several sockets; the kernel's table is asked about one.
	lc.SetMultipathTCP(false)
	network := "tcp"
	if a.tcp.Addr().Is4() {
		network = "tcp4" // or else 0.0.0.0 would mean [::], and be told from it by nobody but the policy
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

// Accept waits for the next connection and returns it as it is, unidentified. After
// Close the error wraps net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) { return l.net.Accept() }

// Addr returns the address that clients connect to: "127.0.0.1:7766" with the real port,
// or "unix:path" with the path as it was configured.
func (l *Listener) Addr() string { return l.addr }

// Close stops listening and removes the socket file, if that is still the one that
// Listen made. Connections that were accepted stay open. Closing again does nothing and
// returns the same.
func (l *Listener) Close() error {
	l.once.Do(func() {
		// The file goes first: a socket that is gone is not taken for a dead one.
		if l.release != nil {
			l.err = l.release()
		}
		if err := l.net.Close(); err != nil {
			l.err = err
		}
	})
	return l.err
}
