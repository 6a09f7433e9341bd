// Package issuer verifies signed tokens (JWT) of OpenID Connect issuers.
//
// The host fetches the keys of an issuer from its server, and holds them for a bounded time. A fetch runs in a
// goroutine, and is bounded in time and size. Requests wait for it only if they cannot be decided without it.
//
// A token is verified with the keys of the issuer that it names, and only with algorithms of public keys. Addresses and
// keys in the token's header are ignored.
package issuer

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/hearthhost/hearth/object"
)

// Limits of tokens and keys.
const (
	MaxTokenBytes = 8 << 10
	Leeway        = time.Minute      // of the clocks of host and issuer
	RefreshAfter  = 10 * time.Minute // age of keys at which the host fetches them again
	MaxAge        = time.Hour        // age of keys at which tokens are rejected
	FetchInterval = 10 * time.Second // between two fetches, also after a failure
	FetchTimeout  = 5 * time.Second  // of a fetch

	maxWaiting = 64 // requests that wait for a fetch
)

// algorithms are the accepted signature algorithms.
var algorithms = []string{oidc.RS256, oidc.ES256, oidc.EdDSA, oidc.PS256}

// ErrUnavailable is the error for a token that cannot be verified because the issuer's keys are not available.
var ErrUnavailable = errors.New("the keys of the issuer are not available")

// Config configures an issuer.
type Config struct {
	URL   string         // of the issuer, as its tokens have it: https, or http with a loopback address
	Roots *x509.CertPool // authorities of its server; nil: those of the system
	Log   *slog.Logger   // nil: discard
	Now   func() time.Time
}

// Issuer verifies the tokens of one issuer. It is safe for concurrent use.
type Issuer struct {
	cfg    Config
	client *http.Client

	mu        sync.Mutex // guards the fields below
	keys      *keySet    // nil before the first fetch
	attempted time.Time  // start of the last fetch
	fetching  chan struct{}
	waiting   int // requests that wait for fetching
	failed    string
}

// New returns an issuer. It does not connect to the issuer's server.
func New(cfg Config) *Issuer {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Issuer{cfg: cfg, client: newClient(cfg.Roots)}
}

// verification are the checks of go-oidc: signature, algorithm and issuer.
var verification = oidc.Config{
	SupportedSigningAlgs: algorithms,
	SkipClientIDCheck:    true, // the policy has the audiences
	SkipExpiryCheck:      true, // checkTimes has a stated leeway
}

// Verify verifies a token and returns its claims. The caller checks the audience. The error is ErrUnavailable if the
// issuer's keys are missing; its text does not contain the token.
func (i *Issuer) Verify(ctx context.Context, token string) (*object.Claims, error) {
	if _, err := parse(token); err != nil {
		return nil, err
	}
	h, err := parseHeader(token)
	if err != nil {
		return nil, err
	}
	keys, err := i.lookup(ctx, h)
	if err != nil {
		return nil, err
	}
	set := &oidc.StaticKeySet{PublicKeys: keys}
	verified, err := oidc.NewVerifier(i.cfg.URL, set, &verification).Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	var payload json.RawMessage
	if err := verified.Claims(&payload); err != nil {
		return nil, err
	}
	c, err := parseClaims(payload)
	if err != nil {
		return nil, err
	}
	if c.issuer != i.cfg.URL { // go-oidc accepts a second spelling of one issuer
		return nil, fmt.Errorf("the token is of issuer %.255q", c.issuer)
	}
	if err := c.checkTimes(i.cfg.Now()); err != nil {
		return nil, err
	}
	return &object.Claims{Issuer: c.issuer, Expires: c.expires.Add(Leeway), Values: c.values}, nil
}

// Name returns the issuer that a token names, before the token is verified. The error does not contain the token.
func Name(token string) (string, error) {
	c, err := parse(token)
	if err != nil {
		return "", err
	}
	return c.issuer, nil
}

// lookup returns the keys that a token's header selects. It waits for a fetch only if they are missing or too old.
func (i *Issuer) lookup(ctx context.Context, h header) ([]crypto.PublicKey, error) {
	i.mu.Lock()
	now := i.cfg.Now()
	found, usable := i.keys.find(h, now)
	if len(found) > 0 {
		if now.Sub(i.keys.fetched) > RefreshAfter {
			i.fetchLocked(now)
		}
		i.mu.Unlock()
		return found, nil
	}
	done := i.fetchLocked(now)
	if done == nil || i.waiting >= maxWaiting {
		i.mu.Unlock()
		return nil, missing(usable)
	}
	i.waiting++
	i.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.waiting--
	found, usable = i.keys.find(h, i.cfg.Now())
	if len(found) == 0 {
		return nil, missing(usable)
	}
	return found, nil
}

// errNoKey is the error for a token whose key the issuer does not have.
var errNoKey = errors.New("the issuer has no such key")

// missing returns the error for a token without a key. usable reports whether the issuer's keys are known.
func missing(usable bool) error {
	if usable {
		return errNoKey
	}
	return ErrUnavailable
}

// fetchLocked starts a fetch, and returns a channel that is closed at its end. It returns nil if the last fetch began
// too recently: tokens with invented key ids must not cause a flood of fetches.
func (i *Issuer) fetchLocked(now time.Time) <-chan struct{} {
	if i.fetching != nil {
		return i.fetching
	}
	if !i.attempted.IsZero() && now.Sub(i.attempted) < FetchInterval {
		return nil
	}
	done := make(chan struct{})
	i.fetching, i.attempted = done, now
	go func() { // ends within FetchTimeout
		ctx, cancel := context.WithTimeout(context.Background(), FetchTimeout)
		defer cancel()
		keys, err := i.fetch(ctx)
		i.mu.Lock()
		defer i.mu.Unlock()
		if err == nil {
			keys.fetched = now
			i.keys = keys
		}
		i.reportLocked(err)
		i.fetching = nil
		close(done)
	}()
	return done
}

// reportLocked logs the end of a fetch. It logs the same failure once.
func (i *Issuer) reportLocked(err error) {
	switch {
	case err == nil && i.failed != "":
		i.cfg.Log.Info("keys of the issuer were fetched again", "issuer", i.cfg.URL)
		i.failed = ""
	case err != nil && i.failed != err.Error():
		i.cfg.Log.Error("fetch keys of the issuer: its tokens are rejected when the last keys are an hour old",
			"issuer", i.cfg.URL, "err", err)
		i.failed = err.Error()
	}
}
