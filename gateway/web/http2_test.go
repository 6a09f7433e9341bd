package web_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// serveTLS starts a host whose listener requires TLS, and returns the configuration of its clients.
func serveTLS(t *testing.T, rules string) (*fixture, *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "host"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := serve(t, fmt.Sprintf("plain = false\ntls {\ncert = %q\nkey = %q\n}", filepath.Join(dir, "cert.pem"),
		filepath.Join(dir, "key.pem")), rules)
	f.url = "https://" + f.host.Addrs()[0]
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return f, &tls.Config{RootCAs: pool}
}

// TestHTTP2 makes requests over HTTP/2 with the client of net/http.
func TestHTTP2(t *testing.T) {
	f, cfg := serveTLS(t, strings.Replace(rules, `tenant "acme" {}`,
		"tenant \"acme\" {\nlimits {\narguments = \"64KiB\"\n}\n}", 1))
	transport := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	// do sends a body in parts, whose length the host does not know before.
	do := func(host, path, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "POST", f.url+path, io.MultiReader(
			strings.NewReader(body[:len(body)/2]), strings.NewReader(body[len(body)/2:])))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		r.Header.Set("Content-Type", "application/json")
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if resp.ProtoMajor != 2 || err != nil {
			t.Fatalf("%s, %v", resp.Proto, err)
		}
		return resp.StatusCode, string(b)
	}
	long := `["` + strings.Repeat("x", 50<<10) + `"]`
	for _, tc := range []struct {
		host, path, body string
		status           int
		want             string
	}{
		{"", "/v1/objects/acme.counter/add", "[5]", 200, "5"},
		{"", "/v1/objects/acme.echo/echo", long, 200, long[1 : len(long)-1]},
		{"", "/v1/objects/acme.echo/echo", `["` + strings.Repeat("x", 1<<20) + `"]`, 413, "too_large"},
		{"", "/v1/objects/other.hidden/hi", "[]", 404, "not_found"},
		{"evil.example", "/v1/objects/acme.counter/add", "[5]", 421, ""},
	} {
		status, body := do(tc.host, tc.path, tc.body)
		if status != tc.status || !strings.Contains(body, tc.want) {
			t.Errorf("%s with host %q: %d %.200s", tc.path, tc.host, status, body)
		}
	}
	if status, body := do("", "/v1/objects/acme.counter/add", "[1]"); status != 200 || body != "6" && body != "6\n" {
		t.Errorf("a refused request was executed: %d %s", status, body)
	}
}

// raw2 is a connection of HTTP/2 whose frames a test writes.
type raw2 struct {
	*http2.Framer
	conn    *tls.Conn
	block   bytes.Buffer
	encoder *hpack.Encoder
	host    string
}

func dial2(t *testing.T, f *fixture, cfg *tls.Config) *raw2 {
	t.Helper()
	cfg = cfg.Clone()
	cfg.NextProtos = []string{"h2"}
	d := &tls.Dialer{Config: cfg}
	nc, err := d.DialContext(t.Context(), "tcp", f.host.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c := &raw2{Framer: http2.NewFramer(nc, nc), conn: nc.(*tls.Conn), host: f.host.Addrs()[0]}
	c.encoder = hpack.NewEncoder(&c.block)
	_, err = io.WriteString(nc, http2.ClientPreface)
	if err = errors.Join(err, c.WriteSettings()); err != nil {
		t.Fatal(err)
	}
	return c
}

// request writes the header of a request. more are pairs of name and value.
func (c *raw2) request(stream uint32, end bool, more ...string) error {
	c.block.Reset()
	all := append([]string{":method", "POST", ":scheme", "https", ":authority", c.host, ":path",
		"/v1/objects/acme.echo/echo", "content-type", "application/json"}, more...)
	for i := 0; i < len(all); i += 2 {
		if err := c.encoder.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]}); err != nil {
			return err
		}
	}
	return c.WriteHeaders(http2.HeadersFrameParam{
		StreamID:      stream,
		BlockFragment: c.block.Bytes(),
		EndHeaders:    true,
		EndStream:     end,
	})
}

// TestRapidReset begins and cancels requests without an end, as the attack of 2023 did. The host closes the connection,
// and serves others.
func TestRapidReset(t *testing.T) {
	f, cfg := serveTLS(t, rules)
	c := dial2(t, f, cfg)
	closed := make(chan error, 1)
	go func() {
		for {
			frame, err := c.ReadFrame()
			if err == nil {
				if g, ok := frame.(*http2.GoAwayFrame); ok {
					err = fmt.Errorf("%v", g.ErrCode)
				}
			}
			if err != nil {
				closed <- err
				return
			}
		}
	}()
	var err error
	for stream := uint32(1); stream < 400_000 && err == nil; stream += 2 {
		if err = c.request(stream, false); err == nil {
			err = c.WriteRSTStream(stream, http2.ErrCodeCancel)
		}
		select {
		case err = <-closed:
		default:
		}
	}
	if err == nil {
		t.Fatal("the host accepts 200,000 cancelled requests of a connection")
	}
	transport := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	r, err := http.NewRequestWithContext(t.Context(), "GET", f.url+"/v1/objects/acme.counter/total", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || strings.TrimSpace(string(b)) != "0" {
		t.Errorf("another client: %d %s", resp.StatusCode, b)
	}
}

// TestHTTP2Smuggling sends requests that become two requests, or other ones, behind a proxy that translates them to
// HTTP/1.1. None is executed.
func TestHTTP2Smuggling(t *testing.T) {
	f, cfg := serveTLS(t, rules)
	for name, headers := range map[string][]string{
		"":                          nil, // it is a valid request otherwise
		"transfer-encoding":         {"transfer-encoding", "chunked"},
		"connection":                {"connection", "keep-alive"},
		"upper case":                {"X-Upper", "1"},
		"line end in a value":       {"x-a", "1\r\nx-b: 2"},
		"second path":               {":path", "/v1/objects/acme.counter/reset"},
		"path with a line end":      {"x-a\r\nx-b", "2"},
		"content-length of no body": {"content-length", "3"},
		"two lengths":               {"content-length", "0", "content-length", "3"},
	} {
		c := dial2(t, f, cfg)
		if err := c.request(1, true, headers...); err != nil {
			t.Fatal(err)
		}
		_ = c.conn.SetReadDeadline(time.Now().Add(time.Minute))
		dec := hpack.NewDecoder(4096, nil)
		status := "refused"
		for done := false; !done; {
			frame, err := c.ReadFrame()
			if err != nil {
				break // the connection was closed
			}
			switch frame := frame.(type) {
			case *http2.RSTStreamFrame, *http2.GoAwayFrame:
				done = true
			case *http2.HeadersFrame:
				fields, err := dec.DecodeFull(frame.HeaderBlockFragment())
				if err != nil || len(fields) == 0 || fields[0].Name != ":status" {
					t.Fatalf("%s: %v, %v", name, fields, err)
				}
				status, done = fields[0].Value, true
			}
		}
		if (status == "204") != (name == "") || status[0] != '4' && status != "204" && status != "refused" {
			t.Errorf("%s: status %s", name, status)
		}
		c.conn.Close()
	}
}
