package host

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport/signed"
	"github.com/hearthhost/hearth/wire"
)

// limitConns limits a host to n connections.
func limitConns(n int) func(*Host) { return func(h *Host) { h.shares.MaxConns = n } }

// tryConnect opens a connection and attempts the handshake. refused is the error, or "" on success.
func tryConnect(t *testing.T, h *Host, id string) (c net.Conn, refused string) {
	t.Helper()
	nc, err := net.Dial("tcp", h.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c = signed.Client(nc, id, signed.Key{})
	send(t, c, &wire.Message{Type: wire.Connect, Payload: []byte(`{"handshake":"hello","object":"Pyro.Daemon"}`)})
	var m wire.Message
	if err := wire.NewReader(c, 0).Read(&m); err != nil {
		return c, err.Error()
	}
	if m.Type != wire.ConnectOK {
		return c, string(m.Payload)
	}
	return c, ""
}

// TestConnectionsOfAPrincipal checks that a principal may open a quarter of the host's connections, or the policy's
// number. Other principals are not affected, a closed connection frees its slot, and the audit log has the refusals.
func TestConnectionsOfAPrincipal(t *testing.T) {
	h, dir := sharingHost(t, sharesPolicy+`
limit "carol" {
  principals  = ["carol"]
  connections = 1
}
`, limitConns(12), answerOne)
	for key, most := range map[string]int{"alice-1": 3, "carol-1": 1} {
		name := strings.TrimSuffix(key, "-1")
		var first net.Conn
		for range most {
			c, refused := tryConnect(t, h, key)
			if refused != "" {
				t.Fatalf("%s: %s", key, refused)
			}
			first = c
		}
		_, refused := tryConnect(t, h, key)
		if !strings.Contains(refused, "connections of principal "+name+"; close some") {
			t.Errorf("one more of %s: %q", name, refused)
		}
		first.Close()
		eventually(t, "the slot is free again", func() bool {
			_, refused := tryConnect(t, h, key)
			return refused == ""
		})
	}
	if _, refused := tryConnect(t, h, "bob-1"); refused != "" {
		t.Errorf("bob: %s", refused)
	}
	if n := denials(t, dir)[" "]; n < 2 {
		t.Errorf("%d refusals are in the audit log", n)
	}
}

// TestIdleConnectionsMakeRoom checks that a full host closes idle connections of the principal with the most
// connections, oldest first. A connection with half a message is idle too. One with a running call stays open.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	open, begun := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(open) })
	defer release()
	h, _ := sharingHost(t, sharesPolicy+`
limit "alice" {
  principals  = ["alice"]
  connections = 1000
}
`, limitConns(12), func(*object.Call) (object.Reply, error) {
		begun <- struct{}{}
		<-open
		return object.Reply{Payload: []byte("1")}, nil
	})
	busy := connectAs(t, h, "alice-1")
	if _, err := busy.Write(invokeMessage(t, 1)); err != nil {
		t.Fatal(err)
	}
	<-begun
	half := connectAs(t, h, "alice-1")
	if _, err := half.Write(invokeMessage(t, 100)[:100]); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		connectAs(t, h, "alice-1")
	}
	eventually(t, "all but one are idle", func() bool {
		_, _, idle := h.pyro.Connections()
		return idle == 11
	})
	var bobs []net.Conn
	for range 3 {
		bobs = append(bobs, connectAs(t, h, "bob-1"))
	}
	_ = half.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := half.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the oldest connection without a running call: %v, want it closed", err)
	}
	for _, c := range bobs {
		send(t, c, &wire.Message{Type: wire.Ping})
		if m := receive(t, c); m.Type != wire.Ping {
			t.Errorf("reply to bob's ping: %v", m.Type)
		}
	}
	release()
	if m := receive(t, busy); m.Flags&wire.Exception != 0 {
		t.Errorf("the running call: %q", m.Payload)
	}
	eventually(t, "the connections are within the limit", func() bool {
		open, _, _ := h.pyro.Connections()
		return open <= 12
	})
}

// TestUnauthenticatedMakeRoom checks that silent connections do not keep out clients that complete the handshake.
func TestUnauthenticatedMakeRoom(t *testing.T) {
	h, _ := sharingHost(t, sharesPolicy, limitConns(12), answerOne)
	var silent []net.Conn
	for range 12 {
		c, err := net.Dial("tcp", h.Addrs()[0])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		silent = append(silent, c)
	}
	connectAs(t, h, "bob-1")
	_ = silent[0].SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := silent[0].Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the oldest silent connection: %v, want EOF", err)
	}
}

// TestEachConnectionCountsOnce: a connection for which a full host has no room counts as accepted and as refused.
func TestEachConnectionCountsOnce(t *testing.T) {
	h, _ := sharingHost(t, sharesPolicy, limitConns(0), answerOne)
	nc, err := net.Dial("tcp", h.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Read(make([]byte, 1)); err == nil {
		t.Fatal("a full host sends bytes")
	}
	if accepted, refused := h.usage.Accepted.Load(), h.usage.Rejected.Load(); accepted != 1 || refused != 1 {
		t.Errorf("%d accepted, %d refused, want 1 and 1", accepted, refused)
	}
}
