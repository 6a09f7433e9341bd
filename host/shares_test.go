package host

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hearthhost/hearth/audit/trail"
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	gateway "github.com/hearthhost/hearth/gateway/pyro"
	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/internal/largebuf"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/policyfile"
	"github.com/hearthhost/hearth/wire"
)

// sharesPolicy has two principals that may call acme.gate, and one that may not.
const sharesPolicy = `
listener "tcp" {
  address  = "127.0.0.1:0"
  identify = ["hmac"]
}
principal "alice" { keys = ["alice.key"] }
principal "bob" { keys = ["bob.key"] }
principal "carol" { keys = ["carol.key"] }
tenant "acme" {}
permit "all" {
  principals = ["alice", "bob"]
  objects    = ["acme.*"]
}
`

// funcBackend is a backend whose calls a function executes.
type funcBackend struct {
	gated
	invoke func(*object.Call) (object.Reply, error)
}

func (a *funcBackend) Invoke(_ context.Context, c *object.Call) (object.Reply, error) {
	return a.invoke(c)
}
func (*funcBackend) EndConn(uint64) {}

// sharingHost serves acme.gate with an audit log. set may change the host before it listens.
func sharingHost(
	t *testing.T, text string, set func(*Host), invoke func(*object.Call) (object.Reply, error),
) (h *Host, dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "scripts", "acme"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "scripts", "acme", "gate.lua"), "return hearth.object {}")
	for _, name := range []string{"alice", "bob", "carol"} {
		write(t, filepath.Join(dir, name+".key"), keyLine(name+"-1"))
	}
	p, err := policyfile.Parse("policy.hcl", []byte(text), dir, os.Getuid(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if h, err = New(Config{Policy: p, Worker: []string{"never started"}}); err != nil {
		t.Fatal(err)
	}
	snap := h.current.Load()
	snap.Backends.Tenants["acme"].Worker = &funcBackend{invoke: invoke}
	snap.SetRoutes(snap.Backends.Routes(), h.builtin, nil)
	if set != nil {
		set(h)
	}
	if err := h.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.pyro.Serve(h.listeners[0], "tcp")
	t.Cleanup(h.drain)
	return h, dir
}

// limitFlight limits the bytes in flight of a host.
func limitFlight(all int64) func(*Host) {
	return func(h *Host) { h.shares.Bytes.SetLimit(all) }
}

// eventually waits for a condition. After a minute it fails the test.
func eventually(t *testing.T, event string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for late := time.After(time.Minute); !done(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("did not happen: " + event)
		}
	}
}

// heapBytes returns the live bytes of the heap without the buffers that are kept for any message.
func heapBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc - uint64(largebuf.Kept())
}

// receive reads a message of at most 64 MiB.
func receive(t *testing.T, c io.Reader) *wire.Message {
	t.Helper()
	m := new(wire.Message)
	if err := wire.NewReader(c, 64<<20).Read(m); err != nil {
		t.Fatal(err)
	}
	return m
}

// invokePayload returns the payload of a call of acme.gate in JSON.
func invokePayload(argument string) []byte {
	return []byte(`{"object":"acme.gate","method":"go","params":["` + argument + `"],"kwargs":{}}`)
}

