package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/object"
)

// webServer serves a handler and returns a client of it.
func webServer(t *testing.T, cfg client.Config, handler http.HandlerFunc) *client.Client {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	cfg.Address = s.URL
	return newWeb(t, cfg)
}

func newWeb(t *testing.T, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestWebErrors: an error has the state of the call, also without a reply.
func TestWebErrors(t *testing.T) {
	reply := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	const problem = "application/problem+json"
	for name, tc := range map[string]struct {
		handler  http.HandlerFunc
		code     object.Code
		executed client.Executed
		text     string
	}{
		"problem": {reply(429, problem, `{"type":"urn:hearth:problem:exhausted","detail":"limit","executed":"no"}`),
			object.CodeExhausted, client.No, "limit"},
		"state": {reply(504, problem, `{"type":"urn:hearth:problem:deadline","detail":"late","executed":"unknown"}`),
			object.CodeDeadline, client.Unknown, "late"},
		"class": {reply(400, problem,
			`{"type":"urn:hearth:problem:invalid","detail":"k: expected integer","executed":"no","class":"TypeError"}`),
			object.CodeInvalid, client.No, "k: expected integer"},
		"nonsense":     {reply(500, problem, `[]`), object.CodeInvalid, client.Unknown, "cannot be read"},
		"another host": {reply(404, "text/html", "<h1>"), object.CodeInvalid, client.Unknown, "is it an HTTP listener"},
		"redirect":     {http.RedirectHandler("http://192.0.2.1/", 302).ServeHTTP, object.CodeInvalid, client.Unknown, "302"},
		"no JSON":      {reply(200, "application/json", `{`), object.CodeInvalid, client.Yes, "json"},
		"too large": {reply(200, "application/json", `"`+strings.Repeat("x", 3000)+`"`), object.CodeTooLarge,
			client.Yes, "MaxMessageBytes"},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "[1")
		}, object.CodeUnavailable, client.Yes, "reading the reply"},
		"no reply": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			panic(http.ErrAbortHandler)
		}, object.CodeUnavailable, client.Unknown, "waiting for the reply"},
	} {
		t.Run(name, func(t *testing.T) {
			c := webServer(t, client.Config{MaxMessageBytes: 2000}, tc.handler)
			_, err := c.Object("acme.x").Call(t.Context(), "m", 1)
			failed, _ := errors.AsType[*client.CallError](err)
			if failed == nil || failed.Executed != tc.executed || object.CodeOf(err) != tc.code ||
				!strings.Contains(err.Error(), tc.text) {
				t.Errorf("error = %v", err)
			}
		})
	}
}

// TestWebUnreachable: a call that no server has received was not executed.
func TestWebUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // local
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, err = newWeb(t, client.Config{Address: "http://" + addr}).Object("acme.x").Call(t.Context(), "m")
	failed, _ := errors.AsType[*client.CallError](err)
	if failed == nil || failed.Executed != client.No || object.CodeOf(err) != object.CodeUnavailable {
		t.Errorf("error = %v", err)
	}
}

// TestWebDeadline: the end of the context ends a call and a stream.
func TestWebDeadline(t *testing.T) {
	c := webServer(t, client.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") == "text/event-stream" {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, ":\n\ndata: 1\n\n")
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Object("acme.x").Call(ctx, "m")
	failed, _ := errors.AsType[*client.CallError](err)
	if !errors.Is(err, context.DeadlineExceeded) || object.CodeOf(err) != object.CodeDeadline || failed == nil ||
		failed.Executed == client.Yes {
		t.Errorf("error = %v", err)
	}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	items := 0
	for v, err := range c.Object("acme.x").Stream(ctx, "m") {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error = %v", err)
			}
			break
		}
		if items++; v != int64(1) {
			t.Errorf("item %v", v)
		}
		end()
	}
	if items != 1 {
		t.Errorf("%d items", items)
	}
}

