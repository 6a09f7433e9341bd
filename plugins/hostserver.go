package plugins

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/hearthhost/hearth/plugins/rpc"
)

// Bounds on the connections from a plugin to the host: one is what it needs, and each that
// it makes costs the host a descriptor as well.
const (
	maxConns     = 4
	shakeTimeout = 5 * time.Second
)

// adapter is the plugin in go-plugin's terms.
type adapter struct {
	goplugin.NetRPCUnsupportedPlugin
	own    *hostServer
	client *goplugin.ClientConfig // has the TLS of both directions once the plugin runs
	number uint32                 // of the host's service
}

// GRPCServer implements go-plugin's GRPCPlugin, for the other side, which this is not.
func (a *adapter) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error {
	return errors.New("plugins: the host is no plugin")
}

// GRPCClient implements go-plugin's GRPCPlugin: it offers the host's service and returns
// the connection.
func (a *adapter) GRPCClient(_ context.Context, broker *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	if a.client.TLSConfig == nil {
		return nil, errors.New("plugins: there is no TLS")
	}
	s := newHostServer(a.own.service, a.own.budget, grpc.Creds(credentials.NewTLS(a.client.TLSConfig)))
	a.number = broker.NextId()
	go a.own.serve(s, func() (net.Listener, error) { return broker.Accept(a.number) }) // ends with stop
	return conn, nil
}

// hostServer is the host's service for one plugin.
type hostServer struct {
	service rpc.HostServer
	budget  Budget

	mu      sync.Mutex // guards what follows
	server  *grpc.Server
	stopped bool
}

// serve answers the plugin until stop.
func (h *hostServer) serve(s *grpc.Server, listen func() (net.Listener, error)) {
	l, err := listen()
	if err != nil {
		return // the plugin is gone, or waits in vain: its calls of others fail
	}
	h.mu.Lock()
	if h.stopped {
		l.Close()
	}
	h.server = s
	h.mu.Unlock()
	_ = s.Serve(&fewConns{Listener: l})
}

// stop ends the service, whether it has begun or not.
func (h *hostServer) stop() {
	h.mu.Lock()
	h.stopped = true
	s := h.server
	h.mu.Unlock()
	if s != nil {
		s.Stop()
	}
}

// fewConns closes the connections that are too many.
type fewConns struct {
	net.Listener
	mu   sync.Mutex // guards open
	open int
}

// Accept returns the next connection that is not.
func (l *fewConns) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		few := l.open < maxConns
		if few {
			l.open++
		}
		l.mu.Unlock()
		if few {
			return &countedConn{Conn: c, of: l}, nil
		}
		c.Close()
	}
}

// countedConn gives its place back when it is closed.
type countedConn struct {
	net.Conn
	of   *fewConns
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() {
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		c.of.open--
	})
	return c.Conn.Close()
}
