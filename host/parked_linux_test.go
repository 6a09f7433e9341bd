package host_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/wire"
)

// pyroConn is a connection to a host after its handshake.
func pyroConn(t *testing.T, addr string) *rawClient {
	t.Helper()
	nc, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c := &rawClient{Conn: nc, socket: nc, in: wire.NewReader(nc, 0)}
	c.send(t, &wire.Message{Type: wire.Connect, Payload: []byte(`{"handshake":"hello","object":"Pyro.Daemon"}`)})
	if c.read(t); c.lastReply.Type != wire.ConnectOK {
		t.Fatalf("reply to CONNECT: %v %s", c.lastReply.Type, c.lastReply.Payload)
	}
	return c
}

// TestIdleConnectionsHaveNoGoroutines opens connections that wait after a call, and after the handshake alone.
func TestIdleConnectionsHaveNoGoroutines(t *testing.T) {
	if *goroutines {
		t.Skip("SKIPPED: the host runs without an event loop")
	}
	h, _ := startHost(t, everything, script(t, "acme/list.lua", list))
	const conns = 50
	before := runtime.NumGoroutine()
	all := make([]*rawClient, conns)
	for i := range all {
		all[i] = pyroConn(t, h.Addrs()[0])
		if i%2 == 0 {
			all[i].call(t, 0, "acme.list", "put", "x")
			all[i].read(t)
		}
	}
	until(func() bool { return runtime.NumGoroutine() < before+conns/2 })
	for i, c := range all { // they still answer
		c.call(t, 0, "acme.list", "put", "y")
		if c.read(t); string(c.lastReply.Payload) != fmt.Sprint(conns/2+i+1) {
			t.Fatalf("put of connection %d = %s, want %d", i, c.lastReply.Payload, conns/2+i+1)
		}
	}
}

// TestLargerMessagesNeedNoGoroutines makes calls whose messages and answers are larger than the uncounted bytes of a
// connection. The loop runs them.
func TestLargerMessagesNeedNoGoroutines(t *testing.T) {
	if *goroutines {
		t.Skip("SKIPPED: the host runs without an event loop")
	}
	h, _ := startHost(t, everything, script(t, "acme/mirror.lua", `local O = hearth.object {}
function O.expose:echo(x) return x end
return O`))
	c := pyroConn(t, h.Addrs()[0])
	text := strings.Repeat("x", 3*admit.FreeBytes)
	echo := func() {
		t.Helper()
		c.call(t, 0, "acme.mirror", "echo", text)
		if c.read(t); string(c.lastReply.Payload) != `"`+text+`"` {
			t.Fatalf("echo of %d bytes has %d", len(text), len(c.lastReply.Payload))
		}
	}
	created := []metrics.Sample{{Name: "/sched/goroutines-created:goroutines"}}
	const calls = 100
	for try := 0; ; try++ { // the goroutines of the handshake and of the cold object end soon
		metrics.Read(created)
		before := created[0].Value.Uint64()
		for range calls {
			echo()
		}
		metrics.Read(created)
		if n := created[0].Value.Uint64() - before; n < calls/2 {
			break
		} else if try == 10 {
			t.Fatalf("%d calls created %d goroutines", calls, n)
		}
	}
}

// twoTenants permits the calls of two tenants with the object list each.
const twoTenants = everything + `
permit "owner may call other" {
  principals = ["owner"]
  objects    = ["other.list"]
  methods    = ["put", "take"]
}
`

// contended starts a host with the object list in two tenants.
func contended(t *testing.T) *host.Host {
	t.Helper()
	h, _ := startHost(t, twoTenants, script(t, "acme/list.lua", list), script(t, "other/list.lua", list))
	return h
}

// TestContentionNeedsNoGoroutines calls two tenants in turn over many connections. The connections stay parked although
// the tenants contend.
func TestContentionNeedsNoGoroutines(t *testing.T) {
	if *goroutines {
		t.Skip("SKIPPED: the host runs without an event loop")
	}
	h := contended(t)
	const conns = 50
	before := runtime.NumGoroutine()
	all := make([]*rawClient, conns)
	for i := range all {
		all[i] = pyroConn(t, h.Addrs()[0])
	}
	turn, most := 0, 0
	for try := range 1000 { // the goroutines of the handshakes end soon
		for i, c := range all {
			c.call(t, 0, []string{"acme.list", "other.list"}[(i+turn)%2], "put", "x")
			c.read(t)
			if string(c.lastReply.Payload) != fmt.Sprint(try*conns/2+i/2+1) {
				t.Fatalf("put of connection %d = %s", i, c.lastReply.Payload)
			}
		}
		turn++
		if most = runtime.NumGoroutine() - before; most < conns/2 {
			return
		}
	}
	t.Errorf("%d connections have %d goroutines", conns, most)
}

