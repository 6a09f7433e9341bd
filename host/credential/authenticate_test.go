package credential

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/policyfile"
	"github.com/hearthhost/hearth/transport/keyfile"
)

// request returns a request with these values of the header Authorization.
func request(authorization ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v1/objects/acme.counter/add", nil)
	r.Header["Authorization"] = authorization
	return r
}

const bearerPolicy = `
listener "tcp" { address = "127.0.0.1:0" }
principal "ci" { bearer = ["ci.bearer"] }
principal "ops" { bearer = ["ops.bearer"] }
`

// bearerFile returns the text of a file with new bearer keys, and their tokens.
func bearerFile(t *testing.T, ids ...string) (text string, tokens []string) {
	t.Helper()
	for _, id := range ids {
		k, token, err := keyfile.NewBearer(id, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		line, err := keyfile.Encode(k)
		if err != nil {
			t.Fatal(err)
		}
		text += string(line)
		tokens = append(tokens, token)
	}
	return text, tokens
}

// TestBearerKeys authenticates with keys, attacks them, rotates and revokes them.
func TestBearerKeys(t *testing.T) {
	ci, tokens := bearerFile(t, "ci-2", "ci-1")
	ops, opsTokens := bearerFile(t, "ops-1")
	store, dir := openStore(t, bearerPolicy, map[string]string{"ci.bearer": ci, "ops.bearer": ops})
	var output bytes.Buffer
	log := slog.New(slog.NewTextHandler(&output, &slog.HandlerOptions{Level: slog.LevelDebug}))
	a := &Authenticator{Store: func() *Store { return store }, Log: log}
	peers := map[string]object.Peer{}
	for token, who := range map[string]object.Principal{tokens[0]: "ci", tokens[1]: "ci", opsTokens[0]: "ops"} {
		peer, err := a.Authenticate(t.Context(), request("bearer "+token))
		id, _ := keyfile.ParseToken(token)
		if err != nil || peer.Auth != object.AuthBearer || peer.Key != id || store.Principal(peer) != who {
			t.Errorf("key of %s: %+v, %v", who, peer, err)
		}
		peers[id] = peer
	}
	secret := func(token string) string { return token[len(token)-43:] }
	sum := sha256.Sum256([]byte(tokens[0]))
	refused := map[string][]string{
		"unknown key":             {"Bearer hk_nobody." + secret(tokens[0])},
		"another secret":          {"Bearer hk_ci-2." + secret(tokens[1])},
		"the secret of another":   {"Bearer hk_ops-1." + secret(tokens[0])},
		"the stored hash":         {"Bearer hk_ci-2." + base64.RawURLEncoding.EncodeToString(sum[:])},
		"no id":                   {"Bearer hk_." + secret(tokens[0])},
		"upper case":              {"Bearer " + strings.ToUpper(tokens[0])},
		"a byte more":             {"Bearer " + tokens[0] + "A"},
		"a byte less":             {"Bearer " + tokens[0][:len(tokens[0])-1]},
		"opaque":                  {"Bearer gho_16C7e42F292c6912E7710c838347Ae178B4a"},
		"zeros":                   {"Bearer hk_x." + strings.Repeat("A", 43)},
		"not a signed JWT either": {"Bearer a.b.c"},
	}
	var first *Refusal
	for name, values := range refused {
		_, err := a.Authenticate(t.Context(), request(values...))
		r, ok := errors.AsType[*Refusal](err)
		if !ok || object.CodeOf(err) != object.CodeUnauthenticated {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if first == nil {
			first = r
		}
		if object.SafeText(r) != object.SafeText(first) || r.Challenge() != first.Challenge() ||
			r.Challenge() != `Bearer realm="hearth", error="invalid_token"` {
			t.Errorf("%s: the answer differs: %s, %s", name, object.SafeText(r), r.Challenge())
		}
	}
	for name, values := range map[string][]string{
		"two headers": {"Bearer " + tokens[0], "Bearer " + tokens[0]},
		"a list":      {"Bearer " + tokens[0] + ", Bearer " + tokens[1]},
		"two spaces":  {"Bearer  " + tokens[0]},
		"no token":    {"Bearer "},
		"scheme only": {"Bearer"},
		"a newline":   {"Bearer " + tokens[0] + "\n"},
		"oversized":   {"Bearer " + strings.Repeat("a", 9<<10)},
	} {
		if peer, err := a.Authenticate(t.Context(), request(values...)); object.CodeOf(err) != object.CodeInvalid {
			t.Errorf("%s: %+v, %v", name, peer, err)
		}
	}
	basic := request("Basic " + base64.StdEncoding.EncodeToString([]byte("ci:"+tokens[0])))
	if _, err := a.Authenticate(t.Context(), basic); object.CodeOf(err) != object.CodeUnauthenticated {
		t.Errorf("Basic: %v", err)
	}
	inURL := httptest.NewRequest(http.MethodGet, "/v1/objects?access_token="+tokens[0], nil)
	if _, err := a.Authenticate(t.Context(), inURL); err == nil {
		t.Error("a key in the URL is a proof")
	}
	// Rotation is done: ci-1 is revoked, and its peers are not ci any more.
	write(t, filepath.Join(dir, "ci.bearer"), strings.SplitAfter(ci, "\n")[0])
	store.Refresh(time.Now())
	if _, err := a.Authenticate(t.Context(), request("Bearer "+tokens[1])); err == nil {
		t.Error("a revoked key is a proof")
	}
	if got := store.Principal(peers["ci-1"]); got != object.Anonymous {
		t.Errorf("an open request of a revoked key is of %s", got)
	}
	if _, err := a.Authenticate(t.Context(), request("Bearer "+tokens[0])); err != nil {
		t.Errorf("the other key: %v", err)
	}
	if err := os.Chmod(filepath.Join(dir, "ops.bearer"), 0o644); err != nil {
		t.Fatal(err)
	}
	store.Refresh(time.Now())
	if len(store.Faults()) != 1 {
		t.Errorf("a file that others can read: %v", store.Faults())
	}
	for _, token := range append(tokens, opsTokens...) {
		if strings.Contains(output.String(), secret(token)) {
			t.Errorf("the log has a token:\n%s", &output)
		}
	}
}

// TestUnknownBearerKey checks that known and unknown ids take the same steps. It does not measure time.
func TestUnknownBearerKey(t *testing.T) {
	ci, tokens := bearerFile(t, "ci-1")
	ops, _ := bearerFile(t, "ops-1")
	store, _ := openStore(t, bearerPolicy, map[string]string{"ci.bearer": ci, "ops.bearer": ops})
	secret := tokens[0][len(tokens[0])-43:]
	other := strings.Repeat("B", 43)
	steps := func(token string) float64 {
		return testing.AllocsPerRun(50, func() {
			if _, ok := store.checkBearer(token); ok {
				t.Error("accepted")
			}
		})
	}
	if a, b := steps("hk_ci-1."+other), steps("hk_ci-9."+secret); a != b {
		t.Errorf("a known id allocates %v times, an unknown one %v times", a, b)
	}
	if (noKey != bearerKey{}) {
		t.Error("the key of unknown ids has a value")
	}
}

func TestMixedKinds(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"HMAC key in bearer": {"ci.bearer": keyLine("alice"), "ops.bearer": ""},
		"id in two files":    {"ci.bearer": "", "ops.bearer": ""},
	} {
		if name == "id in two files" {
			files["ci.bearer"], _ = bearerFile(t, "same")
			files["ops.bearer"], _ = bearerFile(t, "same")
		}
		dir := t.TempDir()
		for file, text := range files {
			write(t, filepath.Join(dir, file), text)
		}
		p, err := policyfile.Parse("policy.hcl", []byte(bearerPolicy), dir, os.Getuid(), nil)
		if err != nil {
			t.Fatal(err)
		}
		store, err := NewStore(p, nil, slog.New(slog.DiscardHandler))
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if len(store.current.Load().bearer) != 0 {
			t.Errorf("%s: %v", name, store.current.Load().bearer)
		}
	}
}

// TestTokensOfIssuer authenticates with tokens of an issuer that the policy names.
func TestTokensOfIssuer(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	var issuers [2]*httptest.Server
	for i := range issuers { // both have the same key: the issuer must count, too
		var url string
		issuers[i] = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/keys" {
				b64 := base64.RawURLEncoding.EncodeToString
				_ = json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]string{{"kty": "EC", "crv": "P-256",
					"kid": "k", "x": b64(raw[1:33]), "y": b64(raw[33:])}}})
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": url, "jwks_uri": url + "/keys"})
		}))
		url = issuers[i].URL
		t.Cleanup(issuers[i].Close)
	}
	const block = `
principal %q {
  oidc {
    issuer   = %q
    plain    = true
    audience = %q
    claims   = { sub = %q }
  }
}
`
	text := "listener \"tcp\" { address = \"127.0.0.1:0\" }\n" +
		fmt.Sprintf(block, "deploy", issuers[0].URL, "hearth", "repo") +
		fmt.Sprintf(block, "person", issuers[1].URL, "hearth-web", "ann")
	store, dir := openStore(t, text, nil)
	a := &Authenticator{Store: func() *Store { return store }}
	token := func(issuer, audience, sub string, exp time.Duration) string {
		signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"k"}`)) + "." +
			base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"iss":%q,"aud":%q,"sub":%q,"exp":%d}`, issuer,
				audience, sub, time.Now().Add(exp).Unix()))
		sum := sha256.Sum256([]byte(signed))
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return signed + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)),
			s.FillBytes(make([]byte, 32))...))
	}
	peer, err := a.Authenticate(t.Context(), request("Bearer "+token(issuers[0].URL, "hearth", "repo", time.Hour)))
	if err != nil || store.Principal(peer) != "deploy" || peer.Claims.Values["sub"].Text != "repo" {
		t.Fatalf("%+v, %v", peer, err)
	}
	for name, token := range map[string]string{
		"another audience":        token(issuers[0].URL, "hearth-web", "repo", time.Hour),
		"the audience of another": token(issuers[1].URL, "hearth", "ann", time.Hour),
		"issuer mix-up":           token(issuers[1].URL, "hearth", "repo", time.Hour),
		"another subject":         token(issuers[0].URL, "hearth", "repo2", time.Hour),
		"unknown issuer":          token("https://evil.example", "hearth", "repo", time.Hour),
		"expired":                 token(issuers[0].URL, "hearth", "repo", -2*time.Minute),
	} {
		_, err := a.Authenticate(t.Context(), request("Bearer "+token))
		r, ok := errors.AsType[*Refusal](err)
		if !ok || object.CodeOf(err) != object.CodeUnauthenticated || object.SafeText(r) != "the token is not valid" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A stream of an expired token ends: the claims prove nothing any more.
	old := *peer.Claims
	old.Expires = time.Now().Add(-time.Second)
	peer.Claims = &old
	if got := store.Principal(peer); got != object.Anonymous {
		t.Errorf("an expired token proves %s", got)
	}
	// A reload keeps the issuer with its keys.
	p, err := policyfile.Parse("policy.hcl", []byte(text+"\n# changed\n"), dir, os.Getuid(), nil)
	if err != nil {
		t.Fatal(err)
	}
	next, err := NewStore(p, store, slog.New(slog.DiscardHandler))
	if err != nil || next.issuers[issuers[0].URL] != store.issuers[issuers[0].URL] {
		t.Errorf("a reload fetches the keys again: %v", err)
	}
	issuers[1].Close()
	if store, err = NewStore(p, nil, slog.New(slog.DiscardHandler)); err != nil { // a start needs no issuer
		t.Fatal(err)
	}
	_, err = a.Authenticate(t.Context(), request("Bearer "+token(issuers[1].URL, "hearth-web", "ann", time.Hour)))
	if object.CodeOf(err) != object.CodeUnavailable {
		t.Errorf("an issuer that is down: %v", err)
	}
}
