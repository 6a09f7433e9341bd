package issuer

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// Bounds of the documents of an issuer.
const (
	maxDiscoveryBytes = 64 << 10
	maxKeySetBytes    = 256 << 10
	maxKeys           = 64
	minRSABits        = 2048
	maxRSABits        = 8192
)

// keySet has the public keys of an issuer. It is immutable. nil is the set before the first fetch.
type keySet struct {
	keys    []publicKey
	fetched time.Time
}

// publicKey is one key of an issuer.
type publicKey struct {
	id         string
	algorithms []string // for which it may be used
	key        crypto.PublicKey
}

// find returns the keys for a token's header. A token without a key id has a key if the issuer has one key only. usable
// reports whether the set is recent enough.
func (s *keySet) find(h header, now time.Time) (found []crypto.PublicKey, usable bool) {
	if s == nil || now.Sub(s.fetched) > MaxAge {
		return nil, false
	}
	if h.keyID == "" && len(s.keys) != 1 {
		return nil, true
	}
	for i := range s.keys {
		if k := &s.keys[i]; (h.keyID == "" || k.id == h.keyID) && slices.Contains(k.algorithms, h.algorithm) {
			found = append(found, k.key)
		}
	}
	return found, true
}

// newClient returns a client that uses no proxy, follows no redirect, and holds no connection.
func newClient(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: FetchTimeout}).DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       FetchTimeout,
	}
}

// fetch returns the current keys of the issuer.
func (i *Issuer) fetch(ctx context.Context) (*keySet, error) {
	var discovered struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	at := strings.TrimSuffix(i.cfg.URL, "/") + "/.well-known/openid-configuration"
	if err := i.get(ctx, at, maxDiscoveryBytes, &discovered); err != nil {
		return nil, err
	}
	if discovered.Issuer != i.cfg.URL {
		return nil, fmt.Errorf("%s is the document of issuer %.255q", at, discovered.Issuer)
	}
	if err := i.checkURL(discovered.JWKSURI); err != nil {
		return nil, fmt.Errorf("%s: jwks_uri %.255q: %w", at, discovered.JWKSURI, err)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := i.get(ctx, discovered.JWKSURI, maxKeySetBytes, &set); err != nil {
		return nil, err
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("%s has more than %d keys", discovered.JWKSURI, maxKeys)
	}
	out := &keySet{}
	for _, raw := range set.Keys {
		if k, ok := parseKey(raw); ok {
			out.keys = append(out.keys, k)
		}
	}
	if len(out.keys) == 0 {
		return nil, fmt.Errorf("%s has no usable key", discovered.JWKSURI)
	}
	return out, nil
}

// checkURL rejects an address of keys that is not protected. The issuer of a loopback address may have its keys there.
func (i *Issuer) checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil {
		return errors.New("is not a URL")
	}
	if u.Scheme == "https" {
		return nil
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if u.Scheme != "http" || !strings.HasPrefix(i.cfg.URL, "http:") || err != nil || !ip.IsLoopback() {
		return errors.New("must be an https URL")
	}
	return nil
}

// get reads a JSON document of at most most bytes.
func (i *Issuer) get(ctx context.Context, from string, most int64, to any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "application/json")
	resp, err := i.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d; redirects are not followed", from, resp.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	if int64(len(b)) > most {
		return fmt.Errorf("%s is larger than %d bytes", from, most)
	}
	if err := json.Unmarshal(b, to); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return nil
}

// parseKey returns a public key for signatures. ok is false for other keys, which are ignored.
func parseKey(raw []byte) (out publicKey, ok bool) {
	var k jose.JSONWebKey
	if err := k.UnmarshalJSON(raw); err != nil || !k.Valid() || !k.IsPublic() || k.Use != "" && k.Use != "sig" {
		return out, false
	}
	out = publicKey{id: k.KeyID, key: k.Key}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return out, false
		}
		out.algorithms = []string{oidc.RS256, oidc.PS256}
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return out, false
		}
		out.algorithms = []string{oidc.ES256}
	case ed25519.PublicKey:
		out.algorithms = []string{oidc.EdDSA}
	default:
		return out, false
	}
	if k.Algorithm != "" {
		if !slices.Contains(out.algorithms, k.Algorithm) {
			return out, false
		}
		out.algorithms = []string{k.Algorithm}
	}
	return out, true
}
