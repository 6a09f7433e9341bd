package host_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/gateway/pyro/handshake"
	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/internal/socketpair"
	"github.com/hearthhost/hearth/internal/upgrade"
	"github.com/hearthhost/hearth/wire"
)

const passPolicy = `
listener "tcp" { address = "127.0.0.1:0" }
listener "signed" {
  address  = "127.0.0.1:0"
  identify = ["hmac"]
  plain    = false
}
principal "owner" { host_user = true }
tenant "acme" {}
permit "owner may call all" {
  principals = ["owner"]
  objects    = ["*.*"]
}
`

// passScript returns the name of the host that runs a call.
const passScript = `
local P = hearth.object { instance = "%s" }
function P.expose:where(spin)
  for i = 1, tonumber(spin) do local x = i * i end
  self.n = (self.n or 0) + 1
  return "%s " .. self.n
end
function P.expose:items(n) return coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) end
return P
`

// startPassing serves with a policy. name is in the results of the objects.
func startPassing(t *testing.T, name, policy string, from upgrade.Handoff) *host.Host {
	t.Helper()
	h, dir := makeHost(t, policy, func(cfg *host.Config) { cfg.Inherited = from })
	for object, mode := range map[string]string{"single": "single", "visit": "session"} {
		path := filepath.Join(dir, "scripts", "acme", object+".lua")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, fmt.Appendf(nil, passScript, mode, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := h.Listen(ctx); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- h.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if err := h.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	return h
}

// passTo makes old pass its connections to a new host.
func passTo(t *testing.T, old *host.Host, policy string, listeners ...string) *host.Host {
	t.Helper()
	handoff, err := old.Handoff()
	if err != nil {
		t.Fatal(err)
	}
	passage := handoff.Connections
	handoff.Connections = nil
	handoff.Close()
	h := startPassing(t, "new", policy, upgrade.Handoff{Connections: passage})
	old.Retire(upgrade.Successor{Listeners: listeners, Connections: true}, time.Minute)
	return h
}

// whereMessage is a call of method where.
func whereMessage(t *testing.T, object string, spin int) []byte {
	t.Helper()
	b, err := wire.Append(nil, &wire.Message{
		Protocol:   wire.Pyro5,
		Serializer: pyro.SerializerNumber(wire.Pyro5, codec.ByID(codec.JSON)),
		Type:       wire.Invoke,
		Payload: fmt.Appendf(nil, `{"object":"acme.%s","method":"where","params":[%d],"kwargs":{}}`, object,
			spin),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// where calls method where and returns its result.
func where(t *testing.T, c *rawClient, object string) string {
	t.Helper()
	if _, err := c.Write(whereMessage(t, object, 0)); err != nil {
		t.Fatal(err)
	}
	c.read(t)
	return strings.Trim(string(c.lastReply.Payload), `"`)
}

// waitWhere calls until a host of that name replies.
func waitWhere(t *testing.T, c *rawClient, object, host string) {
	t.Helper()
	late := time.Now().Add(time.Minute)
	for ; !strings.HasPrefix(where(t, c, object), host); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("the host %s does not reply", host)
		}
	}
}

// TestPassedConnections passes connections in every state to a new host. Each gets its replies in order.
func TestPassedConnections(t *testing.T) {
	if *goroutines {
		t.Skip("SKIPPED: the host runs without an event loop")
	}
	old := startPassing(t, "old", passPolicy, upgrade.Handoff{})
	dial := func() *rawClient { return pyroConn(t, old.Addrs()[0]) }
	idle, half, busy, many, session := dial(), dial(), dial(), dial(), dial()
	fresh := dial()
	for range 2 {
		where(t, idle, "single")
	}
	if got := where(t, session, "visit"); got != "old 1" {
		t.Fatalf("the first visit: %s", got)
	}
	message := whereMessage(t, "single", 0)
	for _, w := range []struct {
		c *rawClient
		b []byte
	}{
		{half, message[:len(message)-3]},
		{busy, whereMessage(t, "single", 2_000_000)},
		{many, append(whereMessage(t, "single", 500_000), strings.Repeat(string(message), 50)...)},
	} {
		if _, err := w.c.Write(w.b); err != nil {
			t.Fatal(err)
		}
	}
	passTo(t, old, passPolicy, "tcp")
	waitWhere(t, idle, "single", "new")
	waitWhere(t, fresh, "single", "new")
	if _, err := half.Write(message[len(message)-3:]); err != nil {
		t.Fatal(err)
	}
	if half.read(t); !strings.HasPrefix(string(half.lastReply.Payload), `"old`) {
		t.Errorf("a message that the old host has begun to read: %s", half.lastReply.Payload)
	}
	waitWhere(t, half, "single", "new")
	for range 51 {
		if many.read(t); many.lastReply.Type != wire.Result || many.lastReply.Flags&wire.Exception != 0 {
			t.Fatalf("a queued call: %s", many.lastReply.Payload)
		}
	}
	waitWhere(t, many, "single", "new")
	if busy.read(t); !strings.HasPrefix(string(busy.lastReply.Payload), `"old`) {
		t.Errorf("a call that ran: %s", busy.lastReply.Payload)
	}
	waitWhere(t, busy, "single", "new")
	for i := range 3 { // its instance is in the old host
		if got, want := where(t, session, "visit"), fmt.Sprintf("old %d", i+2); got != want {
			t.Errorf("a connection with a session: %s, want %s", got, want)
		}
	}
}

// TestUnpassedConnections: connections of a listener that the new host does not have stay.
func TestUnpassedConnections(t *testing.T) {
	old := startPassing(t, "old", passPolicy, upgrade.Handoff{})
	c := pyroConn(t, old.Addrs()[0])
	where(t, c, "single")
	passTo(t, old, passPolicy, "signed")
	for range 5 {
		if got := where(t, c, "single"); !strings.HasPrefix(got, "old") {
			t.Errorf("a call is answered by %s", got)
		}
	}
}

// TestForgedConnections sends descriptions of connections that a host must not serve: it closes them.
func TestForgedConnections(t *testing.T) {
	identity := func(change func(*handshake.Identity)) *handshake.Identity {
		id := &handshake.Identity{
			Format: handshake.IdentityFormat, Listener: "tcp", Protocol: wire.Pyro5, Principal: "owner",
		}
		id.Proof.Peer.Auth, id.Proof.Peer.UID, id.Proof.Peer.Channel = "peer", uint32(os.Getuid()), "tcp"
		change(id)
		return id
	}
	h := startPassing(t, "new", passPolicy, upgrade.Handoff{})
	pyroConn(t, h.Addrs()[0]) // the host serves
	for name, tc := range map[string]struct {
		description []byte
		serves      bool
	}{
		"valid":          {serves: true, description: marshal(t, identity(func(*handshake.Identity) {}))},
		"no JSON":        {description: []byte("x")},
		"empty":          {},
		"another format": {description: marshal(t, identity(func(id *handshake.Identity) { id.Format++ }))},
		"an unknown listener": {description: marshal(t,
			identity(func(id *handshake.Identity) { id.Listener = "x" }))},
		"another principal": {description: marshal(t, identity(func(id *handshake.Identity) { id.Principal = "bob" }))},
		"another user":      {description: marshal(t, identity(func(id *handshake.Identity) { id.Proof.Peer.UID++ }))},
		"an unknown protocol": {description: marshal(t,
			identity(func(id *handshake.Identity) { id.Protocol = 7 }))},
		"no identity": {description: marshal(t, identity(func(id *handshake.Identity) {
			id.Principal, id.Proof.Peer.Auth = "anonymous", ""
		}))},
		"a plain connection where a channel is required": {description: marshal(t,
			identity(func(id *handshake.Identity) { id.Listener = "signed" }))},
		"an unknown key": {description: marshal(t, identity(func(id *handshake.Identity) {
			id.Listener, id.Proof.Peer.Auth, id.Proof.Peer.Key, id.Proof.Peer.Channel = "signed", "hmac", "k", "hmac"
		}))},
		"a certificate without TLS": {description: marshal(t, identity(func(id *handshake.Identity) {
			id.Proof.Peer.Auth = "cert"
		}))},
	} {
		client, served, err := socketpair.New()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		h.Take(tc.description, served)
		_, err = client.Write(whereMessage(t, "single", 0))
		c := &rawClient{Conn: client, in: wire.NewReader(client, 0)}
		if err == nil {
			err = c.in.Read(&c.lastReply)
		}
		if serves := err == nil; serves != tc.serves {
			t.Errorf("%s: served %t (%v), want %t", name, serves, err, tc.serves)
		}
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
