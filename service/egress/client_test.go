package egress_test

import (
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hearthhost/hearth/service/egress"
	"github.com/hearthhost/hearth/service/egress/rule"
)

func discard() *log.Logger { return log.New(io.Discard, "", 0) }

// TestDo sends requests with injected credentials to a server over HTTP/2.
func TestDo(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		body, _ := io.ReadAll(r.Body)
		good := r.Header.Get("X-Api-Key") == "key "+secretValue && user == "hearth" && password == "hunter2-hunter2" &&
			r.URL.Query().Get("token") == secretValue && r.URL.Query().Get("a") == "b c"
		w.Header().Set("X-Proto", r.Proto)
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, good, " ", r.Method, " ", r.URL.Path, " ", string(body), " ", r.Header.Get("X-Mine"), " ", r.Host)
	})
	b := blockOf(t, s)
	b.Inject = append(b.Inject, rule.Inject{Query: "token", Value: rule.Template{{Secret: "key"}}})
	b.Basic = &rule.Basic{User: rule.Template{{Text: "hearth"}}, Password: rule.Template{{Secret: "password"}}}
	bench := newBench(t, nil)
	resp, err := bench.do(b, &egress.Request{
		Method: "POST",
		URL:    "/v1/charges%20x?a=b%20c",
		Header: []rule.Field{{Name: "x-mine", Value: "1"}},
		Body:   []byte("amount=5"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "true POST /v1/charges x amount=5 1 example.com:" + itoa(int(b.Hosts[0].Port))
	if resp.Status != http.StatusTeapot || resp.Body != want || header(resp, "X-Proto") != "HTTP/2.0" {
		t.Errorf("got %+v, want %s", resp, want)
	}
	if got := bench.log(); got != "POST /v1/charges%20x" {
		t.Errorf("recorded %q", got)
	}
}

// TestRedact has a server that returns the credential in its body, compressed or not, and in its headers.
func TestRedact(t *testing.T) {
	t.Parallel()
	basic := base64.StdEncoding.EncodeToString([]byte("hearth:hunter2-hunter2"))
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Echo", r.Header.Get("X-Api-Key"))
		w.Header().Set("Location", "https://elsewhere.test/?token="+secretValue)
		text := fmt.Sprint(r.Header, base64.StdEncoding.EncodeToString([]byte(secretValue)))
		if r.URL.Path == "/gzip" {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			fmt.Fprint(z, text)
			return
		}
		fmt.Fprint(w, text)
	})
	b := blockOf(t, s)
	b.Basic = &rule.Basic{User: rule.Template{{Text: "hearth"}}, Password: rule.Template{{Secret: "password"}}}
	bench := newBench(t, nil)
	for _, path := range []string{"/plain", "/gzip"} {
		resp := bench.get(b, path)
		all := fmt.Sprint(resp)
		for _, secret := range []string{secretValue, "hunter2", basic,
			base64.StdEncoding.EncodeToString([]byte(secretValue))} {
			if strings.Contains(all, secret) {
				t.Errorf("%s: the response has %s: %s", path, secret, all)
			}
		}
		if !strings.Contains(resp.Body, "key [secret key]") || header(resp, "X-Echo") != "key [secret key]" {
			t.Errorf("%s: %s", path, all)
		}
	}
	// The former value is redacted too: a server may return it after a rotation.
	bench.mu.Lock()
	bench.secrets["key"] = "another-secret"
	bench.mu.Unlock()
	if resp := bench.get(b, "/plain"); strings.Contains(resp.Body, secretValue) || strings.Contains(resp.Body,
		"another") {
		t.Errorf("after a rotation: %s", resp.Body)
	}
	delete(bench.secrets, "key")
	bench.fails(b, &egress.Request{Method: "GET", URL: "/"}, egress.ClassFailed, `secret "key" has no value`)
}

