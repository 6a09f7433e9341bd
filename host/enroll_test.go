package host

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
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport/enroll"
	"github.com/hearthhost/hearth/transport/keyfile"
)

// withToken returns a host, its folder of tokens, a token, and a connection that was opened
// with it.
func withToken(t *testing.T) (*Host, string, *enroll.Token, *conn) {
	t.Helper()
	h, _ := gatedHost(t, newGate())
	dir := h.snap.Load().vault.TokenFolder()
	tok, err := enroll.New(dir, "alice", enroll.Key, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return h, dir, tok, &conn{h: h, caller: object.Caller{Principal: object.Principal(credential.EnrollPrefix + tok.ID)}}
}

// TestEnrolmentCutShort has an enrolment fail after the proof was made and before the
// token says so: only who began it gets another.
func TestEnrolmentCutShort(t *testing.T) {
	h, _, _, c := withToken(t)
	lost := errors.New("no space left")
	failing := func(*enroll.Token) (issuer, error) {
		return func() (map[string]string, error) { return nil, lost }, nil
	}
	if _, err := h.enroll(c, enroll.Key, []byte("mine"), failing); !errors.Is(err, lost) {
		t.Fatalf("enroll() = %v", err)
	}
	proofs := 0
	issue := func(*enroll.Token) (issuer, error) {
		return func() (map[string]string, error) {
			proofs++
			return map[string]string{"principal": "alice"}, nil
		}, nil
	}
	if _, err := h.enroll(c, enroll.Key, []byte("theirs"), issue); err == nil || proofs != 0 {
		t.Errorf("somebody else got %d proofs, %v", proofs, err)
	}
	for range 2 {
		if _, err := h.enroll(c, enroll.Key, []byte("mine"), issue); err != nil || proofs != 1 {
			t.Errorf("who began it got %d proofs, %v; want one", proofs, err)
		}
	}
}

// TestTokenRevokedWhileUsed removes a token in the midst of an enrolment: it stays removed.
func TestTokenRevokedWhileUsed(t *testing.T) {
	h, dir, tok, c := withToken(t)
	removed := make(chan error, 1)
	_, err := h.enroll(c, enroll.Key, []byte("mine"), func(*enroll.Token) (issuer, error) {
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

// locked reports whether somebody holds the lock of a folder.
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

// TestTokenIsSpentLast has enrolments that cannot succeed: the token stays good, for any client. One
// whose key file and folder do not exist yet succeeds.
func TestTokenIsSpentLast(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o755); err != nil {
		t.Fatal(err)
	}
	h := serveGated(t, newGate(), dir, `enroll {}
listener "tcp" {
  address  = "127.0.0.1:0"
  identify = ["hmac"]
}
tenant "acme" {}
principal "alice" { keys = ["new/keys/alice.key"] }
principal "bob" { keys = ["sub/bob.key"] }
`)
	write(t, filepath.Join(dir, "sub"), "no folder, so no file can be in it")
	folder := h.snap.Load().vault.TokenFolder()
	call := func(tok *enroll.Token, public []byte) error {
		c := &conn{h: h, caller: object.Caller{Principal: object.Principal(credential.EnrollPrefix + tok.ID)}}
		_, err := enrollMethods["key"].run(c, nil, nil, []any{base64.StdEncoding.EncodeToString(public)})
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
	if _, ok := h.snap.Load().vault.Key(keys[0].ID); !ok {
		t.Error("the key that was handed out does not count")
	}
}

// TestRequestIsCheckedFirst asks for a certificate with a key that cannot be certified: the token is not
// spent, and its holder can ask again with another key.
func TestRequestIsCheckedFirst(t *testing.T) {
	h, dir, _, _ := withToken(t)
	tok, err := enroll.New(dir, "alice", enroll.Cert, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c := &conn{h: h, caller: object.Caller{Principal: object.Principal(credential.EnrollPrefix + tok.ID)}}
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
		_, err := enrollMethods[object.Method(call[0])].run(c, nil, nil, []any{call[1]})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s of %d bytes: %v, want %q", call[0], len(call[1]), err, want)
		}
		if tok, err := enroll.Read(dir, tok.ID); err != nil || tok.Client != "" {
			t.Errorf("the token is spent: %+v, %v", tok, err)
		}
	}
}
