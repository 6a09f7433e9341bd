package host_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/transport/ca"
	"github.com/hearthhost/hearth/transport/signed"
	"github.com/hearthhost/hearth/wire"
)

// securedPolicy has a listener for TLS and HMAC channels, and for HMAC channels inside TLS.
const securedPolicy = `
listener "tcp" {
  address  = "127.0.0.1:0"
  identify = ["peer", "hmac"]
  tls {
    cert        = "host.pem"
    key         = "host.key"
    min_version = "1.2"
  }
}
principal "owner" { host_user = true }
principal "alice" { keys = ["alice.key"] }
tenant "acme" {}
permit "all" {
  principals = ["owner", "alice"]
  objects    = ["acme.*"]
}
`

// secured are the channels of securedPolicy.
var secured = map[string]func(net.Conn) net.Conn{
	"hmac":        func(nc net.Conn) net.Conn { return signed.Client(nc, "alice-1", signed.Key{}) },
	"tls 1.2":     func(nc net.Conn) net.Conn { return tlsClient(nc, tls.VersionTLS12) },
	"tls 1.3":     func(nc net.Conn) net.Conn { return tlsClient(nc, tls.VersionTLS13) },
	"hmac in tls": func(nc net.Conn) net.Conn { return signed.Client(tlsClient(nc, 0), "alice-1", signed.Key{}) },
}

func tlsClient(nc net.Conn, version uint16) net.Conn {
	return tls.Client(nc, &tls.Config{InsecureSkipVerify: true, MaxVersion: version})
}

// securedHost is a host with securedPolicy and a list.
func securedHost(t *testing.T) *host.Host {
	t.Helper()
	h, _ := startHost(t, securedPolicy, script(t, "acme/list.lua", list), securedFiles(t))
	return h
}

