package host

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	gateway "github.com/hearthhost/hearth/gateway/pyro"
	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/policyfile"
	"github.com/hearthhost/hearth/sandbox/script"
	"github.com/hearthhost/hearth/sandbox/supervise"
	"github.com/hearthhost/hearth/transport/ca"
	"github.com/hearthhost/hearth/transport/signed"
	"github.com/hearthhost/hearth/wire"
)

const gatePolicy = `
listener "tcp" {
  address  = "127.0.0.1:0"
  identify = ["hmac"]
}
principal "alice" { keys = ["alice.key"] }
principal "bob" { keys = ["bob.key"] }
tenant "acme" {}
permit "all" {
  principals = ["alice", "bob"]
  objects    = ["acme.*"]
}
`

// gate is a backend whose calls wait until it is opened.
type gate struct {
	object.Backend
	entered chan struct{} // an item for each call that has begun
	open    chan struct{} // closed to let calls return
	calls   atomic.Int64  // calls that have begun
	ended   chan struct{} // closed when the only connection has ended
}

func newGate() *gate {
	return &gate{
		entered: make(chan struct{}, gateway.MaxOneways),
		open:    make(chan struct{}),
		ended:   make(chan struct{}),
	}
}

func (g *gate) Invoke(_ context.Context, c *object.Call) (object.Reply, error) {
	if c.Enqueued != nil {
		c.Enqueued()
	}
	g.calls.Add(1)
	g.entered <- struct{}{}
	<-g.open
	return object.Reply{}, nil
}

func (g *gate) EndConn(uint64) { close(g.ended) }

// gatedHost starts a host that accepts connections under gatePolicy. It reads files only when the test calls for it.
func gatedHost(t *testing.T, g *gate) (h *Host, dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "scripts", "acme"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "scripts", "acme", "gate.lua"), "return hearth.object {}")
	write(t, filepath.Join(dir, "alice.key"), keyLine("alice-1"))
	write(t, filepath.Join(dir, "bob.key"), "")
	return serveGated(t, g, dir, gatePolicy), dir
}

// gated is a gate that replaces a tenant's worker.
type gated struct{ *gate }

func (gated) Stage(context.Context, *script.Version) (*object.Description, error) { return nil, nil }
func (gated) Activate(...*script.Version)                                         {}
func (gated) Test(context.Context, *script.Version, script.Script) ([]script.TestResult, error) {
	return nil, nil
}
func (gated) Discard(*script.Version)           {}
func (gated) Remove(...object.ID)               {}
func (gated) SetSecrets(*supervise.Secrets)     {}
func (gated) Retire(context.Context)            {}
func (gated) Withdraw(func(*object.Call) error) {}
func (gated) Close(context.Context) error       { return nil }