// TestWebStreamCut: a stream without its end is an error.
func TestWebStreamCut(t *testing.T) {
	const raised = `{"type":"urn:hearth:problem:raised","class":"ValueError"}`
	for body, want := range map[string]string{
		"data: 1\n\n":       "reading an item",
		"data: 1\n\ndata: ": "reading an item",
		"data: 1\n\nevent: error\ndata: " + raised + "\n\n":          "ValueError",
		"data: 1\n\nevent: error\ndata: x\n\n":                       "cannot be read",
		"data: 1\n\ndata: \"" + strings.Repeat("x", 3000) + "\"\n\n": "MaxMessageBytes",
		"data: 1\n\ndata: {\n\n":                                     "json",
	} {
		c := webServer(t, client.Config{MaxMessageBytes: 2000}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, body)
		})
		n := 0
		var last error
		for _, err := range c.Object("acme.x").Stream(t.Context(), "m") {
			if last = err; err == nil {
				n++
			}
		}
		if n != 1 || last == nil || !strings.Contains(last.Error(), want) {
			t.Errorf("%.40q: %d items, %v, want %q", body, n, last, want)
		}
	}
}

// TestWebHeaders: a bearer key reaches the server, over TLS and a Unix socket too.
func TestWebHeaders(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `"`+r.Header.Get("Authorization")+` `+r.Header.Get("Idempotency-Key")[1:4]+`"`)
	})
	secure := httptest.NewUnstartedServer(handler)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)
	pool := x509.NewCertPool()
	pool.AddCert(secure.Certificate())
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path) //nolint:noctx // local
	if err != nil {
		t.Fatal(err)
	}
	local := &httptest.Server{Listener: l, Config: &http.Server{Handler: handler}} //nolint:gosec // local
	local.Start()
	t.Cleanup(local.Close)
	for _, cfg := range []client.Config{
		{Address: secure.URL + "/", TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}},
		{Address: "http+unix:" + path},
	} {
		cfg.Bearer = "hk_1"
		v, err := newWeb(t, cfg).Object("acme.x").CallOnce(t.Context(), "abc", "m", nil, nil)
		if v != "Bearer hk_1 abc" || err != nil {
			t.Errorf("%s: %v, %v", cfg.Address, v, err)
		}
	}
	_, err = newWeb(t, client.Config{Address: secure.URL}).Object("acme.x").Call(t.Context(), "m")
	failed, _ := errors.AsType[*client.CallError](err)
	if failed == nil || failed.Executed != client.No {
		t.Errorf("an unknown authority: %v", err)
	}
}

// TestWebConfig: a setting that would send a key in the clear, or has no effect, is an error.
func TestWebConfig(t *testing.T) {
	for want, cfg := range map[string]client.Config{
		"write http://host:port":             {Address: "http://"},
		"write http://host:port, https":      {Address: "https://a/b"},
		"over https, or to a loopback":       {Address: "http://example.com:80", Bearer: "x"},
		"a bearer key is sent over https":    {Address: "http://localhost.example:80", Bearer: "x"},
		"HTTP has no HMAC channel":           {Address: "http://127.0.0.1:1", KeyID: "a"},
		"Bearer has a space":                 {Address: "https://a", Bearer: "a\r\nX: y"},
		"serializer \"x\" is not supported":  {Address: "http://127.0.0.1:1", Serializer: "x"},
		"a bearer key needs an HTTP address": {Address: "127.0.0.1:1", Bearer: "x"},
	} {
		if _, err := client.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", cfg.Address, err, want)
		}
	}
	for _, address := range []string{"http://127.0.0.1:80", "http://[::1]:80", "http://localhost", "https://a.b:1/"} {
		newWeb(t, client.Config{Address: address, Bearer: "x"})
	}
}

// TestWebClose: Close ends running calls.
func TestWebClose(t *testing.T) {
	var c *client.Client
	c = webServer(t, client.Config{}, func(_ http.ResponseWriter, r *http.Request) {
		go c.Close()
		<-r.Context().Done()
	})
	_, err := c.Object("acme.x").Call(t.Context(), "m")
	failed, _ := errors.AsType[*client.CallError](err)
	if failed == nil || failed.Executed != client.Unknown {
		t.Errorf("error = %v", err)
	}
	_, err = c.Object("acme.x").Call(t.Context(), "m")
	if failed, _ = errors.AsType[*client.CallError](err); failed == nil || failed.Executed != client.No {
		t.Errorf("after Close: %v", err)
	}
}
