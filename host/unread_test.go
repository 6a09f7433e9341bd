package host

import (
	"flag"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hearthhost/hearth/gateway/pyro"
	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// startingBackend is a backend whose calls a loop can start.
type startingBackend struct{ funcBackend }

func (b *startingBackend) Start(
	c *object.Call, later func(func()), done func(on any, r object.Reply, err error),
) bool {
	later(func() {
		go func() { // ends with the call
			r, err := b.invoke(c)
			done(nil, r, err)
		}()
	})
	return true
}

func (*startingBackend) Cancel(*object.Call, error) {}

const oneTenant = `
listener "tcp" { address = "127.0.0.1:0" }
principal "owner" { host_user = true }
tenant "acme" {}
permit "all" {
  principals = ["owner"]
  objects    = ["acme.*"]
}
`

// serveStarting makes a function the backend of the tenant acme.
func (h *Host) serveStarting(invoke func(*object.Call) (object.Reply, error)) {
	snap := h.current.Load()
	b := new(startingBackend)
	b.invoke = invoke
	snap.Backends.Tenants["acme"].Worker = b
	snap.SetRoutes(snap.Backends.Routes(), h.builtin, nil)
}

// TestLargerMessagesAreCounted makes a call whose message is larger than the uncounted bytes of a connection. Its bytes
// are counted until it is answered. Then it makes the call without room for it, which is refused.
func TestLargerMessagesAreCounted(t *testing.T) {
	if flag.Lookup("goroutines").Value.String() == "true" {
		t.Skip("SKIPPED: the host runs without an event loop, and connections keep buffers, which are counted")
	}
	begun, end := make(chan struct{}), make(chan struct{})
	h, _ := sharingHost(t, oneTenant, func(h *Host) {
		h.serveStarting(func(*object.Call) (object.Reply, error) {
			begun <- struct{}{}
			<-end
			return object.Reply{Payload: []byte("1")}, nil
		})
	}, nil)
	c, bytes := localClient(t, h, 0), h.shares.Bytes
	call := invokeMessage(t, 3*admit.FreeBytes)
	finish := func() {
		t.Helper()
		end <- struct{}{}
		if m := receive(t, c); m.Type != wire.Result || string(m.Payload) != "1" {
			t.Errorf("the answer is %v %s", m.Type, m.Payload)
		}
		eventually(t, "the bytes are released", func() bool { return bytes.Used() == 0 })
	}
	if _, err := c.Write(call); err != nil {
		t.Fatal(err)
	}
	<-begun
	if used := bytes.Used(); used < 2*admit.FreeBytes {
		t.Errorf("%d bytes are counted for a message of %d", used, len(call))
	}
	finish()
	old := admit.WaitTimeout
	admit.WaitTimeout = time.Millisecond
	defer func() { admit.WaitTimeout = old }()
	bytes.SetLimit(1)
	if _, err := c.Write(call); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, c); m.Flags&wire.Exception == 0 || !strings.Contains(string(m.Payload), "bytes") {
		t.Errorf("without room the answer is %v %s", m.Type, m.Payload)
	}
}

// localClient opens a connection without a channel and completes the handshake.
func localClient(t *testing.T, h *Host, receiveBuffer int) net.Conn {
	t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if receiveBuffer > 0 {
			_ = raw.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer)
			})
		}
		return err
	}}
	c, err := dialer.DialContext(t.Context(), "tcp", h.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	send(t, c, &wire.Message{Type: wire.Connect, Payload: []byte(`{"handshake":"hello","object":"Pyro.Daemon"}`)})
	if m := receive(t, c); m.Type != wire.ConnectOK {
		t.Fatalf("reply to CONNECT: %v %s", m.Type, m.Payload)
	}
	return c
}

// TestUnreadAnswersDisconnect makes small calls one after the other and reads no answer. The host disconnects the
// client when the write timeout has passed, and serves another client before and after that.
func TestUnreadAnswersDisconnect(t *testing.T) {
	var calls atomic.Int64
	answer := make([]byte, admit.FreeBytes-100)
	h, _ := sharingHost(t, oneTenant, func(h *Host) {
		cfg := h.pyroConfig()
		cfg.WriteTimeout = 200 * time.Millisecond
		h.pyro = pyro.NewServer(cfg)
		h.serveStarting(func(*object.Call) (object.Reply, error) {
			calls.Add(1)
			return object.Reply{Payload: answer}, nil
		})
	}, nil)
	reads, deaf := localClient(t, h, 0), localClient(t, h, 4<<10)
	call := invokeMessage(t, 1)
	ask := func() {
		t.Helper()
		send(t, reads, &wire.Message{Type: wire.Ping})
		if m := receive(t, reads); m.Type != wire.Ping {
			t.Fatalf("reply to the ping of a client that reads: %v", m.Type)
		}
	}
	ask()
	gone := func() bool { open, _, _ := h.pyro.Connections(); return open == 1 }
	for n := 0; !gone(); n++ {
		if n == 100_000 {
			t.Fatal("the host has written 800 MB to a client that does not read")
		}
		before := calls.Load()
		if _, err := deaf.Write(call); err != nil {
			break // disconnected
		}
		eventually(t, "the call runs or the client is disconnected", func() bool {
			return calls.Load() > before || gone()
		})
	}
	eventually(t, "the client is disconnected", gone)
	ask()
}
