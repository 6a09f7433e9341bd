package host_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/audit/trail"
	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport/signed"
	"github.com/hearthhost/hearth/wire"
)

func id(s string) object.ID { return object.ID(s) }

// raw is a client that returns the bytes of each reply.
type raw struct {
	t     testing.TB
	nc    net.Conn
	proto wire.Protocol
	ser   codec.Serializer
	read  bytes.Buffer // bytes of the last reply
	in    *wire.Reader
	last  wire.Message // last reply
}

func dialRaw(t testing.TB, addr string, proto wire.Protocol, serializer string) *raw {
	t.Helper()
	return dialAs(t, addr, "", proto, serializer)
}

// dialAs is dialRaw with a key ID. Without a key ID it does not sign messages.
func dialAs(t testing.TB, addr, key string, proto wire.Protocol, serializer string) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if key != "" {
		nc = signed.Client(nc, key, signed.Key{})
	}
	r := &raw{t: t, nc: nc, proto: proto, ser: codec.ByName(serializer)}
	r.in = wire.NewReader(io.TeeReader(nc, &r.read), 1<<20)
	r.connect("Pyro.Daemon")
	return r
}

// connect sends a handshake that requests the metadata of an object, and returns the reply.
func (r *raw) connect(object string) []byte {
	r.t.Helper()
	handshake := codec.Dict{{Key: "handshake", Value: "hello"}, {Key: "object", Value: object}}
	hello, err := codec.Append(r.ser, nil, handshake)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.exchange(wire.Connect, wire.MetaOnConnect, hello)
}

