package builtin

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/transport/ca"
	"github.com/hearthhost/hearth/transport/enroll"
	"github.com/hearthhost/hearth/transport/keyfile"
)

// enrolling reports whether a caller was authenticated with a token. Pyro.Enroll is visible to these callers only.
func enrolling(caller *object.Caller) bool {
	return strings.HasPrefix(string(caller.Principal), credential.EnrollPrefix)
}

// maxPublicBytes bounds a public key of X25519 in base64, which has 44.
const maxPublicBytes = 64

// enrollMethods are the methods of Pyro.Enroll.
var enrollMethods = map[object.Method]method{
	"certificate": {[]string{"request"}, func(c *invocation, args []any) (any, error) {
		csr, err := text("request", args[0])
		if err != nil {
			return nil, err
		}
		public, err := ca.ReadRequest([]byte(csr))
		if err != nil {
			return nil, invalid(err.Error())
		}
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			return nil, err
		}
		return c.enroll(enroll.Cert, der, func(t *enroll.Token) (issuer, error) {
			return c.enrollCert(t, public)
		})
	}},
	"key": {[]string{"public"}, func(c *invocation, args []any) (any, error) {
		s, err := text("public", args[0])
		if err != nil {
			return nil, err
		}
		if len(s) > maxPublicBytes {
			return nil, invalid(fmt.Sprintf("public: %d bytes; at most %d are permitted", len(s), maxPublicBytes))
		}
		der, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return nil, invalid("public: not base64")
		}
		public, err := ecdh.X25519().NewPublicKey(der)
		if err != nil {
			return nil, invalid("public: not a key of X25519")
		}
		return c.enroll(enroll.Key, der, func(t *enroll.Token) (issuer, error) {
			return c.enrollKey(t, public)
		})
	}},
}

func invalid(msg string) error {
	return &object.Error{Code: object.CodeInvalid, Reason: object.ReasonValue, Msg: msg}
}

// issuer makes the credential for which a token is exchanged.
type issuer func() (map[string]string, error)

// enroll exchanges the caller's token for a credential of a public key. Repeated calls with the same key return the
// same reply. prepare makes every check that is possible before the token is spent.
func (c *invocation) enroll(
	kind enroll.Kind, public []byte, prepare func(*enroll.Token) (issuer, error),
) (any, error) {
	c.enrolling.Lock()
	defer c.enrolling.Unlock()
	dir := c.snap.Credentials.TokenFolder()
	unlock, err := enroll.Lock(dir) // excludes other hosts with this folder, and hearth enroll revoke
	if err != nil {
		return nil, err
	}
	defer unlock()
	t, err := enroll.Read(dir, strings.TrimPrefix(string(c.call.Caller.Principal), credential.EnrollPrefix))
	if err != nil || !time.Now().Before(t.Expires) {
		return nil, &object.Error{
			Code:  object.CodeDenied,
			Class: "PermissionError",
			Msg:   "this token is no longer valid: request a new one from the operator",
			Err:   err,
		}
	}
	if t.Kind != kind {
		return nil, invalid("this token is for a " + string(t.Kind))
	}
	reply, used, err := t.Used(public)
	if err != nil {
		c.cfg.Log.Warn("enrolment refused",
			"token", t.ID, "for", t.Principal, "peer", c.call.Caller.Peer.Addr, "err", err)
		return nil, &object.Error{Code: object.CodeDenied, Class: "PermissionError", Msg: err.Error()}
	}
	if !used {
		issue, err := prepare(t)
		if err != nil {
			c.cfg.Log.Error("enrolment failed; the token is not spent",
				"token", t.ID, "principal", t.Principal, "err", err)
			return nil, notReady(err)
		}
		// Bind the token first: if the next steps are interrupted, no other client gets a second credential.
		if err := t.Bind(dir, public, nil); err != nil {
			return nil, err
		}
		reply, err = issue()
		if err != nil {
			return nil, err
		}
		if err := t.Bind(dir, public, reply); err != nil {
			return nil, err
		}
		c.cfg.Log.Info("enrolled",
			"token", t.ID, "principal", t.Principal, "kind", string(kind), "peer", c.call.Caller.Peer.Addr)
	}
	out := map[string]any{}
	for k, v := range reply {
		out[k] = v
	}
	return out, nil
}

// notReady returns the client's error for a failure before the token was spent. It hides the cause, which is in the
// log.
func notReady(err error) error {
	var e *object.Error
	if errors.As(err, &e) {
		return e
	}
	return &object.Error{
		Code: object.CodeUnavailable,
		Err:  err,
		Msg: "the host cannot enroll this principal now: its log has the reason. " +
			"The token is not spent: try again when that is corrected",
	}
}

