package builtin

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/policyfile"
	"github.com/hearthhost/hearth/transport/enroll"
	"github.com/hearthhost/hearth/transport/keyfile"
)

// newInvocation returns a running call of Pyro.Enroll under a policy whose files are in dir.
func newInvocation(t *testing.T, dir, text string) *invocation {
	t.Helper()
	p, err := policyfile.Parse("policy.hcl", []byte(text), dir, os.Getuid(), nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := credential.NewStore(p, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	snap := &snapshot.Snapshot{Policy: p, Credentials: store}
	all := &Objects{cfg: Config{
		Log:      slog.New(slog.DiscardHandler),
		Listener: func(string) Listener { return nil },
		Snapshot: func() *snapshot.Snapshot { return snap },
	}}
	return &invocation{Objects: all, ctx: t.Context(), snap: snap, call: &object.Call{ID: object.Enroll}}
}

// as sets the token with which the call's connection was opened.
func (c *invocation) as(tok *enroll.Token) *invocation {
	c.call.Caller.Principal = object.Principal(credential.EnrollPrefix + tok.ID)
	c.call.Caller.Peer.Endpoint = &object.Endpoint{}
	return c
}

const enrollPolicy = `enroll {}
listener "tcp" {
  address  = "127.0.0.1:0"
  identify = ["hmac"]
}
tenant "acme" {}
principal "alice" { keys = ["alice.key"] }
`

// withToken returns a call whose connection was opened with a token, the folder of tokens, and the token.
func withToken(t *testing.T) (*invocation, string, *enroll.Token) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "alice.key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := newInvocation(t, dir, enrollPolicy)
	folder := c.snap.Credentials.TokenFolder()
	tok, err := enroll.New(folder, "alice", enroll.Key, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c.as(tok), folder, tok
}

// TestInterruptedEnrolment: if an enrolment fails after its token was bound, only the client with the same key can
// repeat it.
func TestInterruptedEnrolment(t *testing.T) {
	c, _, _ := withToken(t)
	lost := errors.New("no space left")
	failing := func(*enroll.Token) (issuer, error) {
		return func() (map[string]string, error) { return nil, lost }, nil
	}
	if _, err := c.enroll(enroll.Key, []byte("mine"), failing); !errors.Is(err, lost) {
		t.Fatalf("enroll() = %v", err)
	}
	issued := 0
	issue := func(*enroll.Token) (issuer, error) {
		return func() (map[string]string, error) {
			issued++
			return map[string]string{"principal": "alice"}, nil
		}, nil
	}
	if _, err := c.enroll(enroll.Key, []byte("theirs"), issue); err == nil || issued != 0 {
		t.Errorf("another client got %d credentials, %v", issued, err)
	}
	for range 2 {
		if _, err := c.enroll(enroll.Key, []byte("mine"), issue); err != nil || issued != 1 {
			t.Errorf("the first client got %d credentials, %v; want one", issued, err)
		}
	}
}

// TestTokenRevokedWhileUsed removes a token during an enrolment: it stays removed.
func TestTokenRevokedWhileUsed(t *testing.T) {
	c, dir, tok := withToken(t)
	removed := make(chan error, 1)
	_, err := c.enroll(enroll.Key, []byte("mine"), func(*enroll.Token) (issuer, error) {
		return func() (map[string]string, error) {
			go func() { removed <- enroll.Remove(dir, tok.ID) }()
			if !locked(t, dir) { // then it happens now
				removed <- <-removed
			}
			return map[string]string{"principal": "alice"}, nil
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-removed; err != nil {
		t.Errorf("Remove() = %v", err)
	}
	if _, err := enroll.Read(dir, tok.ID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the token that was removed: %v", err)
	}
}

// locked reports whether the lock of a folder is held.
func locked(t *testing.T, dir string) bool {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, ".lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// TestTokenIsSpentLast: a failed enrolment does not spend the token, which stays valid for any client. An enrolment
// succeeds if the key file and its folder do not exist yet.
func TestTokenIsSpentLast(t *testing.T) {
	dir := t.TempDir()
	c := newInvocation(t, dir, `enroll {}
listener "tcp" {
  address  = "127.0.0.1:0"
  identify = ["hmac"]
}
tenant "acme" {}
principal "alice" { keys = ["new/keys/alice.key"] }
principal "bob" { keys = ["sub/bob.key"] }
`)
	const notAFolder = "a file, so that no key file can be in it"
	if err := os.WriteFile(filepath.Join(dir, "sub"), []byte(notAFolder), 0o600); err != nil {
		t.Fatal(err)
	}
	folder := c.snap.Credentials.TokenFolder()
	call := func(tok *enroll.Token, public []byte) error {
		_, err := enrollMethods["key"].run(c.as(tok), []any{base64.StdEncoding.EncodeToString(public)})
		return err
	}
	token := func(principal string) *enroll.Token {
		tok, err := enroll.New(folder, principal, enroll.Key, time.Hour, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	good, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	alice, bob := token("alice"), token("bob")
	for name, test := range map[string]struct {
		tok    *enroll.Token
		public []byte
		want   string
	}{
		"a key of low order":                {alice, make([]byte, 32), "not a key that can be used"},
		"a key file that cannot be written": {bob, good.PublicKey().Bytes(), "The token is not spent"},
	} {
		err := call(test.tok, test.public)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v, want %q and no path", name, err, test.want)
		}
		if tok, err := enroll.Read(folder, test.tok.ID); err != nil || tok.Client != "" {
			t.Errorf("%s: the token is spent: %+v, %v", name, tok.Client, err)
		}
	}
	if err := call(alice, good.PublicKey().Bytes()); err != nil {
		t.Fatalf("a key file that does not exist yet: %v", err)
	}
	keys, err := keyfile.Read(filepath.Join(dir, "new", "keys", "alice.key"))
	if err != nil || len(keys) != 1 {
		t.Errorf("the key file holds %d keys, %v; want one", len(keys), err)
	}
	if _, ok := c.snap.Credentials.Key(keys[0].ID); !ok {
		t.Error("the issued key is not valid")
	}
}

// TestRequestIsCheckedFirst requests a certificate with a key that cannot be certified. The token is not spent, and its
// holder can repeat the request with another key.
func TestRequestIsCheckedFirst(t *testing.T) {
	c, dir, _ := withToken(t)
	tok, err := enroll.New(dir, "alice", enroll.Cert, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c.as(tok)
	key, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	for call, want := range map[[2]string]string{
		{"certificate", text}:                       "P-224",
		{"certificate", strings.Repeat("x", 1<<20)}: "at most 8192",
		{"key", strings.Repeat("A", 1<<20)}:         "at most 64",
	} {
		_, err := enrollMethods[object.Method(call[0])].run(c, []any{call[1]})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s of %d bytes: %v, want %q", call[0], len(call[1]), err, want)
		}
		if tok, err := enroll.Read(dir, tok.ID); err != nil || tok.Client != "" {
			t.Errorf("the token is spent: %+v, %v", tok, err)
		}
	}
}
