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

// roomFor gives a host room for so many connections.
func roomFor(n int) func(*Host) { return func(h *Host) { h.shares.MaxConns = n } }

// tryConnect introduces somebody and returns why not, "" if that went well.
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

// TestConnectionsOfAPrincipal: a principal has a quarter of the room, or what the policy says; others are not
// concerned, and a place that was left is free again. What is refused is in the audit log.
func TestConnectionsOfAPrincipal(t *testing.T) {
	h, dir := sharingHost(t, sharesPolicy+`
limit "carol" {
  principals  = ["carol"]
  connections = 1
}
`, roomFor(12), answerOne)
	for who, most := range map[string]int{"alice-1": 3, "carol-1": 1} {
		name := strings.TrimSuffix(who, "-1")
		var first net.Conn
		for range most {
			c, refused := tryConnect(t, h, who)
			if refused != "" {
				t.Fatalf("%s: %s", who, refused)
			}
			first = c
		}
		if _, refused := tryConnect(t, h, who); !strings.Contains(refused, "connections of principal "+name+"; close some") {
			t.Errorf("one more of %s: %q", name, refused)
		}
		first.Close()
		eventually(t, "the place is free again", func() bool { _, refused := tryConnect(t, h, who); return refused == "" })
	}
	if _, refused := tryConnect(t, h, "bob-1"); refused != "" {
		t.Errorf("bob: %s", refused)
	}
	if n := denials(t, dir)[" "]; n < 2 {
		t.Errorf("%d refusals are in the audit log", n)
	}
}

// TestIdleConnectionsMakeRoom: when there is no room left, connections of whoever has most that wait are closed, the
// oldest first, one with half a message too. One with a call under way stays.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	open, begun := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(open) })
	defer release()
	h, _ := sharingHost(t, sharesPolicy+`
limit "alice" {
  principals  = ["alice"]
  connections = 1000
}
`, roomFor(12), func(*object.Call) (object.Reply, error) {
		begun <- struct{}{}
		<-open
		return object.Reply{Payload: []byte("1")}, nil
	})
	busy := connectAs(t, h, "alice-1")
	if _, err := busy.Write(invoking(t, 1)); err != nil {
		t.Fatal(err)
	}
	<-begun
	half := connectAs(t, h, "alice-1")
	if _, err := half.Write(invoking(t, 100)[:100]); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		connectAs(t, h, "alice-1")
	}
	eventually(t, "all but one wait", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		n := 0
		for c := range h.conns {
			if c.waiting.Load() {
				n++
			}
		}
		return n == 11
	})
	var bobs []net.Conn
	for range 3 {
		bobs = append(bobs, connectAs(t, h, "bob-1"))
	}
	_ = half.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := half.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the oldest connection with nothing under way: %v, want its end", err)
	}
	for _, c := range bobs {
		send(t, c, &wire.Message{Type: wire.Ping})
		if m := receive(t, c); m.Type != wire.Ping {
			t.Errorf("bob's ping was answered with %v", m.Type)
		}
	}
	release()
	if m := receive(t, busy); m.Flags&wire.Exception != 0 {
		t.Errorf("the call under way: %q", m.Payload)
	}
	eventually(t, "no more connections than there is room for", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.conns) <= 12
	})
}

// TestStrangersMakeRoom: connections that say nothing do not keep those out who do.
func TestStrangersMakeRoom(t *testing.T) {
	h, _ := sharingHost(t, sharesPolicy, roomFor(12), answerOne)
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
		t.Errorf("the oldest: %v", err)
	}
}