func TestSignHMAC(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		m := hmac.New(sha256.New, []byte(secretValue))
		m.Write([]byte(r.Header.Get("X-Time") + "." + r.Method + "." + r.RequestURI + "." + string(body)))
		fmt.Fprint(w, r.Header.Get("X-Signature") == "v1="+hex.EncodeToString(m.Sum(nil)) &&
			r.Header.Get("X-Time") != "")
	})
	b := blockOf(t, s)
	b.Inject = nil
	b.HMAC = &rule.HMAC{
		Secret:    rule.Template{{Secret: "key"}},
		Header:    "X-Signature",
		Prefix:    "v1=",
		Timestamp: "X-Time",
		Content:   []string{"timestamp", "method", "path", "body"},
		Separator: ".",
	}
	bench := newBench(t, nil)
	resp, err := bench.do(b, &egress.Request{Method: "POST", URL: "/a?b=c", Body: []byte("text")})
	if err != nil || resp.Body != "true" {
		t.Errorf("got %+v, %v", resp, err)
	}
	bench.fails(b, &egress.Request{Method: "GET", URL: "/", Header: []rule.Field{{Name: "X-Time", Value: "0"}}},
		egress.ClassDenied, "injected")
}

func TestSignAWS(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("Authorization"), " ", r.Header.Get("X-Amz-Date"), " ",
			r.Header.Get("X-Amz-Security-Token"))
	})
	b := blockOf(t, s)
	b.Inject = nil
	b.AWS = &rule.AWS{
		Region:       "us-east-1",
		Service:      "s3",
		AccessKey:    rule.Template{{Text: "AKIDEXAMPLE"}},
		SecretKey:    rule.Template{{Secret: "key"}},
		SessionToken: rule.Template{{Secret: "password"}},
	}
	resp := newBench(t, nil).get(b, "/bucket/key")
	if !strings.Contains(resp.Body, "Credential=AKIDEXAMPLE/") || !strings.Contains(resp.Body,
		"/us-east-1/s3/aws4_request, "+
			"SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature=") ||
		!strings.HasSuffix(resp.Body, "[secret password]") {
		t.Errorf("got %s", resp.Body)
	}
}

