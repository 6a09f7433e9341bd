package egress

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/service/egress/rule"
)

// Bounds of the connections of one block.
const (
	maxIdleConns     = 16
	idleTimeout      = 30 * time.Second
	handshakeTimeout = 10 * time.Second
	maxResponseHead  = 64 << 10
	maxCABytes       = 1 << 20
)

// pool has the connections, limits and credentials of one block. The fields do not change.
type pool struct {
	client         *Client
	block          rule.Block
	files          []fs.FileInfo // of the block's TLS files when they were read
	transport      *http.Transport
	tokenTransport *http.Transport // to the server of tokens, without client certificate and pins
	slots          chan struct{}   // a token for each running request
	bucket         bucket
	cache          secretCache
	token          *tokens
}

// pool returns the pool of a block. If the block or its files have changed, a new pool replaces the last one, whose
// running requests end normally.
func (c *Client) pool(b *rule.Block) (*pool, error) {
	key := poolKey{b.Tenant, b.Name}
	files := stats(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.pools[key]
	if last != nil && last.same(b) && slices.EqualFunc(last.files, files, sameFile) {
		return last, nil
	}
	p, err := c.newPool(b)
	if err != nil {
		return nil, err
	}
	p.files = files
	if last != nil {
		last.close()
	}
	c.pools[key] = p
	return p, nil
}

// Keep closes the connections of blocks that are not among those of keep. It is called after the policy has changed.
func (c *Client) Keep(keep []*rule.Block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, p := range c.pools {
		if !slices.ContainsFunc(keep, func(b *rule.Block) bool { return b.Tenant == key.tenant && p.same(b) }) {
			p.close()
			delete(c.pools, key)
		}
	}
}

// Close closes the idle connections of all blocks.
func (c *Client) Close() { c.Keep(nil) }

// same reports whether a block has the same rules as that of the pool. Its position in the policy is not compared.
func (p *pool) same(b *rule.Block) bool {
	now := *b
	now.Where = p.block.Where
	return reflect.DeepEqual(now, p.block)
}

func (p *pool) close() {
	p.transport.CloseIdleConnections()
	if p.tokenTransport != nil {
		p.tokenTransport.CloseIdleConnections()
	}
}

// stats returns the status of the block's files, nil for one that cannot be read.
func stats(b *rule.Block) (out []fs.FileInfo) {
	paths := []string{b.CA}
	if b.Cert != nil {
		paths = append(paths, b.Cert.Cert, b.Cert.Key)
	}
	for _, path := range paths {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		out = append(out, info)
	}
	return out
}

func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

func (c *Client) newPool(b *rule.Block) (*pool, error) {
	limits := b.Limits.WithDefaults()
	p := &pool{
		client: c,
		block:  *b,
		slots:  make(chan struct{}, limits.Concurrent),
		token:  newTokens(),
		bucket: bucket{interval: limits.Interval, burst: max(1, limits.Burst)},
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if b.CA != "" {
		pem, err := safefile.ReadPublic(b.CA, maxCABytes)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca: %s has no certificate", b.CA)
		}
	}
	if b.OAuth != nil {
		p.tokenTransport = p.newTransport(secure.Clone())
	}
	if b.Cert != nil {
		pair, err := safefile.ReadKeyPair(b.Cert.Cert, b.Cert.Key)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		secure.Certificates = []tls.Certificate{pair}
	}
	if len(b.Pins) > 0 {
		secure.VerifyConnection = func(cs tls.ConnectionState) error { return checkPins(b.Pins, cs) }
	}
	p.transport = p.newTransport(secure)
	return p, nil
}

// newTransport returns a transport that reads no setting of the environment.
func (p *pool) newTransport(secure *tls.Config) *http.Transport {
	d := &dialer{resolver: p.client.cfg.Resolver, private: p.block.Private, own: p.client.cfg.Own}
	if d.resolver == nil {
		d.resolver = net.DefaultResolver
	}
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            d.dial,
		TLSClientConfig:        secure,
		TLSHandshakeTimeout:    handshakeTimeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // see decoded
		MaxIdleConns:           maxIdleConns,
		MaxIdleConnsPerHost:    maxIdleConns,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxResponseHead,
	}
}

// checkPins returns an error unless a verified chain has a public key of the pins.
func checkPins(pins [][32]byte, cs tls.ConnectionState) error {
	for _, chain := range cs.VerifiedChains {
		for _, cert := range chain {
			if slices.Contains(pins, sha256.Sum256(cert.RawSubjectPublicKeyInfo)) {
				return nil
			}
		}
	}
	return errors.New("tls: no public key of the server's chain is in pin")
}
