package host_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport/signed"
	"github.com/hearthhost/hearth/wire"
)

// gonePolicy has calls that would run for half a minute, and a limit that only ended calls release.
const gonePolicy = `
listener "tcp" {
  address  = "127.0.0.1:0"
  identify = ["peer", "hmac"]
}
listener "socket" { address = "unix:h.sock" }
audit { file = "audit/audit.jsonl" }
principal "owner" { host_user = true }
principal "alice" { keys = ["alice.key"] }
tenant "acme" {
  limits {
    max_duration = "30s"
    steps        = 100000000000
  }
}
permit "all" {
  principals = ["owner", "alice", "object:acme.relay"]
  objects    = ["acme.*"]
}
limit "one call of each object" {
  principals = ["owner", "alice"]
  objects    = ["acme.single", "acme.relay", "acme.parallel"]
  concurrent = 1
}
`

// goneScripts are objects whose calls run until the flag is up. They log that they run.
var goneScripts = map[string]string{
	"acme/flag.lua": `
local F = hearth.object { instance = "single" }
function F.get:up() return self.is_up or false end
function F.set:up(v) self.is_up = v end
return F`,
	"acme/single.lua": `
local S = hearth.object { instance = "single" }
function S.expose:spin(name) hearth.log.info("runs " .. name) while true do end end
function S.expose:hi() hearth.log.info("runs hi") return "hi" end
return S`,
	"acme/relay.lua": `
local R = hearth.object { instance = "call" }
function R.expose:spin(name) return hearth.proxy("acme.single"):spin(name) end
return R`,
	"acme/parallel.lua": `
local P = hearth.object { instance = "call" }
local function wait() local flag = hearth.proxy("acme.flag") while not flag.up do end end
function P.expose:wait(name) hearth.log.info("runs " .. name) wait() return "waited" end
function P.oneway:later(name) hearth.log.info("runs " .. name) wait() hearth.log.info("ends " .. name) end
function P.expose:items(name)
  local n = 0
  return hearth.stream(function()
    n = n + 1
    if n == 2 then hearth.log.info("runs " .. name) while true do end end
    return n
  end)
end
return P`,
}

// goneHost is a host with goneScripts, its log and its audit log.
type goneHost struct {
	*host.Host
	log   syncBuffer
	audit string
	owner *client.Client
}

