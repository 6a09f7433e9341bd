package transport

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/hearthhost/hearth/object"
)

// Config says where to listen.
type Config struct {
	// Address is "127.0.0.1:7766" (or another loopback address; port 0 takes a free
	// one), "[::1]:7766" or "unix:path".
	Address string
	// Identify names the ways in which peers may be identified. Only "peer" exists; none
	// means "peer".
	Identify []string
}

// Listener accepts connections. Its methods may be called concurrently.
type Listener struct {
	net  net.Listener
	addr string

	once    sync.Once
	release func() error // removes what the listener left in the file system; may be nil
	err     error        // of closing
}

// Listen opens a listener. The folder of a Unix socket is made if it is missing, a
// socket file that nobody listens on is replaced; one that somebody listens on is an
// error that wraps EADDRINUSE, as is a port that is taken. Addresses that are neither
// loopback nor Unix sockets are CodeInvalid, and so is an unknown way of identification.
// ctx bounds opening only.
func Listen(ctx context.Context, cfg Config) (*Listener, error) {
	a, err := parseAddress(cfg.Address)
	if err != nil {
		return nil, invalid(cfg.Address, err)
	}
	if err := checkWays(cfg.Identify); err != nil {
		return nil, invalid(cfg.Address, err)
	}
	if a.unix != "" {
		return listenUnix(ctx, a.unix)
	}
	var lc net.ListenConfig
	// A multipath connection has several sockets; the kernel's table is asked about one.
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(ctx, "tcp", a.tcp.String())
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", cfg.Address, err)
	}
	return &Listener{net: ln, addr: ln.Addr().String()}, nil
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
