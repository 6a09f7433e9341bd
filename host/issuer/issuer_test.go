package issuer_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hearthhost/hearth/host/issuer"
)

// server is the server of an issuer.
type server struct {
	*httptest.Server
	fetches atomic.Int64 // of the key set

	mu     sync.Mutex // guards the fields below
	keys   []jose.JSONWebKey
	broken http.HandlerFunc // answers all requests if not nil
	name   string           // issuer in the discovery document; "": the server's URL
}

func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func newServer(t testing.TB, keys ...jose.JSONWebKey) *server {
	t.Helper()
	s := &server{keys: keys}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		broken, name, keys := s.broken, s.name, jose.JSONWebKeySet{Keys: s.keys}
		s.mu.Unlock()
		switch {
		case broken != nil:
			broken(w, r)
		case r.URL.Path == "/.well-known/openid-configuration":
			if name == "" {
				name = s.URL
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": name, "jwks_uri": s.URL + "/keys"})
		case r.URL.Path == "/keys":
			s.fetches.Add(1)
			_ = json.NewEncoder(w).Encode(keys)
		default:
			t.Errorf("the host fetches %s", r.URL)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// clock is a time that a test sets.
type clock struct{ now atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Unix(c.now.Load(), 0) }
func (c *clock) advance(d time.Duration) { c.now.Add(int64(d / time.Second)) }

func newClock() *clock {
	c := &clock{}
	c.now.Store(1_800_000_000)
	return c
}

var (
	rsaKey, _      = rsa.GenerateKey(rand.Reader, 2048)
	otherRSA, _    = rsa.GenerateKey(rand.Reader, 2048)
	ecKey, _       = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, edKey, _    = ed25519.GenerateKey(rand.Reader)
	strangerKey, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
)

func public(id, alg string, key crypto.Signer) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key.Public(), KeyID: id, Algorithm: alg, Use: "sig"}
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// sign returns a token with a header and claims as they are.
func sign(t testing.TB, header, payload string, key crypto.Signer) string {
	t.Helper()
	text := encode(header) + "." + encode(payload)
	sum := sha256.Sum256([]byte(text))
	var sig []byte
	var err error
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if strings.Contains(header, "PS256") {
			sig, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], nil)
		} else {
			sig, err = rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
		}
	case *ecdsa.PrivateKey:
		r, s, signErr := ecdsa.Sign(rand.Reader, key, sum[:])
		err = signErr
		if err == nil {
			sig = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	case ed25519.PrivateKey:
		sig = ed25519.Sign(key, []byte(text))
	}
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func hs256(header, payload string, secret []byte) string {
	text := encode(header) + "." + encode(payload)
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// TestTokens verifies good tokens of each algorithm, and attacks.
func TestTokens(t *testing.T) {
	s := newServer(t, public("rsa", "RS256", rsaKey), public("pss", "PS256", otherRSA), public("ec", "", ecKey),
		public("ed", "EdDSA", edKey))
	other := newServer(t, public("ec", "", strangerKey))
	c := newClock()
	i := issuer.New(issuer.Config{URL: s.URL, Now: c.Now})
	now := c.now.Load()
	payload := func(more string) string {
		return fmt.Sprintf(`{"iss":%q,"sub":"repo:acme","aud":["hearth","x"],"exp":%d%s}`, s.URL, now+300, more)
	}
	good := payload("")
	const ec = `{"alg":"ES256","kid":"ec"}`
	der, _ := x509.MarshalPKIXPublicKey(rsaKey.Public())
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	jwk, _ := json.Marshal(public("own", "", strangerKey))
	of := func(payload string) string { return sign(t, ec, payload, ecKey) }
	head := func(header string) string { return sign(t, header, good, ecKey) }
	for name, token := range map[string]string{
		"RS256":        sign(t, `{"alg":"RS256","kid":"rsa","typ":"JWT"}`, good, rsaKey),
		"PS256":        sign(t, `{"alg":"PS256","kid":"pss"}`, good, otherRSA),
		"ES256":        of(good),
		"EdDSA":        sign(t, `{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, good, edKey),
		"a minute ago": of(fmt.Sprintf(`{"iss":%q,"aud":"h","exp":%d}`, s.URL, now-59)),
		"in a minute":  of(payload(fmt.Sprintf(`,"nbf":%d,"iat":%d`, now+60, now+60))),
		"fraction":     of(payload(fmt.Sprintf(`,"nbf":%d.5`, now))),
		"jku is ignored": sign(t, `{"alg":"ES256","kid":"ec","jku":"`+s.URL+`/evil","x5u":"`+s.URL+`/evil"}`, good,
			ecKey),
	} {
		claims, err := i.Verify(t.Context(), token)
		if err != nil || claims.Issuer != s.URL {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, token := range map[string]string{
		"none":                  encode(`{"alg":"none"}`) + "." + encode(good) + ".",
		"none with a sign":      encode(`{"alg":"none"}`) + "." + encode(good) + ".AA",
		"None":                  encode(`{"alg":"None"}`) + "." + encode(good) + ".AA",
		"no algorithm":          encode(`{}`) + "." + encode(good) + ".AA",
		"HS256, key in PEM":     hs256(`{"alg":"HS256","kid":"rsa"}`, good, publicPEM),
		"HS256, key in DER":     hs256(`{"alg":"HS256","kid":"rsa"}`, good, der),
		"HS256, modulus":        hs256(`{"alg":"HS256","kid":"rsa"}`, good, rsaKey.N.Bytes()),
		"another key":           sign(t, ec, good, strangerKey),
		"unknown key id":        head(`{"alg":"ES256","kid":"none"}`),
		"no key id":             head(`{"alg":"ES256"}`),
		"another algorithm":     head(`{"alg":"ES256","kid":"rsa"}`),
		"another RSA algorithm": sign(t, `{"alg":"PS256","kid":"rsa"}`, good, rsaKey),
		"key id is a list":      head(`{"alg":"ES256","kid":["ec"]}`),
		"key id is a path":      head(`{"alg":"ES256","kid":"../../dev/null"}`),
		"key id is long":        head(`{"alg":"ES256","kid":"` + strings.Repeat("k", 300) + `"}`),
		"key id twice":          head(`{"alg":"ES256","kid":"no","kid":"ec"}`),
		"key in the header":     sign(t, `{"alg":"ES256","jwk":`+string(jwk)+`}`, good, strangerKey),
		"address of a key": sign(t, `{"alg":"ES256","kid":"own","jku":"`+other.URL+`/keys"}`, good,
			strangerKey),
		"extension":            head(`{"alg":"ES256","kid":"ec","crit":["b64"],"b64":false}`),
		"logout token":         head(`{"alg":"ES256","kid":"ec","typ":"logout+jwt"}`),
		"another issuer's key": sign(t, ec, good, strangerKey),
		"another issuer":       of(strings.Replace(good, s.URL, other.URL, 1)),
		"issuer with a slash":  of(strings.Replace(good, s.URL, s.URL+"/", 1)),
		"no issuer":            of(fmt.Sprintf(`{"aud":"h","exp":%d}`, now+300)),
		"no audience":          of(fmt.Sprintf(`{"iss":%q,"exp":%d}`, s.URL, now+300)),
		"no expiry":            of(fmt.Sprintf(`{"iss":%q,"aud":"h"}`, s.URL)),
		"expiry as text":       of(fmt.Sprintf(`{"iss":%q,"aud":"h","exp":"%d"}`, s.URL, now+300)),
		"expiry is huge":       of(fmt.Sprintf(`{"iss":%q,"aud":"h","exp":1e300}`, s.URL)),
		"expired":              of(fmt.Sprintf(`{"iss":%q,"aud":"h","exp":%d}`, s.URL, now-60)),
		"not yet valid":        of(payload(fmt.Sprintf(`,"nbf":%d`, now+61))),
		"issued later":         of(payload(fmt.Sprintf(`,"iat":%d`, now+61))),
		"claim twice":          of(payload(`,"sub":"repo:other"`)),
		"issuer twice":         of(payload(`,"iss":"x"`)),
		"ISS":                  of(payload(`,"ISS":"x"`)),
		"Exp":                  of(payload(`,"Exp":9999999999`)),
		"nested twice":         of(payload(`,"a":{"b":1,"b":2}`)),
		"deep":                 of(payload(`,"a":` + strings.Repeat("[", 20) + strings.Repeat("]", 20))),
		"not UTF-8":            of(payload(",\"a\":\"\xff\"")),
		"trailing text":        of(good + "{}"),
		"not an object":        of(`["iss"]`),
		"oversized":            of(payload(`,"a":"` + strings.Repeat("x", issuer.MaxTokenBytes) + `"`)),
		"changed":              strings.Replace(of(good), encode(good), encode(payload(`,"x":1`)), 1),
		"no signature":         encode(ec) + "." + encode(good) + ".",
		"two parts":            encode(ec) + "." + encode(good),
		"four parts":           of(good) + ".x",
		"padded":               of(good) + "=",
		"JSON form":            `{"payload":"` + encode(good) + `","protected":"` + encode(ec) + `","signature":"AA"}`,
		"empty":                "",
		"opaque":               "gho_16C7e42F292c6912E7710c838347Ae178B4a",
	} {
		if claims, err := i.Verify(t.Context(), token); err == nil || errors.Is(err, issuer.ErrUnavailable) {
			t.Errorf("%s: %v, %v", name, claims, err)
		} else if len(token) > 100 && strings.Contains(err.Error(), token[len(token)-40:]) {
			t.Errorf("%s: the error has the token: %v", name, err)
		}
	}
	if n := s.fetches.Load(); n != 1 {
		t.Errorf("%d fetches, want 1: tokens with unknown keys must not cause more", n)
	}
	claims, _ := i.Verify(t.Context(), of(payload(`,"n":7,"ok":true,"l":["a"],"m":[1],"o":{},"z":null`)))
	for name, want := range map[string]string{"sub": "[repo:acme]", "aud": "[hearth x]", "n": "[7]", "ok": "[true]",
		"l": "[a]", "m": "", "o": "", "z": ""} {
		got := ""
		if c, ok := claims.Values[name]; ok {
			got = fmt.Sprint(c.All())
		}
		if got != want {
			t.Errorf("claim %s = %s, want %s", name, got, want)
		}
	}
}

// TestKeysOfIssuer checks caching, rotation, and an issuer that is down.
func TestKeysOfIssuer(t *testing.T) {
	s := newServer(t, public("ec", "", ecKey))
	c := newClock()
	i := issuer.New(issuer.Config{URL: s.URL, Now: c.Now})
	token := func(kid string, key crypto.Signer) string {
		return sign(t, `{"alg":"ES256","kid":"`+kid+`"}`,
			fmt.Sprintf(`{"iss":%q,"aud":"h","exp":%d}`, s.URL, c.now.Load()+300), key)
	}
	verify := func(kid string, key crypto.Signer) error {
		_, err := i.Verify(t.Context(), token(kid, key))
		return err
	}
	if err := verify("ec", ecKey); err != nil {
		t.Fatal(err)
	}
	// A new key is accepted at most FetchInterval later.
	s.set(func() { s.keys = []jose.JSONWebKey{public("new", "", strangerKey)} })
	if err := verify("new", strangerKey); err == nil {
		t.Error("a fetch followed at once")
	}
	c.advance(issuer.FetchInterval)
	if err := verify("new", strangerKey); err != nil {
		t.Errorf("a new key: %v", err)
	}
	if err := verify("ec", ecKey); err == nil {
		t.Error("a key that the issuer has removed is valid")
	}
	// The issuer is down: its last keys are valid for MaxAge, and no longer.
	s.set(func() {
		s.broken = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	})
	c.advance(issuer.MaxAge - time.Second)
	if err := verify("new", strangerKey); err != nil {
		t.Errorf("before the keys are too old: %v", err)
	}
	c.advance(2*time.Second + issuer.FetchInterval)
	if err := verify("new", strangerKey); !errors.Is(err, issuer.ErrUnavailable) {
		t.Errorf("with old keys: %v, want ErrUnavailable", err)
	}
	s.set(func() { s.broken = nil })
	c.advance(issuer.FetchInterval)
	if err := verify("new", strangerKey); err != nil {
		t.Errorf("the issuer is back: %v", err)
	}
}

// TestFetch gives the host documents that it must not accept, and counts the fetches of many requests.
func TestFetch(t *testing.T) {
	text := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/keys")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for name, broken := range map[string]func(s *server){
		"another issuer": func(s *server) { s.name = "https://other.example" },
		"redirect":       func(s *server) { s.broken = text(http.StatusFound, "") },
		"not JSON":       func(s *server) { s.broken = text(http.StatusOK, "<html>") },
		"huge":           func(s *server) { s.broken = text(http.StatusOK, `{"issuer":"`+strings.Repeat("x", 70<<10)) },
		"keys elsewhere": func(s *server) {
			s.broken = text(http.StatusOK, `{"issuer":"`+s.URL+`","jwks_uri":"http://keys.example/keys"}`)
		},
		"a file": func(s *server) {
			s.broken = text(http.StatusOK, `{"issuer":"`+s.URL+`","jwks_uri":"file:///etc/passwd"}`)
		},
		"no keys":     func(s *server) { s.keys = nil },
		"small key":   func(s *server) { s.keys = []jose.JSONWebKey{public("ec", "", smallKey(t))} },
		"secret key":  func(s *server) { s.keys = []jose.JSONWebKey{{Key: []byte("secret"), KeyID: "ec"}} },
		"private key": func(s *server) { s.keys = []jose.JSONWebKey{{Key: ecKey, KeyID: "ec"}} },
		"encryption":  func(s *server) { s.keys = []jose.JSONWebKey{{Key: ecKey.Public(), KeyID: "ec", Use: "enc"}} },
		"too many": func(s *server) {
			for range 65 {
				s.keys = append(s.keys, public("ec", "", ecKey))
			}
		},
	} {
		s := newServer(t, public("ec", "", ecKey))
		s.set(func() { broken(s) })
		c := newClock()
		i := issuer.New(issuer.Config{URL: s.URL, Now: c.Now})
		token := sign(t, `{"alg":"ES256","kid":"ec"}`,
			fmt.Sprintf(`{"iss":%q,"aud":"h","exp":%d}`, s.URL, c.now.Load()+300), ecKey)
		if _, err := i.Verify(t.Context(), token); !errors.Is(err, issuer.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
	}
}

func smallKey(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestSlowIssuer has many requests wait for one fetch. A request whose client has gone does not wait, and tokens with
// known keys never do.
func TestSlowIssuer(t *testing.T) {
	s := newServer(t, public("ec", "", ecKey))
	c := newClock()
	i := issuer.New(issuer.Config{URL: s.URL, Now: c.Now})
	token := func(kid string) string {
		return sign(t, `{"alg":"ES256","kid":"`+kid+`"}`,
			fmt.Sprintf(`{"iss":%q,"aud":"h","exp":%d}`, s.URL, c.now.Load()+300), ecKey)
	}
	if _, err := i.Verify(t.Context(), token("ec")); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	var slow atomic.Int64
	s.set(func() {
		s.broken = func(http.ResponseWriter, *http.Request) { slow.Add(1); <-release }
	})
	c.advance(issuer.FetchInterval)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for n := range 100 {
		wg.Go(func() {
			if _, err := i.Verify(ctx, token(fmt.Sprint("unknown", n))); err == nil {
				t.Error("an unknown key is valid")
			}
		})
	}
	if _, err := i.Verify(t.Context(), token("ec")); err != nil {
		t.Errorf("a known key while a fetch waits: %v", err)
	}
	cancel()
	wg.Wait()
	if n := slow.Load(); n > 1 {
		t.Errorf("%d fetches at a time, want one", n)
	}
	close(release)
}

func FuzzName(f *testing.F) {
	f.Add(encode(`{"alg":"ES256"}`) + "." + encode(`{"iss":"x","aud":"y","exp":1}`) + ".AA")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		if name, err := issuer.Name(token); err == nil && name == "" {
			t.Error("no issuer and no error")
		}
	})
}