// send sends a message with a fixed sequence number and correlation ID.
func (r *raw) send(kind wire.Type, flags wire.Flags, payload []byte) {
	r.t.Helper()
	out, err := wire.Append(nil, &wire.Message{
		Protocol:   r.proto,
		Type:       kind,
		Flags:      flags,
		Serializer: pyro.SerializerNumber(r.proto, r.ser),
		Seq:        7,
		Corr:       [16]byte{1, 2, 3},
		HasCorr:    true,
		Payload:    payload,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.read.Reset()
	if _, err := r.nc.Write(out); err != nil {
		r.t.Fatal(err)
	}
}

// receive returns a copy of the bytes of one reply.
func (r *raw) receive() []byte {
	r.t.Helper()
	if err := r.in.Read(&r.last); err != nil {
		r.t.Fatal(err)
	}
	return bytes.Clone(r.read.Bytes())
}

func (r *raw) exchange(kind wire.Type, flags wire.Flags, payload []byte) []byte {
	r.t.Helper()
	r.send(kind, flags, payload)
	return r.receive()
}

func (r *raw) payload(object, method string, args ...any) []byte {
	r.t.Helper()
	payload, err := pyro.AppendCall(r.ser, nil, object, method, args, nil, method == "<batch>")
	if err != nil {
		r.t.Fatal(err)
	}
	return payload
}

func (r *raw) call(object, method string, args ...any) []byte {
	r.t.Helper()
	return r.exchange(wire.Invoke, 0, r.payload(object, method, args...))
}

// batch calls methods without arguments in one message.
func (r *raw) batch(object string, methods ...string) []byte {
	r.t.Helper()
	var calls []any
	for _, m := range methods {
		calls = append(calls, codec.Tuple{m, codec.Tuple{}, map[string]any{}})
	}
	return r.exchange(wire.Invoke, wire.Batch, r.payload(object, "<batch>", calls...))
}

// oneway sends a oneway call and a ping, and returns the first reply. A oneway call has no reply.
func (r *raw) oneway(object, method string, args ...any) []byte {
	r.t.Helper()
	r.send(wire.Invoke, wire.Oneway, r.payload(object, method, args...))
	return r.exchange(wire.Ping, 0, nil)
}

const onlyAdd = `
listener "tcp" { address = "127.0.0.1:0" }
principal "owner" { host_user = true }
tenant "acme" {}
tenant "other" {}
permit "one method" {
  principals = ["owner"]
  objects = ["acme.counter"]
  methods = ["add"]
}`

// TestEnumeration guesses a thousand names, some of them names of real objects. It uses them in calls, attributes,
// requests for metadata, lookups and batches, in every protocol and serializer. The bytes of the replies do not show
// which names exist.
func TestEnumeration(t *testing.T) {
	addr := start(t, onlyAdd)
	// Every real name gets guesses of the same length, because replies may repeat the name.
	// Names in acme are also used as method names: acme.counter has some of them.
	guesses := []string{
		"other.hidden", "acme.echo", "acme.relay", "acme.session", "acme.broken", "acme.gate", "acme.left",
		"acme.reset", "acme.total",
	}
	real := len(guesses)
	for i := real; i < 1000; i++ {
		like := guesses[i%real]
		guesses = append(guesses, fmt.Sprintf("acme.g%0*d", len(like)-len("acme.g"), i))
	}
	requests := map[string]func(r *raw, guess string) []byte{
		"call":      func(r *raw, g string) []byte { return r.call(g, "add", 1) },
		"hi":        func(r *raw, g string) []byte { return r.call(g, "hi") },
		"attribute": func(r *raw, g string) []byte { return r.call(g, "__getattr__", "total") },
		"set":       func(r *raw, g string) []byte { return r.call(g, "__setattr__", "total", 1) },
		"metadata":  func(r *raw, g string) []byte { return r.call("Pyro.Daemon", "get_metadata", g) },
		"describe":  func(r *raw, g string) []byte { return r.call("Pyro.Daemon", "describe", g) },
		"lookup":    func(r *raw, g string) []byte { return r.call("Pyro.NameServer", "lookup", g) },
		"method":    func(r *raw, g string) []byte { return r.call("acme.counter", g[len("acme."):]) },
		"get":       func(r *raw, g string) []byte { return r.call("acme.counter", "__getattr__", g[len("acme."):]) },
		"batch":     func(r *raw, g string) []byte { return r.batch(g, "add", "hi") },
		"items":     func(r *raw, g string) []byte { return r.batch("acme.counter", g[len("acme."):]) },
		"no items":  func(r *raw, g string) []byte { return r.batch(g) },
		"oneway":    func(r *raw, g string) []byte { return r.oneway(g, "hi") },
	}
	for _, proto := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		for _, serializer := range []string{"serpent", "json", "msgpack"} {
			r := dialRaw(t, addr, proto, serializer)
			for kind, request := range requests {
				first := map[int][]byte{} // reply to the first guess of each length
				for _, g := range guesses {
					if (kind == "method" || kind == "get" || kind == "items") && g[:5] != "acme." {
						continue
					}
					got := maskGuess(request(r, g), g)
					if first[len(g)] == nil {
						first[len(g)] = got
					}
					if !bytes.Equal(got, first[len(g)]) {
						t.Fatalf("%d/%s, %s: the reply about %s differs:\n%q\n%q",
							proto, serializer, kind, g, got, first[len(g)])
					}
				}
			}
			// A handshake can request metadata.
			first := r.reconnect(addr, "acme.nosuch")
			for _, g := range guesses[:real+5] {
				if got := r.reconnect(addr, g); !bytes.Equal(got, first) {
					t.Errorf("%d/%s, handshake for %s: %q, for a missing object %q", proto, serializer, g, got, first)
				}
			}
			// A permitted and a denied method of the visible object have different replies.
			if a, b := r.call("acme.counter", "add", 1), r.call("acme.counter", "reset"); bytes.Equal(a, b) {
				t.Errorf("%d/%s: permitted and denied calls have equal replies: %q", proto, serializer, a)
			}
		}
	}
}

// reconnect opens a connection with the settings of r, requests an object's metadata and returns the reply.
func (r *raw) reconnect(addr, object string) []byte {
	r.t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		r.t.Fatal(err)
	}
	defer nc.Close()
	fresh := &raw{t: r.t, nc: nc, proto: r.proto, ser: r.ser}
	fresh.in = wire.NewReader(io.TeeReader(nc, &fresh.read), 1<<20)
	return fresh.connect(object)
}

// maskGuess replaces the guess in a reply that repeats it.
func maskGuess(b []byte, guess string) []byte { return bytes.ReplaceAll(b, []byte(guess), []byte("?")) }

