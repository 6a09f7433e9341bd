package client

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport/signed"
	"github.com/hearthhost/hearth/wire"
)

// DefaultAddress is where a host listens if it is not told otherwise.
const DefaultAddress = "127.0.0.1:7766"

// defaultMaxConns bounds the pool where Config does not.
const defaultMaxConns = 64

// Config says how to reach a host. The zero value reaches one at [DefaultAddress].
type Config struct {
	// Address is "host:port", "[ipv6]:port" or "unix:<path>"; "" means DefaultAddress.
	Address string
	// Protocol is object.Pyro4 or object.Pyro5; 0 means Pyro5.
	Protocol object.Protocol
	// Serializer is a name that codec.ByName knows; "" means "serpent".
	Serializer string
	// MaxConns bounds the connections open at once, sessions and streams included; 0
	// means 64. Calls beyond it wait.
	MaxConns int
	// MaxMessageBytes bounds an answer, on the wire and inflated; 0 means
	// wire.DefaultMaxBytes.
	MaxMessageBytes int
	// Dial opens a connection; nil means a net.Dialer. network is "tcp" or "unix".
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS, if set, runs on the connection. Its ServerName must be set.
	TLS *tls.Config
	// KeyID and Key, if KeyID is set, open an HMAC channel, inside TLS if there is both.
	KeyID string
	Key   signed.Key
	// Compress sends large payloads compressed.
	Compress bool
	// Timeout bounds dialling, and each call, if the context has no deadline; 0 means
	// no bound.
	Timeout time.Duration
}

// New returns a client. It opens no connection yet. Errors are CodeInvalid, for a
// protocol or serializer that does not exist.
func New(cfg Config) (*Client, error) {
	if cfg.Address == "" {
		cfg.Address = DefaultAddress
	}
	if cfg.Protocol == 0 {
		cfg.Protocol = object.Pyro5
	}
	if cfg.Protocol != object.Pyro4 && cfg.Protocol != object.Pyro5 {
		return nil, object.Errorf(object.CodeInvalid, "protocol %d: want 48 or 502", cfg.Protocol)
	}
	if cfg.Serializer == "" {
		cfg.Serializer = "serpent"
	}
	ser := codec.ByName(cfg.Serializer)
	if ser == nil {
		return nil, object.Errorf(object.CodeInvalid, "no serializer is called %q", cfg.Serializer)
	}
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = defaultMaxConns
	}
	if cfg.MaxMessageBytes <= 0 {
		cfg.MaxMessageBytes = wire.DefaultMaxBytes
	}
	if cfg.Dial == nil {
		cfg.Dial = new(net.Dialer).DialContext
	}
	c := &Client{cfg: cfg, ser: ser, network: "tcp", addr: cfg.Address,
		slots: make(chan struct{}, cfg.MaxConns), done: make(chan struct{}), open: map[*conn]bool{}}
	if path, ok := strings.CutPrefix(cfg.Address, "unix:"); ok {
		c.network, c.addr = "unix", path
	}
	return c, nil
}
