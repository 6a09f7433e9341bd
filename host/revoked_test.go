package host

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
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

// gate is a tenant whose calls wait until it is opened.
type gate struct {
	object.Backend
	entered chan struct{}
	open    chan struct{}
	calls   atomic.Int64
	ended   chan struct{} // closed when the only connection has ended
}

func newGate() *gate {
	return &gate{entered: make(chan struct{}, maxOneways), open: make(chan struct{}), ended: make(chan struct{})}
}

func (g *gate) Invoke(context.Context, *object.Call) (object.Reply, error) {
	g.calls.Add(1)
	g.entered <- struct{}{}
	<-g.open
	return object.Reply{}, nil
}

func (g *gate) EndConn(uint64) { close(g.ended) }

// gatedHost accepts connections under gatePolicy and looks at no files by itself.
func gatedHost(t *testing.T, g *gate) (h *Host, dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "scripts", "acme"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "scripts", "acme", "gate.lua"), "return hearth.object {}")
	write(t, filepath.Join(dir, "alice.key"), keyLine("alice-1"))
	write(t, filepath.Join(dir, "bob.key"), "")
	p, err := policy.Parse("policy.hcl", []byte(gatePolicy), dir, os.Getuid(), nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err = New(Config{Policy: p, Worker: []string{"never started"}})
	if err != nil {
		t.Fatal(err)
	}
	h.snap.Load().backends["acme"] = g // before anybody else sees it
	if err := h.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.serving.Add(1)
	go h.accept(h.listeners[0])
	t.Cleanup(h.drain)
	return h, dir
}

// connectAs opens a connection with a key of keyLine and introduces itself.
func connectAs(t *testing.T, h *Host, id string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", h.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c := signed.Client(nc, id, signed.Key{})
	send(t, c, &wire.Message{Type: wire.Connect, Payload: []byte(`{"handshake":"hello","object":"Pyro.Daemon"}`)})
	var m wire.Message
	if err := wire.NewReader(c, 0).Read(&m); err != nil || m.Type != wire.ConnectOK {
		t.Fatalf("CONNECT was answered with %v, %v", m.Type, err)
	}
	return c
}

// send sends messages of Pyro5 in one piece.
func send(t *testing.T, w io.Writer, messages ...*wire.Message) {
	t.Helper()
	var b []byte
	for _, m := range messages {
		m.Protocol, m.Serializer = object.Pyro5, codec.ByID(codec.JSON).WireID(object.Pyro5)
		var err error
		if b, err = wire.Append(b, m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
}

// TestNothingRunsAfterRevocation sends more oneway calls than run at a time and is
// revoked: what the host has received but not begun is dropped.
func TestNothingRunsAfterRevocation(t *testing.T) {
	g := newGate()
	h, dir := gatedHost(t, g)
	c := connectAs(t, h, "alice-1")
	var calls []*wire.Message
	for range maxOneways + 50 {
		calls = append(calls, &wire.Message{Type: wire.Invoke, Flags: wire.Oneway,
			Payload: []byte(`{"object":"acme.gate","method":"go","params":[],"kwargs":{}}`)})
	}
	send(t, c, calls...)
	for range maxOneways {
		<-g.entered
	}
	write(t, filepath.Join(dir, "alice.key"), "")
	h.vault.read()
	h.cutRevoked(time.Now())
	close(g.open)
	for {
		select {
		case <-g.entered:
			continue
		case <-g.ended:
		}
		break
	}
	// One more had been begun: it waited for one of the others to end.
	if n := g.calls.Load(); n > maxOneways+1 {
		t.Errorf("%d calls ran, %d of them begun after the caller was revoked", n, n-maxOneways-1)
	}
}

// TestKeyThatChangesHands gives a key to another principal while it is in use: nobody
// goes on as the one whose key it was.
func TestKeyThatChangesHands(t *testing.T) {
	h, dir := gatedHost(t, newGate())
	c := connectAs(t, h, "alice-1")
	write(t, filepath.Join(dir, "alice.key"), "")
	write(t, filepath.Join(dir, "bob.key"), keyLine("alice-1"))
	h.vault.read()
	h.cutRevoked(time.Now())
	var m wire.Message
	// The write may fail already.
	b, err := wire.Append(nil, &wire.Message{Protocol: object.Pyro5, Type: wire.Ping})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write(b)
	if err := wire.NewReader(c, 0).Read(&m); err == nil {
		t.Error("the connection of alice goes on with what is bob's key now")
	}
}