// TestMissingAndDeniedBytes compares the replies about missing objects, denied objects and denied methods: all have
// the same bytes, for every kind of request.
func TestMissingAndDeniedBytes(t *testing.T) {
	h, dir := startHost(t, onlyAdd)
	addr := h.Addrs()[0]
	for _, proto := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		for _, serializer := range []string{"serpent", "json", "msgpack"} {
			r := dialRaw(t, addr, proto, serializer)
			first := r.call("acme.nosuch", "add", 1)
			for kind, got := range map[string][]byte{
				"no tenant":              r.call("nosuch.thing", "add", 1),
				"no id":                  r.call("..", "add", 1),
				"forbidden object":       r.call("other.hidden", "hi"),
				"broken object":          r.call("acme.broken", "hi"),
				"forbidden method":       r.call("acme.counter", "reset"),
				"no method":              r.call("acme.counter", "nosuch"),
				"private method":         r.call("other.hidden", "__init__"),
				"forbidden attribute":    r.call("acme.counter", "__getattr__", "total"),
				"no attribute":           r.call("acme.counter", "__getattr__", "nosuch"),
				"setting it":             r.call("acme.counter", "__setattr__", "total", 7),
				"attribute of forbidden": r.call("other.hidden", "__getattr__", "hi"),
				"batch, no object":       r.batch("acme.nosuch", "add"),
				"batch, forbidden":       r.batch("other.hidden", "hi"),
				"batch, method":          r.batch("acme.counter", "reset"),
				"batch, one of two":      r.batch("acme.counter", "add", "reset"),
				"empty batch, no object": r.batch("acme.nosuch"),
				"empty batch, forbidden": r.batch("other.hidden"),
				"metadata, no object":    r.call("Pyro.Daemon", "get_metadata", "acme.nosuch"),
				"metadata, forbidden":    r.call("Pyro.Daemon", "get_metadata", "other.hidden"),
				"describe, forbidden":    r.call("Pyro.Daemon", "describe", "other.hidden"),
				"attribute of the host":  r.call("Pyro.Daemon", "__getattr__", "objectsById"),
			} {
				if !bytes.Equal(got, first) {
					t.Errorf("%d/%s: the reply to %s is\n%q, to a missing object\n%q",
						proto, serializer, kind, got, first)
				}
			}
			missing := r.oneway("acme.nosuch", "add", 1)
			calls := [][2]string{{"other.hidden", "hi"}, {"acme.counter", "reset"}, {"acme.counter", "nosuch"}}
			for _, call := range calls {
				if got := r.oneway(call[0], call[1]); !bytes.Equal(got, missing) {
					t.Errorf("%d/%s: after a oneway call of %v:\n%q\n%q", proto, serializer, call, got, missing)
				}
			}
		}
	}
	// No call was executed.
	for e, err := range trail.Entries(filepath.Join(dir, "state", "audit.jsonl")) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Decision == "permit" {
			t.Errorf("permitted: %s", e.Raw)
		}
	}
}

// TestListingsOmitDenied requests lists of objects in every protocol and serializer, with every filter. The lists
// contain only objects and methods that the caller may call.
func TestListingsOmitDenied(t *testing.T) {
	addr := start(t, onlyAdd)
	for _, proto := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		for _, serializer := range []string{"serpent", "json", "msgpack"} {
			r := dialRaw(t, addr, proto, serializer)
			tags := []any{"hearth"}
			for kind, got := range map[string][]byte{
				"registered":       r.call("Pyro.Daemon", "registered"),
				"list":             r.call("Pyro.NameServer", "list"),
				"list, prefix":     r.call("Pyro.NameServer", "list", "acme."),
				"list, expression": r.call("Pyro.NameServer", "list", nil, ".*"),
				"list, tags":       r.call("Pyro.NameServer", "list", nil, nil, tags),
				"list, any tag":    r.call("Pyro.NameServer", "list", nil, nil, nil, tags, true),
				"yellow pages":     r.call("Pyro.NameServer", "yplookup", tags),
				"yellow pages any": r.call("Pyro.NameServer", "yplookup", nil, tags, true),
				"metadata":         r.call("Pyro.Daemon", "get_metadata", "acme.counter"),
				"describe":         r.call("Pyro.Daemon", "describe", "acme.counter"),
				"lookup":           r.call("Pyro.NameServer", "lookup", "acme.counter", true),
			} {
				if !bytes.Contains(got, []byte("counter")) && !bytes.Contains(got, []byte("add")) {
					t.Errorf("%d/%s: %s does not show the permitted method: %q", proto, serializer, kind, got)
				}
				for _, hidden := range []string{
					"hidden", "other", "echo", "relay", "session", "broken", "gate", "left", "reset", "total",
				} {
					if bytes.Contains(got, []byte(hidden)) {
						t.Errorf("%d/%s: %s shows %s: %q", proto, serializer, kind, hidden, got)
					}
				}
			}
			for filter, got := range map[string][]byte{
				"prefix of a hidden object": r.call("Pyro.NameServer", "list", "other."),
				"tag of a hidden object":    r.call("Pyro.NameServer", "list", nil, nil, []any{"tenant:other"}),
			} {
				if want := r.call("Pyro.NameServer", "list", "nosuch."); !bytes.Equal(got, want) {
					t.Errorf("%d/%s: list by %s: %q, by a missing prefix: %q", proto, serializer, filter, got, want)
				}
			}
		}
	}
}