// TestOAuth fetches one token for many requests, and another one after the server has rejected it.
func TestOAuth(t *testing.T) {
	t.Parallel()
	var fetched atomic.Int64
	authority := serve(t, func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if r.FormValue("grant_type") != "client_credentials" || id != "client" || secret != secretValue {
			http.Error(w, "wrong client "+secret, http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"access_token":"token-number-%d","token_type":"Bearer","expires_in":3600}`, fetched.Add(1))
	})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/reject" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		fmt.Fprint(w, r.Header.Get("Authorization") == fmt.Sprintf("Bearer token-number-%d", fetched.Load()), " ",
			r.Header.Get("Authorization"))
	})
	b := blockOf(t, s)
	b.Inject = nil
	b.OAuth = &rule.OAuth{
		TokenURL:     "https://example.com:" + itoa(int(port(t, authority.Listener.Addr()))) + "/token",
		ClientID:     rule.Template{{Text: "client"}},
		ClientSecret: rule.Template{{Secret: "key"}},
	}
	bench := newBench(t, nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if resp := bench.get(b, "/"); resp.Body != "true Bearer [secret api token]" {
				t.Errorf("got %s", resp.Body)
			}
		})
	}
	all.Wait()
	if n := fetched.Load(); n != 1 {
		t.Errorf("%d tokens were fetched for requests at a time", n)
	}
	bench.get(b, "/reject")
	if resp := bench.get(b, "/"); !strings.HasPrefix(resp.Body, "true") || fetched.Load() != 2 {
		t.Errorf("after a rejected token: %s, %d tokens", resp.Body, fetched.Load())
	}
	if n := strings.Count(bench.log(), "POST /token"); n != 2 {
		t.Errorf("%d requests of tokens were recorded", n)
	}
	bench.mu.Lock()
	bench.secrets["key"] = "changed-secret"
	bench.mu.Unlock()
	bench.fails(b, &egress.Request{Method: "GET", URL: "/"}, egress.ClassFailed, "status 401; not sent")
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "other ", r.Method, " ", r.Header.Get("X-Api-Key"), r.Header.Get("X-Mine"),
			r.Header.Get("Cookie"))
	})
	otherPort := port(t, other.Listener.Addr())
	otherURL := "https://other.example.com:" + itoa(int(otherPort))
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		to, code := strings.TrimPrefix(r.URL.Path, "/to/"), http.StatusFound
		switch to {
		case "same":
			to = "/end#fragment"
		case "other":
			to = otherURL + "/end"
		case "other307":
			to, code = otherURL+"/end", http.StatusTemporaryRedirect
		case "same307":
			to, code = "/end", http.StatusTemporaryRedirect
		case "loop":
			to = "/to/loop"
		case "user":
			to = "https://example.com@other.example.com/"
		case "plain":
			to = "http://example.com/"
		case "private":
			to = "https://169.254.169.254/latest/meta-data/"
		case "port":
			to = "https://example.com:1/"
		case "path":
			to = "/forbidden"
		default:
			body, _ := io.ReadAll(r.Body)
			fmt.Fprint(w, "end ", r.Method, " ", r.Header.Get("X-Api-Key") == "key "+secretValue, " ", string(body))
			return
		}
		w.Header().Set("Location", to)
		w.WriteHeader(code)
	})
	b := blockOf(t, s)
	bench := newBench(t, nil)
	if resp := bench.get(b, "/to/other"); resp.Status != http.StatusFound || header(resp,
		"Location") != otherURL+"/end" {
		t.Errorf("a redirect is not returned: %+v", resp)
	}
	b = blockOf(t, s)
	b.Redirects = 2
	b.Hosts = append(b.Hosts, rule.Host{Name: "other.example.com", Port: otherPort})
	b.Paths = []string{"/to/*", "/end"}
	base := "https://example.com:" + itoa(int(b.Hosts[0].Port))
	do := func(method, path, body string) (*egress.Response, error) {
		return bench.do(b, &egress.Request{Method: method, URL: base + path, Body: []byte(body),
			Header: []rule.Field{{Name: "X-Mine", Value: "mine"}, {Name: "Cookie", Value: "mine"}}})
	}
	for _, test := range []struct{ method, path, body, want string }{
		{"GET", "/to/same", "", "end GET true "},
		{"POST", "/to/same", "text", "end GET true "},
		{"POST", "/to/same307", "text", "end POST true text"},
		{"GET", "/to/other", "", "other GET "},
		{"POST", "/to/other", "text", "other GET "},
	} {
		if resp, err := do(test.method, test.path, test.body); err != nil || resp.Body != test.want {
			t.Errorf("%s %s: %+v, %v; want %q", test.method, test.path, resp, err, test.want)
		}
	}
	for path, text := range map[string]string{
		"/to/loop": "at most 2 redirects", "/to/user": "user", "/to/plain": "http", "/to/private": "not in hosts",
		"/to/port": "not in hosts", "/to/path": "not in paths", "/to/other307": "body to another host",
	} {
		body := ""
		if path == "/to/other307" {
			body = "text"
		}
		bench.fails(b, &egress.Request{Method: "POST", URL: base + path, Body: []byte(body)}, egress.ClassDenied, text)
	}
	if n := strings.Count(bench.log(), "denied"); n != 7 {
		t.Errorf("%d denials were recorded:\n%s", n, bench.log())
	}
}

// TestRecord checks that nothing is sent without a record, and that refusals are recorded.
func TestRecord(t *testing.T) {
	t.Parallel()
	var served atomic.Int64
	s := serve(t, func(http.ResponseWriter, *http.Request) { served.Add(1) })
	b := blockOf(t, s)
	bench := newBench(t, nil)
	bench.record = errors.New("the disk is full")
	bench.fails(b, &egress.Request{Method: "GET", URL: "/a?b=c"}, egress.ClassFailed, "not sent")
	bench.fails(b, &egress.Request{Method: "DELETE", URL: "/"}, egress.ClassDenied, "not in methods; not sent")
	bench.fails(b, &egress.Request{Method: "GET", URL: "https://evil.test/x"}, egress.ClassDenied, "not in hosts")
	bench.fails(b, &egress.Request{Method: "GET", URL: "/", Header: []rule.Field{{Name: "X-Api-Key", Value: "a"}}},
		egress.ClassDenied, "injected")
	if served.Load() != 0 {
		t.Error("a request without a record was sent")
	}
	if want := "GET /a\ndenied DELETE \ndenied GET /x\ndenied GET /"; bench.log() != want {
		t.Errorf("recorded\n%s\nwant\n%s", bench.log(), want)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	arrived := make(chan struct{}, 1)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hold":
			arrived <- struct{}{}
			<-hold
		case "/large":
			_, _ = w.Write(make([]byte, 2000))
		case "/exact":
			_, _ = w.Write(make([]byte, 1000))
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			_, _ = z.Write(make([]byte, 200<<10))
		}
	})
	defer s.Close()
	release := sync.OnceFunc(func() { close(hold) })
	defer release()
	b := blockOf(t, s)
	b.Limits.RequestBytes, b.Limits.ResponseBytes = 100, 1000
	b.Limits.Concurrent = 1
	bench := newBench(t, nil)
	bench.fails(b, &egress.Request{Method: "POST", URL: "/", Body: make([]byte, 101)}, egress.ClassTooLarge, "not sent")
	bench.fails(b, &egress.Request{Method: "GET", URL: "/large"}, egress.ClassTooLarge,
		"more than 1000 bytes; the server")
	bench.fails(b, &egress.Request{Method: "GET", URL: "/bomb"}, egress.ClassTooLarge, "more than 1000 bytes")
	if resp := bench.get(b, "/exact"); len(resp.Body) != 1000 {
		t.Errorf("%d bytes", len(resp.Body))
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := bench.doContext(ctx, b, &egress.Request{Method: "GET", URL: "/hold"})
		ended <- err
	}()
	<-arrived
	bench.fails(b, &egress.Request{Method: "GET", URL: "/", Timeout: 20 * time.Millisecond}, egress.ClassTimeout,
		"not sent")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled request: %v", err)
	}
	go func() { <-arrived }()
	bench.fails(b, &egress.Request{Method: "GET", URL: "/hold", Timeout: 200 * time.Millisecond}, egress.ClassTimeout,
		"in time")
	release()
	b = blockOf(t, s)
	b.Limits.Rate, b.Limits.Interval, b.Limits.Burst = "2/h", 30*time.Minute, 2
	bench.get(b, "/")
	bench.get(b, "/")
	bench.fails(b, &egress.Request{Method: "GET", URL: "/"}, egress.ClassDenied, "permits 2/h; not sent")
}

// TestChange checks that a changed block takes effect, and that an equal one keeps its limits.
func TestChange(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("X-Other")) })
	b := blockOf(t, s)
	b.Limits.Rate, b.Limits.Interval, b.Limits.Burst = "1/h", time.Hour, 1
	bench := newBench(t, nil)
	bench.get(b, "/")
	equal := *b
	equal.Where = "elsewhere"
	bench.client.Keep([]*rule.Block{&equal})
	bench.fails(&equal, &egress.Request{Method: "GET", URL: "/"}, egress.ClassDenied, "permits 1/h")
	changed := *b
	changed.Inject = []rule.Inject{{Header: "X-Other", Value: rule.Template{{Text: "other"}}}}
	bench.client.Keep([]*rule.Block{&changed})
	if resp := bench.get(&changed, "/"); resp.Body != "other" {
		t.Errorf("got %q", resp.Body)
	}
}
