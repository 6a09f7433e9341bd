package credential

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/hearthhost/hearth/host/issuer"
	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/transport/keyfile"
)

// maxAuthorityBytes bounds a file with the authorities of an issuer's server.
const maxAuthorityBytes = 1 << 20

// Refusal is the error for credentials that prove nothing. Its text is the same for all tokens that are not accepted,
// so that it does not help to guess one.
type Refusal struct {
	err       object.Error
	challenge string
}

// Error returns the text for the log, with the cause. It does not contain the token.
func (r *Refusal) Error() string { return r.err.Error() }

// Unwrap returns the error with the text for the caller.
func (r *Refusal) Unwrap() error { return &r.err }

// Challenge returns the value of the header WWW-Authenticate.
//
// Source: RFC 6750, section 3.
func (r *Refusal) Challenge() string { return r.challenge }

// realm is the challenge for a request without credentials.
const realm = `Bearer realm="hearth"`

// refuse returns a Refusal. cause is for the log only.
func refuse(code object.Code, kind, text string, cause error) *Refusal {
	r := &Refusal{err: object.Error{Code: code, Msg: text, Err: cause}, challenge: realm}
	if kind != "" {
		r.challenge += `, error="` + kind + `"`
	}
	return r
}

// invalidToken returns the Refusal for a token that is not accepted. cause is for the log.
func invalidToken(cause error) *Refusal {
	return refuse(object.CodeUnauthenticated, "invalid_token", "the token is not valid", cause)
}

// Causes of an invalid token, for the log.
var (
	errUnknownKey = errors.New("unknown bearer key, or another secret")
	errIssuer     = errors.New("no principal has tokens of this issuer")
	errAudience   = errors.New("the token matches no principal")
)

// Authenticator identifies the callers of HTTP requests by the header Authorization. It is safe for concurrent use.
type Authenticator struct {
	Store func() *Store // returns the current one
	Log   *slog.Logger
}

// Authenticate returns the peer that a request's header Authorization proves. The result has Auth, Key and Claims only.
// The error is a [Refusal]: CodeUnauthenticated for a token that is not accepted, CodeInvalid for a malformed request,
// CodeUnavailable if the keys of the token's issuer are missing. It contains neither the token nor its claims.
func (a *Authenticator) Authenticate(ctx context.Context, r *http.Request) (object.Peer, error) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return object.Peer{}, refuse(object.CodeInvalid, "invalid_request",
			"a request must have one header Authorization", nil)
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return object.Peer{}, refuse(object.CodeUnauthenticated, "",
			"the header Authorization must be of the scheme Bearer", nil)
	}
	if token == "" || len(token) > issuer.MaxTokenBytes || strings.Trim(token, tokenBytes) != "" {
		return object.Peer{}, refuse(object.CodeInvalid, "invalid_request", "the token is malformed", nil)
	}
	peer, err := a.Store().prove(ctx, token)
	if err != nil && a.Log != nil {
		a.Log.Debug("token refused", "err", err.err.Err)
	}
	if err != nil {
		return object.Peer{}, err
	}
	return peer, nil
}

// tokenBytes are the bytes of a token.
//
// Source: RFC 6750, section 2.1 (b64token).
const tokenBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="

// prove returns the peer that a token proves.
func (s *Store) prove(ctx context.Context, token string) (object.Peer, *Refusal) {
	if strings.HasPrefix(token, keyfile.BearerPrefix) {
		id, ok := s.checkBearer(token)
		if !ok {
			return object.Peer{}, invalidToken(errUnknownKey)
		}
		return object.Peer{Auth: object.AuthBearer, Key: id}, nil
	}
	name, err := issuer.Name(token)
	if err != nil {
		return object.Peer{}, invalidToken(err)
	}
	from := s.issuers[name]
	if from == nil {
		return object.Peer{}, invalidToken(errIssuer)
	}
	claims, err := from.Verify(ctx, token)
	switch {
	case errors.Is(err, issuer.ErrUnavailable):
		return object.Peer{}, refuse(object.CodeUnavailable, "",
			"the token cannot be verified now; not executed, try again", err)
	case err != nil:
		return object.Peer{}, invalidToken(err)
	}
	peer := object.Peer{Auth: object.AuthOIDC, Claims: claims}
	if s.Principal(peer) == object.Anonymous { // another audience, other claims, or two principals
		return object.Peer{}, invalidToken(errAudience)
	}
	return peer, nil
}

// noKey takes the place of an unknown key, so that the same steps run for it. No token has this SHA-256.
var noKey bearerKey

// checkBearer reports whether a token is that of a bearer key, and returns the key's id. Known and unknown ids take the
// same steps: one hash and one comparison in constant time.
func (s *Store) checkBearer(token string) (id string, ok bool) {
	id, formed := keyfile.ParseToken(token)
	key, known := s.current.Load().bearer[id]
	if !known {
		key = noKey
	}
	sum := sha256.Sum256([]byte(token))
	equal := subtle.ConstantTimeCompare(sum[:], key.sum[:]) == 1
	return id, equal && known && formed
}

// openIssuers makes the issuers of the policy's tokens. Those of before are used further, with their keys.
func (s *Store) openIssuers(before *Store) error {
	s.issuers = map[string]*issuer.Issuer{}
	var problems []error
	for i := range s.policy.Tokens {
		rule := &s.policy.Tokens[i]
		if s.issuers[rule.Issuer] != nil {
			continue
		}
		if before != nil && before.issuers[rule.Issuer] != nil && before.authority(rule.Issuer) == rule.CA {
			s.issuers[rule.Issuer] = before.issuers[rule.Issuer]
			continue
		}
		roots, err := authorities(rule)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		s.issuers[rule.Issuer] = issuer.New(issuer.Config{URL: rule.Issuer, Roots: roots, Log: s.log})
	}
	return errors.Join(problems...)
}

// authority returns the file with the authorities of an issuer's server.
func (s *Store) authority(issuer string) string {
	for i := range s.policy.Tokens {
		if s.policy.Tokens[i].Issuer == issuer {
			return s.policy.Tokens[i].CA
		}
	}
	return ""
}

// authorities reads the authorities of an issuer's server, nil for those of the system.
func authorities(rule *policy.TokenRule) (*x509.CertPool, error) {
	if rule.CA == "" {
		return nil, nil //nolint:nilnil // nil is the pool of the system
	}
	text, err := safefile.ReadPublic(rule.CA, maxAuthorityBytes)
	if err != nil {
		return nil, fmt.Errorf("%s: ca: %w", rule.Where, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: ca: %s has no certificate in PEM", rule.Where, rule.CA)
	}
	return pool, nil
}