// securedFiles writes the files that securedPolicy names.
func securedFiles(t *testing.T) func(*host.Config) {
	t.Helper()
	return func(c *host.Config) {
		dir := filepath.Dir(c.PolicyFile)
		authority, err := ca.Init(filepath.Join(dir, "ca"), "test", 1, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		key, err := ca.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		keyPEM, err := ca.EncodeKey(key)
		if err != nil {
			t.Fatal(err)
		}
		certPEM, _, err := authority.Issue(ca.Request{
			Name: "host", Kind: ca.Server, DNS: []string{"localhost"}, PublicKey: key.Public(),
		}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string]string{
			"host.pem":  string(certPEM),
			"host.key":  string(keyPEM),
			"alice.key": "hearth-key-1 alice-1 " + strings.Repeat("A", 43) + " 2026-01-02T03:04:05Z\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// tap is a socket whose writes a test can hold back.
type tap struct {
	net.Conn
	hold bool
	held []byte
}

func (p *tap) Write(b []byte) (int, error) {
	if p.hold {
		p.held = append(p.held, b...)
		return len(b), nil
	}
	return p.Conn.Write(b)
}

// take returns the bytes that write sends, without sending them.
func (p *tap) take(write func()) []byte {
	p.hold, p.held = true, nil
	write()
	p.hold = false
	return p.held
}

// securedDial returns a client after its handshake, and its socket.
func securedDial(t *testing.T, h *host.Host, channel string) (*rawClient, *tap) {
	t.Helper()
	nc, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", h.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	p := &tap{Conn: nc}
	c := &rawClient{Conn: secured[channel](p), socket: nc}
	c.in = wire.NewReader(c.Conn, 0)
	c.send(t, &wire.Message{Type: wire.Connect, Payload: []byte(`{"handshake":"hello","object":"Pyro.Daemon"}`)})
	if c.read(t); c.lastReply.Type != wire.ConnectOK {
		t.Fatalf("reply to CONNECT: %v %s", c.lastReply.Type, c.lastReply.Payload)
	}
	return c, p
}

// put adds an element to the list and returns the new length.
func (c *rawClient) put(t *testing.T) string {
	t.Helper()
	c.call(t, 0, "acme.list", "put", "x")
	c.read(t)
	return string(c.lastReply.Payload)
}

// TestIdleSecuredConnectionsHaveNoGoroutines opens connections that wait after calls and after the handshake alone.
func TestIdleSecuredConnectionsHaveNoGoroutines(t *testing.T) {
	if *goroutines {
		t.Skip("SKIPPED: the host runs without an event loop")
	}
	h := securedHost(t)
	for channel := range secured {
		const conns = 50
		first, _ := securedDial(t, h, channel)
		first.put(t) // the host and the worker have their goroutines
		before := runtime.NumGoroutine()
		all := make([]*rawClient, conns)
		for i := range all {
			all[i], _ = securedDial(t, h, channel)
			if i%2 == 0 {
				all[i].put(t)
			}
		}
		until(func() bool { return runtime.NumGoroutine() < before+conns/2 })
		for _, c := range all { // they still answer
			c.put(t)
		}
		until(func() bool { return runtime.NumGoroutine() < before+conns/2 })
	}
}

// TestPartsOfRecords sends messages of all kinds in records that arrive in parts. The replies do not depend on the
// parts.
func TestPartsOfRecords(t *testing.T) {
	h := securedHost(t)
	for channel := range secured {
		for _, part := range []int{1, 100, 5000, 1 << 20} {
			c, socket := securedDial(t, h, channel)
			stream := socket.take(func() {
				for range 3 {
					c.call(t, 0, "acme.list", "put", "small")
					c.send(t, &wire.Message{Type: wire.Ping})
					c.call(t, wire.Oneway, "acme.list", "add", "oneway")
					c.call(t, 0, "acme.list", "put", strings.Repeat("large", 4000))
					c.call(t, 0, "acme.list", "missing", "")
				}
				c.call(t, 0, "acme.list", "take", "")
			})
			for n := part; len(stream) > 0; stream = stream[min(n, len(stream)):] {
				if part == 1 && len(stream) < 60_000 { // single bytes of the first records are enough
					n = len(stream)
				}
				if _, err := socket.Write(stream[:min(n, len(stream))]); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 3 {
				for _, want := range []string{fmt.Sprint(i*3 + 1), "pong", fmt.Sprint(i*3 + 3)} {
					if c.read(t); string(c.lastReply.Payload) != want {
						t.Fatalf("%s, parts of %d: reply %.100s, want %s", channel, part, c.lastReply.Payload, want)
					}
				}
				if c.read(t); c.lastReply.Flags&wire.Exception == 0 {
					t.Fatalf("%s, parts of %d: the reply to a missing method is no error", channel, part)
				}
			}
			if c.read(t); strings.Count(string(c.lastReply.Payload), "oneway") != 3 {
				t.Fatalf("%s, parts of %d: take = %.100s", channel, part, c.lastReply.Payload)
			}
			c.Close()
		}
	}
}

// TestAttackOnParkedConnection alters the records of a connection that waits in the loop. The altered record is not
// executed, and the connection ends. A valid record before it is executed only if it is answered: that depends on
// whether both records arrive together.
func TestAttackOnParkedConnection(t *testing.T) {
	h := securedHost(t)
	alter := func(b []byte, at float64) []byte {
		b = bytes.Clone(b)
		b[int(at*float64(len(b)-1))] ^= 1
		return b
	}
	attacks := map[string]struct {
		bytes func(first, second []byte) []byte
		valid int // records before the attack
	}{
		"flipped in the middle": {func(first, _ []byte) []byte { return alter(first, 0.5) }, 0},
		"flipped at the end":    {func(first, _ []byte) []byte { return alter(first, 1) }, 0},
		"flipped after a valid one": {func(first, second []byte) []byte {
			return append(bytes.Clone(first), alter(second, 0.5)...)
		}, 1},
		"repeated": {func(first, _ []byte) []byte { return append(bytes.Clone(first), first...) }, 1},
		"reordered": {func(first, second []byte) []byte {
			return append(bytes.Clone(second), first...)
		}, 0},
		"lost":      {func(_, second []byte) []byte { return second }, 0},
		"truncated": {func(first, _ []byte) []byte { return first[:len(first)-1] }, 0},
		"without protection": {func(_, _ []byte) []byte {
			return message(wire.Invoke, `{"object":"acme.list","method":"put","params":["x"],"kwargs":{}}`)
		}, 0},
	}
	want := 0
	for channel := range secured {
		for name, attack := range attacks {
			c, socket := securedDial(t, h, channel)
			for range 3 { // the last ones are handled by the loop
				if want++; c.put(t) != fmt.Sprint(want) {
					t.Fatalf("%s, %s: before the attack the list has %s elements, want %d",
						channel, name, c.lastReply.Payload, want)
				}
			}
			first := socket.take(func() { c.call(t, 0, "acme.list", "put", "x") })
			second := socket.take(func() { c.call(t, 0, "acme.list", "put", "x") })
			if _, err := socket.Write(attack.bytes(first, second)); err != nil {
				t.Fatal(err)
			}
			if name == "truncated" {
				_ = socket.Conn.(*net.TCPConn).CloseWrite()
			}
			_ = socket.SetReadDeadline(time.Now().Add(time.Minute))
			err := c.in.Read(&c.lastReply)
			for range attack.valid {
				if err == nil {
					want++
					err = c.in.Read(&c.lastReply)
				}
			}
			if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s, %s: after the attack: %s, %v; want the end", channel, name, c.lastReply.Payload, err)
			}
			c.Close()
			c, _ = securedDial(t, h, "hmac")
			if want++; c.put(t) != fmt.Sprint(want) {
				t.Fatalf("%s, %s: the list has %s elements, want %d: a call without a reply, or without an execution",
					channel, name, c.lastReply.Payload, want)
			}
			c.Close()
		}
	}
}
