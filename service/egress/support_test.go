package egress_test

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/egress"
	"github.com/hearthhost/hearth/service/egress/rule"
)

const secretValue = "sk_live_0123456789"

// fixed is a resolver with fixed addresses for every name. It counts its lookups.
type fixed struct {
	addrs []netip.Addr

	mu    sync.Mutex
	names []string
}

func (f *fixed) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.names = append(f.names, host)
	return f.addrs, nil
}

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// bench has a client whose names all lead to loopback, and the events that it recorded.
type bench struct {
	t       *testing.T
	client  *egress.Client
	secrets map[string]string
	record  error // result of the hook

	mu     sync.Mutex
	events []string
}

func newBench(t *testing.T, change func(*egress.Config)) *bench {
	t.Helper()
	b := &bench{t: t, secrets: map[string]string{"key": secretValue + "\n", "password": "hunter2-hunter2"}}
	cfg := egress.Config{
		Secret: func(tenant object.Tenant, name string) (string, bool) {
			b.mu.Lock()
			defer b.mu.Unlock()
			v, ok := b.secrets[name]
			return v, ok && tenant == "acme"
		},
		Resolver: &fixed{addrs: addrs("127.0.0.1")},
	}
	if change != nil {
		change(&cfg)
	}
	b.client = egress.New(cfg)
	t.Cleanup(b.client.Close)
	return b
}

func (b *bench) do(block *rule.Block, r *egress.Request) (*egress.Response, error) {
	b.t.Helper()
	return b.doContext(b.t.Context(), block, r)
}

func (b *bench) doContext(ctx context.Context, block *rule.Block, r *egress.Request) (*egress.Response, error) {
	resp, err := b.client.Do(ctx, block, r, func(e egress.Event) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		line := e.Method + " " + e.Target.Path
		if e.Target.Query != "" {
			line += " with a query"
		}
		if e.Denied != nil {
			line = "denied " + line
		}
		b.events = append(b.events, line)
		return b.record
	})
	if err != nil && (strings.Contains(err.Error(), secretValue) || strings.Contains(err.Error(), "hunter2")) {
		b.t.Errorf("the error has a secret: %v", err)
	}
	return resp, err
}

// get sends a GET request, which must succeed.
func (b *bench) get(block *rule.Block, path string) *egress.Response {
	b.t.Helper()
	resp, err := b.do(block, &egress.Request{Method: "GET", URL: path})
	if err != nil {
		b.t.Fatal(err)
	}
	return resp
}

// fails sends a request, which must fail with a class and a text.
func (b *bench) fails(block *rule.Block, r *egress.Request, class, text string) {
	b.t.Helper()
	resp, err := b.do(block, r)
	e, ok := errors.AsType[*object.Error](err)
	if !ok || e.Class != class || !strings.Contains(e.Msg, text) {
		b.t.Errorf("%s %s: got %+v, %v; want %s with %q", r.Method, r.URL, resp, err, class, text)
	}
}

func (b *bench) log() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.events, "\n")
}

// serve starts a server with TLS and HTTP/2 whose certificate is one of example.com.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = discard()
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// blockOf returns a block for a server, with a secret in a header.
func blockOf(t *testing.T, s *httptest.Server) *rule.Block {
	t.Helper()
	b := &rule.Block{
		Tenant:  "acme",
		Name:    "api",
		Objects: []object.ID{"acme.billing"},
		Hosts:   []rule.Host{{Name: "example.com", Port: port(t, s.Listener.Addr())}},
		Methods: []string{"GET", "POST", "HEAD"},
		Paths:   []string{"/*"},
		Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		Inject:  []rule.Inject{{Header: "X-Api-Key", Value: rule.Template{{Text: "key "}, {Secret: "key"}}}},
		Limits:  rule.Limits{Timeout: 20 * time.Second},
	}
	if s.TLS != nil {
		b.CA = writeCA(t, s)
	} else {
		b.Plain = true
	}
	return b
}

func writeCA(t *testing.T, s *httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func port(t *testing.T, a net.Addr) uint16 {
	t.Helper()
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		t.Fatal(err)
	}
	return p.Port()
}

// header returns a header of a response.
func header(r *egress.Response, name string) string {
	for _, f := range r.Header {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// raw starts a server without TLS that answers each connection by a function.
func raw(t *testing.T, answer func(net.Conn)) *httptest.Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				answer(c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); open.Wait() })
	return &httptest.Server{Listener: l}
}

// readHead reads the head of a request.
func readHead(c net.Conn) string {
	var head []byte
	one := make([]byte, 1)
	for !strings.HasSuffix(string(head), "\r\n\r\n") {
		if n, err := c.Read(one); n == 0 || err != nil {
			break
		}
		head = append(head, one[0])
	}
	return string(head)
}

func itoa(n int) string { return strconv.Itoa(n) }

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // net/http logs bytes of servers, see package daemon
	os.Exit(m.Run())
}