// invokeMessage returns a call of acme.gate with an argument of the given number of bytes.
func invokeMessage(t *testing.T, bytes int) []byte {
	t.Helper()
	b, err := wire.Append(nil, &wire.Message{
		Protocol:   wire.Pyro5,
		Type:       wire.Invoke,
		Serializer: pyro.SerializerNumber(wire.Pyro5, codec.ByID(codec.JSON)),
		Payload:    invokePayload(strings.Repeat("x", bytes)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func answerOne(*object.Call) (object.Reply, error) { return object.Reply{Payload: []byte("1")}, nil }

// TestHalfSentMessages checks that a principal that begins many large messages and finishes none holds at most its
// share. Its next message is rejected with its name, others' messages pass, and all bytes are released.
func TestHalfSentMessages(t *testing.T) {
	timeout := admit.WaitTimeout
	admit.WaitTimeout = 100 * time.Millisecond
	t.Cleanup(func() { admit.WaitTimeout = timeout })
	const most = 8 << 20 // alice's share in bytes
	h, _ := sharingHost(t, sharesPolicy, limitFlight(4*most), answerOne)
	message := invokeMessage(t, 3<<20)
	before := heapBytes()
	var attackers []net.Conn
	for range 20 {
		c := connectAs(t, h, "alice-1")
		attackers = append(attackers, c)
		go func() { _, _ = c.Write(message[:len(message)/2]) }() // ends with the connection
	}
	alice := h.shares.ByPrincipal("alice")
	eventually(t, "all but two of the messages are refused", func() bool {
		return h.shares.Bytes.Used() > most/2 && alice.Bytes.Used() <= most
	})
	last := connectAs(t, h, "alice-1")
	go func() { _, _ = last.Write(message) }() // as above
	const full = "too many bytes in flight of principal alice: limit 8 MiB; not executed, try again"
	if m := receive(t, last); m.Flags&wire.Exception == 0 || !strings.Contains(string(m.Payload), full) {
		t.Errorf("reply to one message too many: %.300s", m.Payload)
	}
	if used := alice.Bytes.Used(); used > most {
		t.Errorf("alice holds %d bytes, at most %d are allowed", used, most)
	}
	if grown := heapBytes() - before; grown > 3*most {
		t.Errorf("the host has grown by %d bytes", grown)
	}
	bob := connectAs(t, h, "bob-1")
	go func() { _, _ = bob.Write(message) }() // as above
	if m := receive(t, bob); m.Flags&wire.Exception != 0 {
		t.Errorf("reply to a message of bob: %.300s", m.Payload)
	}
	for _, c := range attackers {
		c.Close()
	}
	if _, err := last.Write(message); err != nil {
		t.Fatal(err)
	}
	// The calls fail until the attackers' bytes are released.
	for m := receive(t, last); m.Flags&wire.Exception != 0; m = receive(t, last) {
		if _, err := last.Write(message); err != nil {
			t.Fatal(err)
		}
	}
	last.Close()
	bob.Close()
	eventually(t, "all bytes are released", func() bool { return h.shares.Bytes.Used() == 0 })
}

// TestUnreadAnswers checks that the host keeps at most a principal's share of large results that it does not read.
// Results beyond the share are lost, and the error reports that the call was executed.
func TestUnreadAnswers(t *testing.T) {
	const most, size = 32 << 20, 6 << 20
	h, _ := sharingHost(t, sharesPolicy, limitFlight(4*most), func(*object.Call) (object.Reply, error) {
		return object.Reply{Payload: make([]byte, size)}, nil
	})
	small := invokeMessage(t, 1)
	before := heapBytes()
	for range 20 {
		if _, err := connectAs(t, h, "alice-1").Write(small); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the share is used up", func() bool { return h.shares.Bytes.Used() > most-size-size/2 })
	last := connectAs(t, h, "alice-1")
	eventually(t, "a result is lost", func() bool {
		if _, err := last.Write(small); err != nil {
			t.Fatal(err)
		}
		m := receive(t, last)
		return strings.Contains(string(m.Payload),
			"too many bytes in flight of principal alice: limit 32 MiB; the call was executed, its result is lost")
	})
	if used := h.shares.Bytes.Used(); used > most {
		t.Errorf("%d bytes are held, at most %d are allowed", used, most)
	}
	if grown := heapBytes() - before; grown > 2*most {
		t.Errorf("the host has grown by %d bytes", grown)
	}
	bob := connectAs(t, h, "bob-1")
	if _, err := bob.Write(small); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, bob); m.Flags&wire.Exception != 0 || len(m.Payload) != size {
		t.Errorf("bob received %d bytes, %.300s", len(m.Payload), m.Payload)
	}
}

// TestIdleConnectionsKeepLittle checks that idle connections hold no buffers of large messages or batches that they
// sent or received before.
func TestIdleConnectionsKeepLittle(t *testing.T) {
	const conns = 20
	h, _ := sharingHost(t, sharesPolicy, nil, func(c *object.Call) (object.Reply, error) {
		return object.Reply{Payload: append(c.Buffer[:0], make([]byte, 2<<20)...)}, nil
	})
	calls := [][]byte{invokeMessage(t, 7<<20), compressedCall(t, 0, codec.Msgpack, emptyMaps("acme.gate", "go", 7<<20))}
	batch := []byte{0x94, 0xa9}
	batch = append(append(batch, "acme.gate"...), 0xa7)
	batch = append(append(batch, "<batch>"...), 0xdd, 0, 0, 0x13, 0x88)
	for range object.MaxBatch {
		batch = append(batch, 0x93, 0xa2, 'g', 'o', 0x90, 0x80)
	}
	calls = append(calls, compressedCall(t, wire.Batch, codec.Msgpack, append(batch, 0x80)))
	for i, call := range calls {
		before := heapBytes()
		for range conns {
			c := connectAs(t, h, "alice-1")
			if _, err := c.Write(call); err != nil {
				t.Fatal(err)
			}
			if m := receive(t, c); m.Flags&wire.Exception != 0 {
				t.Fatalf("reply: %.300q", m.Payload)
			}
		}
		if each := (int64(heapBytes()) - int64(before)) / conns; each > 100<<10 {
			t.Errorf("call %d: each connection holds %d bytes", i, each)
		}
	}
	if used := h.shares.Bytes.Used(); used > conns*(64<<10) {
		t.Errorf("%d bytes are counted", used)
	}
}

// plainHost is a sharingHost to which each connection is one of alice, without a channel whose client allocates here.
func plainHost(t *testing.T, invoke func(*object.Call) (object.Reply, error)) (connect func() net.Conn) {
	t.Helper()
	text := strings.NewReplacer(`["hmac"]`, `["peer"]`, `{ keys = ["alice.key"] }`, "{ host_user = true }").
		Replace(sharesPolicy)
	h, _ := sharingHost(t, text, nil, invoke)
	return func() net.Conn {
		c, err := net.Dial("tcp", h.Addrs()[0])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return introduce(t, c)
	}
}

// TestLargeGarbage checks that the buffers of finished large messages are collected although much memory is in use. The
// messages are more than the host keeps buffers for.
func TestLargeGarbage(t *testing.T) {
	ballast := make([]byte, 512<<20)
	runtime.GC()
	connect := plainHost(t, answerOne)
	message := invokeMessage(t, 7<<20)
	var conns []net.Conn
	for range 2 * largebuf.MaxKept / (7 << 20) {
		conns = append(conns, connect())
	}
	for range 60 / len(conns) {
		last := len(message) - 1
		for _, part := range [][]byte{message[:last], message[last:]} { // all have begun before the first one ends
			for _, c := range conns {
				if _, err := c.Write(part); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, c := range conns {
			if m := receive(t, c); m.Flags&wire.Exception != 0 {
				t.Fatalf("reply: %.300q", m.Payload)
			}
		}
	}
	eventually(t, "the messages are collected", func() bool {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc < uint64(len(ballast))+admit.CollectAfter+(64<<20)
	})
	runtime.KeepAlive(ballast)
}

// TestLargeMessagesReuseMemory is a budget of allocations for large calls and results: each gets the memory of an ended
// one.
func TestLargeMessagesReuseMemory(t *testing.T) {
	const size, calls = 4 << 20, 20
	c := plainHost(t, func(c *object.Call) (object.Reply, error) {
		result := largebuf.Get(len(c.Payload))
		copy(result, c.Payload)
		return object.Reply{Payload: result}, nil
	})()
	message := invokeMessage(t, size)
	result := wire.NewReader(c, 64<<20)
	var m wire.Message
	call := func() {
		if _, err := c.Write(message); err != nil {
			t.Fatal(err)
		}
		if err := result.Read(&m); err != nil || m.Flags&wire.Exception != 0 || len(m.Payload) < size {
			t.Fatalf("Read() = %v, %d bytes", err, len(m.Payload))
		}
	}
	for range 3 {
		call()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range calls {
		call()
	}
	runtime.ReadMemStats(&after)
	// The result is read before the host gives its buffer back, so a call may need one more.
	if each := (after.TotalAlloc - before.TotalAlloc) / calls; each > size/2 {
		t.Errorf("a call and a result of %d bytes each allocate %d", size, each)
	}
}

// TestOnewaysInFlight checks that waiting oneway calls are counted, small ones too, and released when they end.
func TestOnewaysInFlight(t *testing.T) {
	const most = 1 << 20
	open, begun := make(chan struct{}), make(chan struct{}, gateway.MaxOneways)
	release := sync.OnceFunc(func() { close(open) })
	defer release()
	h, _ := sharingHost(t, sharesPolicy, limitFlight(4*most), func(c *object.Call) (object.Reply, error) {
		if c.Enqueued != nil {
			c.Enqueued()
		}
		begun <- struct{}{}
		<-open
		return object.Reply{}, nil
	})
	c := connectAs(t, h, "alice-1")
	var calls []*wire.Message
	for i := range 30 {
		size := []int{7 << 10, 300 << 10}[i%2]
		payload := invokePayload(strings.Repeat("x", size))
		calls = append(calls, &wire.Message{Type: wire.Invoke, Flags: wire.Oneway, Payload: payload})
	}
	go func() { // ends with the host
		for _, m := range calls {
			b := bytes.Buffer{}
			send(t, &b, m)
			if _, err := c.Write(b.Bytes()); err != nil {
				return
			}
		}
	}()
	for range 6 { // three of each size fit in the share
		<-begun
	}
	if used := h.shares.Bytes.Used(); used < 900<<10 || used > most {
		t.Errorf("%d bytes are held by six calls", used)
	}
	release()
	c.Close()
	eventually(t, "all bytes are released", func() bool { return h.shares.Bytes.Used() == 0 })
}

// compressedCall returns a compressed call with the given payload.
func compressedCall(t *testing.T, flags wire.Flags, serializer codec.ID, payload []byte) []byte {
	t.Helper()
	b, err := wire.Append(nil, &wire.Message{
		Protocol:   wire.Pyro5,
		Type:       wire.Invoke,
		Flags:      flags | wire.Compressed,
		Serializer: pyro.SerializerNumber(wire.Pyro5, codec.ByID(serializer)),
		Payload:    deflate(t, payload),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// emptyMaps returns a msgpack call whose argument is a list of n empty maps.
func emptyMaps(object, method string, n int) []byte {
	b := append([]byte{0x94, 0xd9, byte(len(object))}, object...)
	b = append(append(b, 0xd9, byte(len(method))), method...)
	b = append(b, 0x91, 0xdd, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	return append(append(b, bytes.Repeat([]byte{0x80}, n)...), 0x80)
}

// allocatedBytes returns the bytes allocated while f runs.
func allocatedBytes(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestAmplification sends messages of a few kilobytes that would inflate to megabytes to the host's built-in objects,
// and to objects that the caller may not call. They are rejected before they inflate, and are in the audit log.
func TestAmplification(t *testing.T) {
	const rounds = 20
	h, dir := sharingHost(t, sharesPolicy, nil, answerOne)
	carol := connectAs(t, h, "carol-1")
	inMsgpack := func(object, method string, n int) []byte {
		return compressedCall(t, 0, codec.Msgpack, emptyMaps(object, method, n))
	}
	plain, err := wire.Append(nil, &wire.Message{
		Protocol:   wire.Pyro5,
		Type:       wire.Invoke,
		Serializer: pyro.SerializerNumber(wire.Pyro5, codec.ByID(codec.Msgpack)),
		Payload:    emptyMaps("Pyro.Daemon", "ping", 13000),
	})
	if err != nil {
		t.Fatal(err)
	}
	const (
		n          = 990_000
		daemon     = "Pyro.Daemon ping"
		nameServer = "Pyro.NameServer"
		gate       = "acme.gate go"
		over       = "limit exceeded: arguments of more than 12288 bytes, Pyro.Daemon takes at most 12288; not executed"
		unknown    = "unknown object"
	)
	inBatch := compressedCall(t, wire.Batch, codec.Msgpack, emptyMaps("acme.gate", "<batch>", n))
	inSerpent := compressedCall(t, 0, codec.Serpent, []byte("('acme.gate','go',(["+strings.Repeat("{},", n)+"],),{})"))
	inJSON := compressedCall(t, 0, codec.JSON,
		[]byte(`{"object":"acme.gate","method":"go","params":[[{}`+strings.Repeat(",{}", n)+`]],"kwargs":{}}`))
	for name, c := range map[string]struct {
		message []byte
		answer  string // part of the reply
		logged  string // object and method in the audit log
	}{
		"to the daemon":               {inMsgpack("Pyro.Daemon", "ping", n), over, daemon},
		"to the name server":          {inMsgpack(nameServer, "list", n), "takes at most 12288", nameServer + " list"},
		"to the daemon, inflated":     {inMsgpack("Pyro.Daemon", "ping", 12000), "more than 256 elements", daemon},
		"to the daemon, uncompressed": {plain, "Pyro.Daemon takes at most 12288", daemon},
		"to a denied object":          {inMsgpack("acme.gate", "go", n), unknown, gate},
		"to an unknown object":        {inMsgpack("acme.nosuch", "go", n), unknown, "acme.nosuch go"},
		"a batch":                     {inBatch, unknown, "acme.gate "},
		"in serpent":                  {inSerpent, unknown, gate},
		"in json":                     {inJSON, unknown, gate},
	} {
		got := ""
		bytes := allocatedBytes(func() {
			for range rounds {
				if _, err := carol.Write(c.message); err != nil {
					t.Fatal(err)
				}
				got = string(receive(t, carol).Payload)
			}
		})
		if !strings.Contains(got, c.answer) {
			t.Errorf("%s: reply %.300q, want %q", name, got, c.answer)
		}
		if bytes/rounds > 200<<10 {
			t.Errorf("%s: each message of %d bytes allocated %d bytes", name, len(c.message), bytes/rounds)
		}
		if logged := denials(t, dir)[c.logged]; logged < rounds {
			t.Errorf("%s: %d of %d are in the audit log", name, logged, rounds)
		}
	}
	// The message of a permitted caller is inflated, within its share.
	alice := connectAs(t, h, "alice-1")
	if _, err := alice.Write(compressedCall(t, 0, codec.Msgpack, emptyMaps("acme.gate", "go", 990_000))); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, alice); m.Flags&wire.Exception != 0 {
		t.Errorf("a permitted call: %.300q", m.Payload)
	}
}

// denials returns how often an object and method are denied in a host's audit log.
func denials(t *testing.T, dir string) map[string]int {
	t.Helper()
	out := map[string]int{}
	for e, err := range trail.Entries(filepath.Join(dir, "state", "audit.jsonl")) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Decision == "deny" {
			out[e.Object+" "+e.Method]++
		}
	}
	return out
}

// TestInflatedBytesAreCounted checks that the bytes of a payload are counted while it inflates.
func TestInflatedBytesAreCounted(t *testing.T) {
	const most = 1 << 20
	h, _ := sharingHost(t, sharesPolicy, limitFlight(4*most), answerOne)
	alice := connectAs(t, h, "alice-1")
	message := compressedCall(t, 0, codec.Msgpack, emptyMaps("acme.gate", "go", 7<<20))
	bytes := allocatedBytes(func() {
		for range 10 {
			if _, err := alice.Write(message); err != nil {
				t.Fatal(err)
			}
			const full = "too many bytes in flight of principal alice: limit 1 MiB; not executed, try again"
			if m := receive(t, alice); !strings.Contains(string(m.Payload), full) {
				t.Fatalf("reply: %.300q", m.Payload)
			}
		}
	})
	if bytes/10 > 5*most {
		t.Errorf("each message allocated %d bytes", bytes/10)
	}
	if used := h.shares.Bytes.Used(); used > most {
		t.Errorf("%d bytes are held at the end", used)
	}
}

// TestBuiltinObjectsAreLimited checks that limits count calls of the host's built-in objects. The audit log has a
// rejected call.
func TestBuiltinObjectsAreLimited(t *testing.T) {
	h, dir := sharingHost(t, sharesPolicy+`
limit "carol" {
  principals = ["carol"]
  objects    = ["Pyro.Daemon"]
  rate       = "3/h"
  burst      = 3
}
`, nil, answerOne)
	carol := connectAs(t, h, "carol-1")
	ping := func(c net.Conn, id string) string {
		payload := []byte(`{"object":"` + id + `","method":"ping","params":[],"kwargs":{}}`)
		send(t, c, &wire.Message{Type: wire.Invoke, Payload: payload})
		return string(receive(t, c).Payload)
	}
	for range 3 {
		if got := ping(carol, "Pyro.Daemon"); got != "null" {
			t.Fatalf("%q", got)
		}
	}
	const over = "limit exceeded: 3/h calls of Pyro.Daemon; not executed"
	if got := ping(carol, "Pyro.Daemon"); !strings.Contains(got, over) {
		t.Errorf("the fourth call: %q", got)
	}
	if got := ping(carol, "Pyro.NameServer"); got != "null" {
		t.Errorf("another object: %q", got)
	}
	if got := ping(connectAs(t, h, "bob-1"), "Pyro.Daemon"); got != "null" {
		t.Errorf("another principal: %q", got)
	}
	if n := denials(t, dir)["Pyro.Daemon ping"]; n != 1 {
		t.Errorf("%d denials in the audit log", n)
	}
}