// serveGated is gatedHost with another policy. The policy's files are in dir.
func serveGated(t *testing.T, g *gate, dir, text string) *Host {
	t.Helper()
	p, err := policyfile.Parse("policy.hcl", []byte(text), dir, os.Getuid(), nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(Config{Policy: p, Worker: []string{"never started"}})
	if err != nil {
		t.Fatal(err)
	}
	snap := h.current.Load() // not yet shared with other goroutines
	if snap.Backends.Tenants["acme"] == nil {
		snap.Backends.Tenants["acme"] = &backend.Tenant{}
	}
	snap.Backends.Tenants["acme"].Worker = gated{g}
	snap.SetRoutes(snap.Backends.Routes(), h.builtin, nil)
	if err := h.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.pyro.Serve(h.listeners[0], "tcp")
	t.Cleanup(h.drain)
	return h
}

// connectAs opens a connection with a key of keyLine and completes the handshake.
func connectAs(t *testing.T, h *Host, id string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", h.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return introduce(t, signed.Client(nc, id, signed.Key{}))
}

// introduce sends CONNECT over c, requires CONNECTOK, and returns c.
func introduce(t *testing.T, c net.Conn) net.Conn {
	t.Helper()
	send(t, c, &wire.Message{Type: wire.Connect, Payload: []byte(`{"handshake":"hello","object":"Pyro.Daemon"}`)})
	var m wire.Message
	if err := wire.NewReader(c, 0).Read(&m); err != nil || m.Type != wire.ConnectOK {
		t.Fatalf("reply to CONNECT: %v, %v", m.Type, err)
	}
	return c
}

// send sends Pyro5 messages in one write.
func send(t *testing.T, w io.Writer, messages ...*wire.Message) {
	t.Helper()
	var b []byte
	for _, m := range messages {
		m.Protocol, m.Serializer = wire.Pyro5, pyro.SerializerNumber(wire.Pyro5, codec.ByID(codec.JSON))
		var err error
		if b, err = wire.Append(b, m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
}

// TestNothingRunsAfterRevocation revokes a caller that sent more oneway calls than run at a time. Calls that the host
// received but did not begin are dropped.
func TestNothingRunsAfterRevocation(t *testing.T) {
	g := newGate()
	h, dir := gatedHost(t, g)
	c := connectAs(t, h, "alice-1")
	var calls []*wire.Message
	for range gateway.MaxOneways + 50 {
		calls = append(calls, &wire.Message{Type: wire.Invoke, Flags: wire.Oneway,
			Payload: []byte(`{"object":"acme.gate","method":"go","params":[],"kwargs":{}}`)})
	}
	send(t, c, calls...)
	for range gateway.MaxOneways {
		<-g.entered
	}
	write(t, filepath.Join(dir, "alice.key"), "")
	h.current.Load().Credentials.Read()
	h.pyro.CutRevoked(time.Now())
	close(g.open)
	for {
		select {
		case <-g.entered:
			continue
		case <-g.ended:
		}
		break
	}
	// One more call may have begun: it waited for one of the others to end.
	if n := g.calls.Load(); n > gateway.MaxOneways+1 {
		t.Errorf("%d calls ran, %d of them began after the caller was revoked", n, n-gateway.MaxOneways-1)
	}
}

// TestKeyMovedToAnotherPrincipal moves a key that is in use to another principal. The old principal's connection is
// closed.
func TestKeyMovedToAnotherPrincipal(t *testing.T) {
	h, dir := gatedHost(t, newGate())
	c := connectAs(t, h, "alice-1")
	write(t, filepath.Join(dir, "alice.key"), "")
	write(t, filepath.Join(dir, "bob.key"), keyLine("alice-1"))
	h.current.Load().Credentials.Read()
	h.pyro.CutRevoked(time.Now())
	if answersPing(t, c) {
		t.Error("the connection of alice stays open with a key that is bob's now")
	}
}

// answersPing reports whether the host answers a ping.
func answersPing(t *testing.T, c net.Conn) bool {
	t.Helper()
	b, err := wire.Append(nil, &wire.Message{Protocol: wire.Pyro5, Type: wire.Ping})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write(b) // fails if the connection is closed already
	var m wire.Message
	return wire.NewReader(c, 0).Read(&m) == nil
}

const certPolicy = `
listener "tcp" {
  address  = "127.0.0.1:0"
  identify = ["cert"]
  plain    = false
  tls {
    cert      = "host.pem"
    key       = "host.key"
    client_ca = "ca/ca.pem"
    revoked   = "ca/revoked"
  }
}
principal "alice" {
  cert { common_name = "alice" }
}
tenant "acme" {}
permit "all" {
  principals = ["alice"]
  objects    = ["acme.*"]
}
`

// TestRevocationWithDamagedFile revokes a certificate while another file of the listener is damaged. The readable
// files take effect.
func TestRevocationWithDamagedFile(t *testing.T) {
	for name, damage := range map[string]func(dir string){
		"the host's certificate": func(dir string) { write(t, filepath.Join(dir, "host.pem"), "damaged") },
		"the host's key":         func(dir string) { write(t, filepath.Join(dir, "host.key"), "damaged") },
		"an authority":           func(dir string) { write(t, filepath.Join(dir, "ca", "ca.pem"), "damaged") },
		"the list": func(dir string) {
			f, err := os.OpenFile(filepath.Join(dir, "ca", "revoked"), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteString("not a serial number\n"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o755); err != nil {
			t.Fatal(err)
		}
		authority, err := ca.Init(filepath.Join(dir, "ca"), "test", 1, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		certificate(t, authority, dir, ca.Request{Name: "host", Kind: ca.Server, DNS: []string{"localhost"}})
		alice := certificate(t, authority, dir, ca.Request{Name: "alice", Kind: ca.Client})
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "alice.pem"), filepath.Join(dir, "alice.key"))
		if err != nil {
			t.Fatal(err)
		}
		h := serveGated(t, newGate(), dir, certPolicy)
		trusted := x509.NewCertPool()
		trusted.AddCert(authority.Certificate())
		connect := func() (net.Conn, error) {
			return tls.Dial("tcp", h.Addrs()[0], &tls.Config{
				ServerName:   "localhost",
				RootCAs:      trusted,
				Certificates: []tls.Certificate{pair},
			})
		}
		c, err := connect()
		if err != nil {
			t.Fatal(err)
		}
		introduce(t, c)
		if err := authority.Revoke(alice, time.Now()); err != nil {
			t.Fatal(err)
		}
		damage(dir)
		if _, problems := h.current.Load().Credentials.Read(); len(problems) != 1 {
			t.Errorf("%s: problems %v, want one", name, problems)
		}
		h.pyro.CutRevoked(time.Now())
		if answersPing(t, c) {
			t.Errorf("%s is damaged: the revoked client stays connected", name)
		}
		if c, err = connect(); err == nil && answersPing(t, c) {
			t.Errorf("%s is damaged: the revoked client connects again", name)
		}
	}
}

// certificate issues a certificate and writes it and its key into a folder.
func certificate(t *testing.T, authority *ca.CA, dir string, r ca.Request) *ca.Issued {
	t.Helper()
	key, err := ca.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, err := ca.EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	r.PublicKey = key.Public()
	text, one, err := authority.Issue(r, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, r.Name+".pem"), string(text))
	write(t, filepath.Join(dir, r.Name+".key"), string(keyPEM))
	return one
}
