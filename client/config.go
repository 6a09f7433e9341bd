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

// DefaultAddress is the default address of a host.
const DefaultAddress = "127.0.0.1:7766"

// defaultMaxConns is the default bound of the pool.
const defaultMaxConns = 64

// Config holds the address of a host and the settings of a client. The zero value connects to [DefaultAddress].
type Config struct {
	// Address is "host:port", "[ipv6]:port" or "unix:<path>"; "" means DefaultAddress. With "http://host:port",
	// "https://host:port" or "http+unix:<path>" the client speaks HTTP; see doc.go.
	Address string
	// Protocol is wire.Pyro4 or wire.Pyro5; 0 means Pyro5.
	Protocol wire.Protocol
	// Serializer is "serpent", "json" or "msgpack"; "" means "serpent".
	Serializer string
	// MaxConns bounds the connections in use, with sessions and streams; 0 means 64. Further calls wait.
	MaxConns int
	// MaxMessageBytes bounds a reply in bytes, before and after inflation; 0 means wire.DefaultMaxBytes.
	MaxMessageBytes int
	// Dial opens a connection; nil means a net.Dialer. network is "tcp" or "unix".
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS is the configuration of a TLS connection, with ServerName; nil means no TLS.
	TLS *tls.Config
	// KeyID and Key open an HMAC channel, inside TLS if TLS is set; "" means no HMAC channel.
	KeyID string
	Key   signed.Key
	// Bearer is the bearer key or token of HTTP requests; "" means none. It is sent over TLS and on this machine only.
	Bearer string
	// Compress sends large payloads compressed.
	Compress bool
	// Timeout bounds connecting and each call if the context has no deadline; 0 means no bound.
	Timeout time.Duration
}

// New returns a client without connections. An unsupported protocol or serializer is CodeInvalid.
func New(cfg Config) (*Client, error) {
	if cfg.Address == "" {
		cfg.Address = DefaultAddress
	}
	if cfg.Protocol == 0 {
		cfg.Protocol = wire.Pyro5
	}
	if cfg.Protocol != wire.Pyro4 && cfg.Protocol != wire.Pyro5 {
		return nil, object.Errorf(object.CodeInvalid, "protocol %d is not supported; use 48 or 502", cfg.Protocol)
	}
	if cfg.Serializer == "" {
		cfg.Serializer = "serpent"
	}
	ser := codec.ByName(cfg.Serializer)
	if ser == nil {
		return nil, object.Errorf(object.CodeInvalid,
			"serializer %q is not supported; use serpent, json or msgpack", cfg.Serializer)
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
	c := &Client{
		cfg:     cfg,
		ser:     ser,
		network: "tcp",
		addr:    cfg.Address,
		slots:   semaphore{free: cfg.MaxConns},
		done:    make(chan struct{}),
		open:    map[*conn]bool{},
	}
	if path, ok := strings.CutPrefix(cfg.Address, "unix:"); ok {
		c.network, c.addr = "unix", path
	}
	if !isWeb(cfg.Address) {
		if cfg.Bearer != "" {
			return nil, object.Errorf(object.CodeInvalid, "a bearer key needs an HTTP address, http://… or https://…")
		}
		return c, nil
	}
	var err error
	c.web, err = newWebClient(c)
	return c, err
}