// twoKeys returns a policy that permits two principals with keys to call the same objects.
func twoKeys(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"alice", "bob"} {
		line := fmt.Sprintf("hearth-key-1 %s-1 %s 2026-01-02T03:04:05Z\n", name, strings.Repeat("A", 43))
		if err := os.WriteFile(filepath.Join(dir, name+".key"), []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf(`
listener "tcp" {
  address  = "127.0.0.1:0"
  identify = ["hmac"]
}
principal "alice" { keys = [%q] }
principal "bob" { keys = [%q] }
tenant "acme" {}
permit "all" {
  principals = ["alice", "bob"]
  objects    = ["acme.*"]
}`, filepath.Join(dir, "alice.key"), filepath.Join(dir, "bob.key"))
}

// TestStreamOfAnotherPrincipal uses the ID of a stream as another principal, which may call the same object. The
// replies are those to an unknown ID.
func TestStreamOfAnotherPrincipal(t *testing.T) {
	addr := start(t, twoKeys(t))
	for _, proto := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		for _, serializer := range []string{"serpent", "json", "msgpack"} {
			alice, bob := dialAs(t, addr, "alice-1", proto, serializer), dialAs(t, addr, "bob-1", proto, serializer)
			alice.call("acme.echo", "count", 3)
			value, ok := alice.last.Annotation("STRM")
			if !ok {
				t.Fatalf("%d/%s: no stream: %q", proto, serializer, alice.last.Payload)
			}
			id := string(value)
			unknown := bob.call("Pyro.Daemon", "get_next_stream_item", strings.Repeat("A", len(id)))
			closed := bob.call("Pyro.Daemon", "close_stream", strings.Repeat("A", len(id)))
			for range 2 {
				if got := bob.call("Pyro.Daemon", "get_next_stream_item", id); !bytes.Equal(got, unknown) {
					t.Errorf("%d/%s: an item of alice's stream for bob: %q, of an unknown ID: %q",
						proto, serializer, got, unknown)
				}
				if got := bob.call("Pyro.Daemon", "close_stream", id); !bytes.Equal(got, closed) {
					t.Errorf("%d/%s: bob closes alice's stream: %q, an unknown ID: %q", proto, serializer, got, closed)
				}
			}
			// The stream starts with its first item, and continues on another connection of alice.
			for i, r := range []*raw{alice, dialAs(t, addr, "alice-1", proto, serializer)} {
				r.call("Pyro.Daemon", "get_next_stream_item", id)
				item, err := codec.Unmarshal(r.ser, r.last.Payload, codec.Limits{})
				if r.last.Flags&wire.Exception != 0 || err != nil || item != int64(i+1) {
					t.Errorf("%d/%s: alice's item %d is %v, %v", proto, serializer, i+1, item, err)
				}
			}
		}
	}
}

// TestEqualCorrelationIDs sends equal correlation IDs and sequence numbers from two principals. Each principal has
// its own session and cannot continue the other's.
func TestEqualCorrelationIDs(t *testing.T) {
	addr := start(t, twoKeys(t))
	for _, proto := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		alice, bob := dialAs(t, addr, "alice-1", proto, "json"), dialAs(t, addr, "bob-1", proto, "json")
		var answers [2][][]byte
		for range 3 {
			answers[0] = append(answers[0], alice.call("acme.session", "next"))
			answers[1] = append(answers[1], bob.call("acme.session", "next"))
		}
		for i := range answers[0] {
			if !bytes.Equal(answers[0][i], answers[1][i]) {
				t.Errorf("%d: call %d: alice gets %q, bob %q", proto, i+1, answers[0][i], answers[1][i])
			}
		}
	}
}

// BenchmarkDenial reports the median time of denials: of a denied object, a missing object, and a denied method of a
// visible object. The calls alternate, so that other load on the machine affects all three.
func BenchmarkDenial(b *testing.B) {
	c := dial(b, start(b, onlyAdd), client.Config{})
	calls := []struct{ name, object, method string }{
		{"forbidden", "other.hidden", "hi"}, {"absent", "other.nosuch", "hi"}, {"method", "acme.counter", "set"},
	}
	times := make([][]time.Duration, len(calls))
	for b.Loop() {
		for i, call := range calls {
			start := time.Now()
			if _, err := c.Object(id(call.object)).Call(context.Background(), call.method); err == nil {
				b.Fatal("a denied call succeeded")
			}
			times[i] = append(times[i], time.Since(start))
		}
	}
	for i, call := range calls {
		slices.Sort(times[i])
		b.ReportMetric(float64(times[i][len(times[i])/2].Nanoseconds()), call.name+"-ns")
	}
}
