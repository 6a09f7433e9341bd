package web_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hearthhost/hearth/transport/keyfile"
)

// token writes a file with a new bearer key and returns its token.
func token(t *testing.T, path, id string) string {
	t.Helper()
	k, token, err := keyfile.NewBearer(id, time.Now())
	if err == nil {
		err = keyfile.Create(path, k)
	}
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestBearer calls with bearer keys and with tokens of an issuer, and attacks both.
func TestBearer(t *testing.T) {
	dir := t.TempDir()
	ci := token(t, filepath.Join(dir, "ci.bearer"), "ci-1")
	other := token(t, filepath.Join(dir, "other.bearer"), "other-1")
	key, issued := newIssuer(t)
	f := serve(t, "", rules+fmt.Sprintf(`
principal "ci" { bearer = [%q] }
principal "other" { bearer = [%q] }
principal "deploy" {
  oidc {
    issuer   = %q
    plain    = true
    audience = "hearth"
    claims   = { sub = "repo" }
  }
}
permit "ci" {
  principals = ["ci"]
  objects    = ["acme.echo", "acme.counter"]
  when       = caller.gateway == "http" && caller.auth == "bearer"
}
permit "deploy" {
  principals = ["deploy"]
  objects    = ["acme.echo"]
  when       = caller.claims.ref == "main"
}
`, filepath.Join(dir, "ci.bearer"), filepath.Join(dir, "other.bearer"), issued))
	const echo = "/v1/objects/acme.echo/caller"
	auth := func(path string, headers ...string) answer { return f.do(t, "POST", path, "", headers...) }
	for name, want := range map[string][2]string{
		"ci":     {"Bearer " + ci, `"auth": "bearer"`},
		"key id": {"bearer " + ci, `"key": "ci-1"`},
		"deploy": {"Bearer " + key.token("hearth", "repo", "main"), `"principal": "deploy"`},
	} {
		if a := auth(echo, "Authorization", want[0]); a.status != 200 || !strings.Contains(a.body, want[1]) ||
			!strings.Contains(a.body, `"gateway": "http"`) {
			t.Errorf("%s: %v", name, a)
		}
	}
	// The account of the connection, the owner, must not help credentials that prove less.
	const hidden = `{"type":"urn:hearth:problem:not_found"`
	for name, values := range map[string][]string{
		"no permit":       {"Authorization", "Bearer " + other},
		"unmet condition": {"Authorization", "Bearer " + key.token("hearth", "repo", "dev")},
	} {
		if a := auth(echo, values...); a.status != 404 || !strings.HasPrefix(a.body, hidden) {
			t.Errorf("%s: %v", name, a)
		}
	}
	for name, tt := range map[string]struct {
		status  int
		headers []string
	}{
		"unknown key":      {401, []string{"Authorization", "Bearer hk_no." + ci[len(ci)-43:]}},
		"another audience": {401, []string{"Authorization", "Bearer " + key.token("x", "repo", "main")}},
		"another subject":  {401, []string{"Authorization", "Bearer " + key.token("hearth", "x", "main")}},
		"Basic":            {401, []string{"Authorization", "Basic Y2k6eA=="}},
		"two headers":      {401, []string{"Authorization", "Bearer " + ci, "Authorization", "Bearer " + ci}},
		"malformed":        {400, []string{"Authorization", "Bearer a b"}},
		"oversized":        {400, []string{"Authorization", "Bearer " + strings.Repeat("a", 9<<10)}},
	} {
		a := auth(echo, tt.headers...)
		if a.status != tt.status || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), `Bearer realm="hearth"`) ||
			strings.Contains(a.body, "repo") || strings.Contains(a.body, "ci-1") {
			t.Errorf("%s: %v", name, a)
		}
	}
	if a := auth(echo + "?access_token=" + ci); a.status != 400 {
		t.Errorf("a key in the URL: %v", a)
	}
	if a := auth(echo, "X-Api-Key", ci, "Cookie", "token="+ci); strings.Contains(a.body, `"ci"`) {
		t.Errorf("a key in another header: %v", a)
	}
	revoke(t, f, dir, ci)
}

// revoke revokes a key: its requests are refused soon after.
func revoke(t *testing.T, f *fixture, dir, ci string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "ci.bearer"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; {
		a := f.do(t, "POST", "/v1/objects/acme.echo/caller", "", "Authorization", "Bearer "+ci)
		if a.status == 401 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("a revoked key: %v", a)
		}
	}
}

// issuerKey signs tokens of an issuer.
type issuerKey struct {
	t   *testing.T
	key *ecdsa.PrivateKey
	url string

	more atomic.Value // an http.Handler of other requests than those of keys
}

func newIssuer(t *testing.T) (k *issuerKey, url string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	k = &issuerKey{t: t, key: key}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b64 := base64.RawURLEncoding.EncodeToString
		var doc any = map[string]string{"issuer": k.url, "jwks_uri": k.url + "/keys"}
		if more, ok := k.more.Load().(http.Handler); ok && r.URL.Path != "/keys" &&
			r.URL.Path != "/.well-known/openid-configuration" {
			more.ServeHTTP(w, r)
			return
		}
		if r.URL.Path == "/keys" {
			doc = map[string]any{"keys": []map[string]string{
				{"kty": "EC", "crv": "P-256", "kid": "k", "x": b64(point[1:33]), "y": b64(point[33:])}}}
		}
		_ = json.NewEncoder(w).Encode(doc)
	}))
	t.Cleanup(s.Close)
	k.url = s.URL
	return k, s.URL
}

func (k *issuerKey) token(audience, sub, ref string) string {
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"k"}`)) + "." +
		base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"iss":%q,"aud":%q,"sub":%q,"ref":%q,"exp":%d}`, k.url,
			audience, sub, ref, time.Now().Add(time.Hour).Unix()))
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, k.key, sum[:])
	if err != nil {
		k.t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)),
		s.FillBytes(make([]byte, 32))...))
}