func newGoneHost(t *testing.T, with ...func(*host.Config)) *goneHost {
	t.Helper()
	state, err := os.MkdirTemp("", "h") //nolint:usetesting // the paths of sockets must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	g := &goneHost{}
	with = append(with, logTo(&g.log), func(c *host.Config) {
		dir := filepath.Dir(c.PolicyFile)
		g.audit = filepath.Join(dir, "audit", "audit.jsonl")
		if err := os.Mkdir(filepath.Dir(g.audit), 0o700); err != nil {
			t.Fatal(err)
		}
		key := "hearth-key-1 alice-1 " + strings.Repeat("A", 43) + " 2026-01-02T03:04:05Z\n"
		if err := os.WriteFile(filepath.Join(dir, "alice.key"), []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	for name, source := range goneScripts {
		with = append(with, script(t, name, source))
	}
	policy := strings.Replace(gonePolicy, "unix:h.sock", "unix:"+filepath.Join(state, "h.sock"), 1)
	g.Host, _ = startHost(t, fmt.Sprintf("state = %q\n", state)+policy, with...)
	g.owner = dial(t, g.Addrs()[0], client.Config{})
	return g
}

// awaitLog waits for a line of the host's log.
func (g *goneHost) awaitLog(text string) {
	until(func() bool { return strings.Contains(g.log.String(), text) })
}

// awaitAudit waits for a record of the audit log that has all texts, and returns the number of such records.
func (g *goneHost) awaitAudit(t *testing.T, texts ...string) (n int) {
	t.Helper()
	until(func() bool {
		all, err := os.ReadFile(g.audit)
		if err != nil {
			t.Error(err)
			return true
		}
		n = 0
		for line := range strings.Lines(string(all)) {
			has := true
			for _, text := range texts {
				has = has && strings.Contains(line, text)
			}
			if has {
				n++
			}
		}
		return n > 0
	})
	return n
}

// awaitCancelled waits until a number of calls of an object were cancelled and running calls of it run.
func (g *goneHost) awaitCancelled(t *testing.T, id object.ID, calls, running uint64) {
	t.Helper()
	until(func() bool {
		u, err := g.Usage("acme")
		if err != nil {
			t.Error(err)
			return true
		}
		for _, o := range u.Tenants[0].Objects {
			if o.ID == id {
				return o.InFlight == running && o.Errors["canceled"] == calls
			}
		}
		return false
	})
}

// rawClient is a client whose socket the test ends.
type rawClient struct {
	net.Conn           // channel on the socket
	socket    net.Conn // socket
	seq       uint16
	in        *wire.Reader
	lastReply wire.Message
}

// rawDial connects and completes the handshake. channel is "tcp", "unix" or "hmac".
func (g *goneHost) rawDial(t *testing.T, channel string) *rawClient {
	t.Helper()
	network, addr := "tcp", g.Addrs()[0]
	if channel == "unix" {
		network, addr = "unix", strings.TrimPrefix(g.Addrs()[1], "unix:")
	}
	nc, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c := &rawClient{Conn: nc, socket: nc}
	if channel == "hmac" {
		c.Conn = signed.Client(nc, "alice-1", signed.Key{})
	}
	c.in = wire.NewReader(c.Conn, 0)
	c.send(t, &wire.Message{Type: wire.Connect, Payload: []byte(`{"handshake":"hello","object":"Pyro.Daemon"}`)})
	if c.read(t); c.lastReply.Type != wire.ConnectOK {
		t.Fatalf("reply to CONNECT: %v %s", c.lastReply.Type, c.lastReply.Payload)
	}
	return c
}

func (c *rawClient) send(t *testing.T, m *wire.Message) {
	t.Helper()
	m.Protocol, m.Serializer = wire.Pyro5, pyro.SerializerNumber(wire.Pyro5, codec.ByID(codec.JSON))
	c.seq++
	m.Seq = c.seq
	b, err := wire.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

func (c *rawClient) read(t *testing.T) {
	t.Helper()
	if err := c.in.Read(&c.lastReply); err != nil {
		t.Fatal(err)
	}
}

// call sends a call with one text argument and does not wait for the reply.
func (c *rawClient) call(t *testing.T, flags wire.Flags, id, method, argument string) {
	t.Helper()
	payload := fmt.Sprintf(`{"object":%q,"method":%q,"params":[%q],"kwargs":{}}`, id, method, argument)
	if flags&wire.Batch != 0 {
		payload = fmt.Sprintf(`{"object":%q,"method":"<batch>","params":[[%q,[%q],{}]],"kwargs":{}}`,
			id, method, argument)
	}
	c.send(t, &wire.Message{Type: wire.Invoke, Flags: flags, Payload: []byte(payload)})
}

// endings end a client's connection.
var endings = map[string]func(*rawClient){
	"close": func(c *rawClient) { c.socket.Close() },
	"shutdown": func(c *rawClient) { // as Pyro clients do, before close
		_ = c.socket.(interface{ CloseRead() error }).CloseRead()
		_ = c.socket.(interface{ CloseWrite() error }).CloseWrite()
	},
	"reset": func(c *rawClient) {
		if tcp, ok := c.socket.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		c.socket.Close()
	},
}

// TestClientGone ends the connection of a client during its call, in all channels and ways. The call is cancelled: it
// stops, frees its quota, and is in the audit log and in the metrics.
func TestClientGone(t *testing.T) {
	t.Parallel()
	g := newGoneHost(t)
	n := 0
	for _, channel := range []string{"tcp", "unix", "hmac"} {
		for name, end := range endings {
			t.Run(channel+"/"+name, func(t *testing.T) {
				n++
				call := fmt.Sprint("single", n)
				c := g.rawDial(t, channel)
				c.call(t, 0, "acme.single", "spin", call)
				g.awaitLog("runs " + call)
				end(c)
				g.awaitCancelled(t, "acme.single", uint64(n), 0)
			})
		}
	}
	want := []string{`"event":"cancelled"`, `"object":"acme.single"`, `"method":"spin"`, "cancelled: client gone"}
	until(func() bool { return g.awaitAudit(t, want...) == n })
	// The instance is free, and so is the one call that the limit allows.
	for _, id := range []string{"acme.single", "acme.single"} {
		if got, err := g.owner.Object(object.ID(id)).Call(t.Context(), "hi"); err != nil || got != "hi" {
			t.Errorf("hi() = %v, %v", got, err)
		}
	}
}

// TestClientGoneKinds cancels a chain of calls, a call that waits for its object, a stream item, a batch and a
// pipelined call.
func TestClientGoneKinds(t *testing.T) {
	t.Parallel()
	t.Run("chain", func(t *testing.T) {
		t.Parallel()
		g := newGoneHost(t)
		c := g.rawDial(t, "tcp")
		c.call(t, 0, "acme.relay", "spin", "inner")
		g.awaitLog("runs inner")
		c.Close()
		g.awaitCancelled(t, "acme.relay", 1, 0)
		g.awaitCancelled(t, "acme.single", 1, 0)
		g.awaitAudit(t, `"event":"cancelled"`, `"object":"acme.relay"`, "client gone")
		g.awaitAudit(t, `"event":"cancelled"`, `"object":"acme.single"`, "the calling call ended")
		if got, err := g.owner.Object("acme.single").Call(t.Context(), "hi"); err != nil || got != "hi" {
			t.Errorf("hi() = %v, %v", got, err)
		}
	})
	t.Run("queued", func(t *testing.T) {
		t.Parallel()
		g := newGoneHost(t)
		first := g.rawDial(t, "tcp")
		first.call(t, 0, "acme.single", "spin", "first")
		g.awaitLog("runs first")
		waiting := g.rawDial(t, "hmac")
		waiting.call(t, 0, "acme.single", "hi", "")
		g.awaitAudit(t, `"event":"call"`, `"method":"hi"`, `"principal":"alice"`)
		waiting.socket.Close()
		g.awaitCancelled(t, "acme.single", 1, 1)
		first.Close()
		g.awaitCancelled(t, "acme.single", 2, 0)
		if strings.Contains(g.log.String(), "runs hi") {
			t.Error("a call that was cancelled in the queue ran")
		}
	})
	t.Run("stream item", func(t *testing.T) {
		t.Parallel()
		g := newGoneHost(t)
		c := g.rawDial(t, "tcp")
		c.call(t, 0, "acme.parallel", "items", "item")
		c.read(t)
		if len(c.lastReply.Annotations) != 1 {
			t.Fatalf("reply %s without a stream", c.lastReply.Payload)
		}
		stream := string(c.lastReply.Annotations[0].Value)
		for range 2 {
			c.call(t, 0, "Pyro.Daemon", "get_next_stream_item", stream)
		}
		c.read(t)
		g.awaitLog("runs item")
		c.Close()
		g.awaitCancelled(t, "acme.parallel", 1, 0)
		g.awaitAudit(t, `"event":"cancelled"`, `"method":"items"`, "client gone")
		until(func() bool { return g.Status().Streams == 0 })
	})
	t.Run("batch", func(t *testing.T) {
		t.Parallel()
		g := newGoneHost(t)
		c := g.rawDial(t, "unix")
		c.call(t, wire.Batch, "acme.single", "spin", "batch")
		g.awaitLog("runs batch")
		c.Close()
		g.awaitCancelled(t, "acme.single", 1, 0)
		g.awaitAudit(t, `"event":"cancelled"`, `"object":"acme.single"`, `"count":1`)
	})
	t.Run("pipelined", func(t *testing.T) {
		t.Parallel()
		g := newGoneHost(t)
		c := g.rawDial(t, "tcp")
		for _, name := range []string{"one", "two"} {
			c.call(t, 0, "acme.single", "spin", name)
		}
		g.awaitLog("runs one")
		c.Close()
		g.awaitCancelled(t, "acme.single", 1, 0)
		until(func() bool { return g.Status().Connections <= 1 })
		if strings.Contains(g.log.String(), "runs two") {
			t.Error("the next call of a client that is gone ran")
		}
	})
}

// TestHalfClosed: a client that sends no more bytes gets the reply of its call, and those of the calls that it sent
// before. The reply's first byte comes early.
func TestHalfClosed(t *testing.T) {
	t.Parallel()
	for _, channel := range []string{"tcp", "unix"} {
		t.Run(channel, func(t *testing.T) {
			t.Parallel()
			g := newGoneHost(t)
			c := g.rawDial(t, channel)
			c.call(t, 0, "acme.parallel", "wait", "first")
			c.call(t, 0, "acme.parallel", "wait", "second")
			g.awaitLog("runs first")
			if err := c.socket.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			var first [1]byte
			if _, err := io.ReadFull(c.socket, first[:]); err != nil {
				t.Fatal(err)
			}
			if err := g.owner.Object("acme.flag").Set(t.Context(), "up", true); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(c.socket)
			if err != nil {
				t.Fatal(err)
			}
			in := wire.NewReader(io.MultiReader(bytes.NewReader(first[:]), bytes.NewReader(rest)), 0)
			for range 2 {
				var m wire.Message
				if err := in.Read(&m); err != nil || string(m.Payload) != `"waited"` {
					t.Fatalf("reply %s, %v", m.Payload, err)
				}
			}
		})
	}
}

// TestOnewayOfGoneClient: a oneway call ends although its client closed the connection.
func TestOnewayOfGoneClient(t *testing.T) {
	t.Parallel()
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGoneHost(t)
			c := g.rawDial(t, "tcp")
			c.call(t, wire.Oneway, "acme.parallel", "later", "oneway")
			g.awaitLog("runs oneway")
			// A call of the same connection is cancelled.
			c.call(t, 0, "acme.single", "spin", "call")
			g.awaitLog("runs call")
			end(c)
			g.awaitCancelled(t, "acme.single", 1, 0)
			if err := g.owner.Object("acme.flag").Set(t.Context(), "up", true); err != nil {
				t.Fatal(err)
			}
			g.awaitLog("ends oneway")
		})
	}
}

// TestRevocationCancels: a revocation cancels the running call of a connection.
func TestRevocationCancels(t *testing.T) {
	t.Parallel()
	g := newGoneHost(t)
	c := g.rawDial(t, "hmac")
	c.call(t, 0, "acme.single", "spin", "alice")
	g.awaitLog("runs alice")
	keys := filepath.Join(filepath.Dir(filepath.Dir(g.audit)), "alice.key")
	if err := os.WriteFile(keys, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	g.awaitCancelled(t, "acme.single", 1, 0)
	g.awaitAudit(t, `"event":"cancelled"`, `"principal":"alice"`, "cancelled: identity revoked")
}