// TestContendedCallsRunOnce floods two tenants over connections that change between them, with denied calls in between
// and clients that close without reading the answer. Each answered call runs once, in the order of its connection.
func TestContendedCallsRunOnce(t *testing.T) {
	h := contended(t)
	const conns, calls = 40, 40
	objects := []string{"acme.list", "other.list"}
	var wg sync.WaitGroup
	for n := range conns {
		c := pyroConn(t, h.Addrs()[0])
		wg.Go(func() {
			for i := range calls {
				switch {
				case i%8 == 7: // denied
					c.call(t, 0, "other.list", "hold", "")
					if c.read(t); c.lastReply.Flags&wire.Exception == 0 {
						t.Errorf("hold = %s", c.lastReply.Payload)
					}
				case n%4 == 3 && i == calls/2:
					c.call(t, 0, objects[n%2], "put", "unread")
					c.Close()
					return
				default:
					c.call(t, 0, objects[(n+i/(1+n%3))%2], "put", fmt.Sprintf("<%d.%d>", n, i))
					if c.read(t); c.lastReply.Flags&wire.Exception != 0 {
						t.Errorf("put = %s", c.lastReply.Payload)
					}
				}
			}
		})
	}
	wg.Wait()
	c := pyroConn(t, h.Addrs()[0])
	lists := make([]string, len(objects))
	for i, id := range objects {
		c.call(t, 0, id, "take", "")
		c.read(t)
		lists[i] = string(c.lastReply.Payload)
	}
	for n := range conns {
		last := []int{-1, -1}
		for i := range calls {
			if i%8 == 7 {
				continue
			}
			if n%4 == 3 && i == calls/2 {
				break
			}
			to, item := (n+i/(1+n%3))%2, fmt.Sprintf("<%d.%d>", n, i)
			if count := strings.Count(lists[to], item); count != 1 {
				t.Errorf("call %s ran %d times", item, count)
			}
			if at := strings.Index(lists[to], item); at < last[to] {
				t.Errorf("call %s ran before an earlier one", item)
			} else {
				last[to] = at
			}
		}
	}
}

// TestPartsOfMessages sends calls in parts of all kinds, several at once, and with other messages between them. The
// answers are the same in every partition.
func TestPartsOfMessages(t *testing.T) {
	h, _ := startHost(t, everything, script(t, "acme/list.lua", list))
	message := func(m wire.Message) []byte {
		m.Protocol, m.Serializer = wire.Pyro5, pyro.SerializerNumber(wire.Pyro5, codec.ByID(codec.JSON))
		b, err := wire.Append(nil, &m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	call := func(method, argument string, flags wire.Flags) []byte {
		return message(wire.Message{Type: wire.Invoke, Flags: flags, Payload: fmt.Appendf(nil,
			`{"object":"acme.list","method":%q,"params":[%q],"kwargs":{}}`, method, argument)})
	}
	var stream []byte
	for i := range 3 {
		stream = append(stream, call("put", fmt.Sprint("put", i), 0)...)
		stream = append(stream, message(wire.Message{Type: wire.Ping})...)
		stream = append(stream, call("add", fmt.Sprint("oneway", i), wire.Oneway)...)
		stream = append(stream, call("put", strings.Repeat("large", 4000), 0)...)
		stream = append(stream, call("missing", "", 0)...)
	}
	stream = append(stream, call("take", "", 0)...)
	for _, part := range []int{1, 7, 100, 8 << 10, 9000, len(stream)} {
		c := pyroConn(t, h.Addrs()[0])
		go func() {
			for rest := stream; len(rest) > 0; {
				n := min(part, len(rest))
				if _, err := c.Write(rest[:n]); err != nil {
					return // the test reports it
				}
				rest = rest[n:]
			}
		}()
		for i := range 3 {
			for j, want := range []string{fmt.Sprint(i*3 + 1), "pong", fmt.Sprint(i*3 + 3)} {
				if c.read(t); string(c.lastReply.Payload) != want {
					t.Fatalf("parts of %d: answer %d.%d = %s, want %s", part, i, j, c.lastReply.Payload, want)
				}
			}
			if c.read(t); c.lastReply.Flags&wire.Exception == 0 {
				t.Fatalf("parts of %d: answer to a missing method = %s", part, c.lastReply.Payload)
			}
		}
		if c.read(t); strings.Count(string(c.lastReply.Payload), "oneway") != 3 {
			t.Fatalf("parts of %d: take = %s", part, c.lastReply.Payload)
		}
		c.Close()
	}
}

// TestUnwrittenRound makes calls of many connections at once, so that rounds of the loop have several, and closes the
// audit log in between: all later calls are refused and do not run, and every call that ran is in the log.
func TestUnwrittenRound(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit", "audit.jsonl")
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	h, _ := startHost(t, fmt.Sprintf("audit { file = %q }\n", file)+everything, script(t, "acme/list.lua", list))
	const callers = 32
	var wg sync.WaitGroup
	var ran, refused atomic.Int64
	for n := range callers {
		wg.Go(func() {
			s, err := dial(t, h.Addrs()[0], client.Config{}).Session(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for i := range 10_000 {
				if _, err := s.Object("acme.list").Call(t.Context(), "put", fmt.Sprint(n, i)); err != nil {
					refused.Add(1)
					return
				}
				if ran.Add(1) == 500 {
					h.CloseAudit()
				}
			}
		})
	}
	wg.Wait()
	if refused.Load() != callers {
		t.Errorf("%d callers were refused, want all %d", refused.Load(), callers)
	}
	u, err := h.Usage("acme")
	if err != nil {
		t.Fatal(err)
	}
	if o := u.Tenants[0].Objects[0]; o.ID != "acme.list" || int64(o.Calls.Calls) != ran.Load() {
		t.Errorf("%s ran %d calls, and %d callers got a result", o.ID, o.Calls.Calls, ran.Load())
	}
	records, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := int64(bytes.Count(records, []byte(`"method":"put"`))); n != ran.Load() {
		t.Errorf("the audit log has %d calls, want %d", n, ran.Load())
	}
}
