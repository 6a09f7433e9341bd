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

// Bounds on the connections from a plugin to the host. A plugin needs one. Each connection takes a descriptor of the
// host.
const (
	maxConns     = 4
	shakeTimeout = 5 * time.Second
)

// adapter is the plugin as go-plugin requires it.
type adapter struct {
	goplugin.NetRPCUnsupportedPlugin
	host   *hostServer
	client *goplugin.ClientConfig // has the TLS configuration of both directions after the start
	number uint32                 // number of the host's service
}

// GRPCServer implements go-plugin's GRPCPlugin for the plugin's side. The host does not use it.
func (a *adapter) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error {
	return errors.New("plugins: the host is not a plugin")
}

// GRPCClient implements go-plugin's GRPCPlugin. It offers the host's service and returns the connection.
func (a *adapter) GRPCClient(_ context.Context, broker *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	if a.client.TLSConfig == nil {
		return nil, errors.New("plugins: TLS is not configured")
	}
	s := newHostServer(a.host.service, a.host.budget, grpc.Creds(credentials.NewTLS(a.client.TLSConfig)))
	a.number = broker.NextId()
	go a.host.serve(s, func() (net.Listener, error) { return broker.Accept(a.number) }) // ends with stop
	return conn, nil
}

// hostServer serves the host's service to one plugin.
type hostServer struct {
	service rpc.HostServer
	budget  Budget

	mu      sync.Mutex // guards the fields below
	server  *grpc.Server
	stopped bool
}

// serve answers requests until stop.
func (h *hostServer) serve(s *grpc.Server, listen func() (net.Listener, error)) {
	l, err := listen()
	if err != nil {
		return // the plugin has ended or did not connect: its requests fail
	}
	h.mu.Lock()
	if h.stopped {
		l.Close()
	}
	h.server = s
	h.mu.Unlock()
	_ = s.Serve(&limitListener{Listener: l})
}

// stop ends the service, also before serve.
func (h *hostServer) stop() {
	h.mu.Lock()
	h.stopped = true
	s := h.server
	h.mu.Unlock()
	if s != nil {
		s.Stop()
	}
}

// limitListener closes connections beyond maxConns.
type limitListener struct {
	net.Listener
	mu   sync.Mutex // guards open
	open int
}

// Accept returns the next connection within the limit.
func (l *limitListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		admitted := l.open < maxConns
		if admitted {
			l.open++
		}
		l.mu.Unlock()
		if admitted {
			return &countedConn{Conn: c, listener: l}, nil
		}
		c.Close()
	}
}

// countedConn releases its slot when it is closed.
type countedConn struct {
	net.Conn
	listener *limitListener
	once     sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() {
		c.listener.mu.Lock()
		defer c.listener.mu.Unlock()
		c.listener.open--
	})
	return c.Conn.Close()
}