// enrollCert prepares to issue a certificate with the principal's name.
func (c *invocation) enrollCert(t *enroll.Token, public *ecdsa.PublicKey) (issuer, error) {
	p := c.snap.Policy
	listener := c.cfg.Listener(c.call.Caller.Peer.Endpoint.Listener)
	if !listener.TakesTLS() {
		return nil, invalid("this listener has no TLS: enroll at one that has")
	}
	if p.Enroll == nil || p.Enroll.CA == "" {
		return nil, invalid("the host's policy has no ca in enroll")
	}
	if err := CheckEnroll(p, object.Principal(t.Principal), enroll.Cert); err != nil {
		return nil, err
	}
	authority, err := ca.Open(p.Enroll.CA)
	if err != nil {
		return nil, err
	}
	if err := authority.Ready(time.Now()); err != nil {
		return nil, err
	}
	return func() (map[string]string, error) {
		request := ca.Request{Name: t.Principal, Kind: ca.Client, PublicKey: public}
		chain, issued, err := authority.Issue(request, time.Now())
		if err != nil {
			return nil, err
		}
		reply := map[string]string{
			"principal":   t.Principal,
			"certificate": string(chain),
			"serial":      issued.Serial,
			"ca":          string(authority.PEM()),
		}
		if name := listener.ServerName(); name != "" {
			reply["server_name"] = name
		}
		return reply, nil
	}, nil
}

// enrollKey derives a key from an X25519 exchange, and prepares to insert it at the top of the principal's key file.
func (c *invocation) enrollKey(t *enroll.Token, client *ecdh.PublicKey) (issuer, error) {
	p := c.snap.Policy
	if err := CheckEnroll(p, object.Principal(t.Principal), enroll.Key); err != nil {
		return nil, err
	}
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	shared, err := private.ECDH(client)
	if err != nil {
		return nil, invalid("public: not a key that can be used")
	}
	secret, err := enroll.DeriveKey(shared, client.Bytes(), private.PublicKey().Bytes(), t.ID)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(p.Keys, func(f policy.KeyFile) bool { return string(f.Principal) == t.Principal })
	path := p.Keys[i].Path
	if err := keyfile.Ensure(path); err != nil {
		return nil, fmt.Errorf("%s: the key file of principal %s cannot be written: %w",
			p.Keys[i].Where, t.Principal, err)
	}
	var suffix [4]byte
	_, _ = rand.Read(suffix[:]) // never fails
	name := strings.ReplaceAll(t.Principal, "@", "_")
	k := keyfile.Key{
		ID:      name[:min(len(name), 50)] + "-" + hex.EncodeToString(suffix[:]),
		Secret:  secret,
		Created: time.Now().UTC().Truncate(time.Second),
	}
	return func() (map[string]string, error) {
		if err := keyfile.Update(path, func(keys []keyfile.Key) ([]keyfile.Key, error) {
			return append([]keyfile.Key{k}, keys...), nil
		}); err != nil {
			return nil, err
		}
		c.snap.Credentials.Refresh(time.Now()) // the key must be valid before the client receives the reply
		return map[string]string{
			"principal": t.Principal,
			"key_id":    k.ID,
			"created":   k.Created.Format(time.RFC3339),
			"public":    base64.StdEncoding.EncodeToString(private.PublicKey().Bytes()),
		}, nil
	}, nil
}

// CheckEnroll returns an error if a policy would not accept the credential that an enrolment issues for a principal.
func CheckEnroll(p *policy.Policy, principal object.Principal, kind enroll.Kind) error {
	switch {
	case p.Enroll == nil:
		return errors.New("the policy does not allow enrolment: add a block enroll { … }")
	case !p.ValidPrincipal(principal):
		return &object.Error{
			Code: object.CodeInvalid,
			Msg: fmt.Sprintf("the policy declares no principal %q: add a block principal %q { … }",
				principal, principal),
		}
	case kind == enroll.Key:
		if !slices.ContainsFunc(p.Keys, func(f policy.KeyFile) bool { return f.Principal == principal }) {
			return &object.Error{
				Code: object.CodeInvalid,
				Msg:  fmt.Sprintf("principal %s has no key file: add keys = [\"…\"] to it", principal),
			}
		}
	case kind == enroll.Cert && p.Enroll.CA == "":
		return errors.New("the policy's enroll block names no ca")
	case kind == enroll.Cert:
		file := filepath.Join(p.Enroll.CA, ca.CertFile)
		cert := &object.Certificate{CA: file, CommonName: string(principal)}
		if p.Principal(object.Peer{Auth: object.AuthCert, Cert: cert}) != principal {
			return &object.Error{
				Code: object.CodeInvalid,
				Msg: fmt.Sprintf("a certificate with the common name %s would not be this principal's: "+
					"add cert { common_name = \"%s\" } to it, and %s as client_ca to a listener",
					principal, principal, file),
			}
		}
	}
	return nil
}
