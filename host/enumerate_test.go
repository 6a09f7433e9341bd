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

// raw is a client that sees bytes.
type raw struct {
	t     testing.TB
	nc    net.Conn
	proto object.Protocol
	ser   codec.Serializer
	seen  bytes.Buffer
	in    *wire.Reader
	last  wire.Message // the last answer
}

func dialRaw(t testing.TB, addr string, proto object.Protocol, serializer string) *raw {
	t.Helper()
	return dialAs(t, addr, "", proto, serializer)
}

// dialAs is dialRaw with a key, "" for none.
func dialAs(t testing.TB, addr, key string, proto object.Protocol, serializer string) *raw {
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
	r.in = wire.NewReader(io.TeeReader(nc, &r.seen), 1<<20)
	r.connect("Pyro.Daemon")
	return r
}

// connect introduces itself as somebody who wants the metadata of an object.
func (r *raw) connect(object string) []byte {
	r.t.Helper()
	hello, err := codec.Append(r.ser, nil, codec.Dict{{Key: "handshake", Value: "hello"}, {Key: "object", Value: object}})
	if err != nil {
		r.t.Fatal(err)
	}
	return r.exchange(wire.Connect, wire.MetaOnConnect, hello)
}

// send sends a message with fixed numbers.
func (r *raw) send(kind wire.Type, flags wire.Flags, payload []byte) {
	r.t.Helper()
	out, err := wire.Append(nil, &wire.Message{Protocol: r.proto, Type: kind, Flags: flags, Serializer: pyro.SerializerNumber(r.proto, r.ser), Seq: 7,
		Corr: [16]byte{1, 2, 3}, HasCorr: true, Payload: payload})
	if err != nil {
		r.t.Fatal(err)
	}
	r.seen.Reset()
	if _, err := r.nc.Write(out); err != nil {
		r.t.Fatal(err)
	}
}

// receive returns the very bytes of an answer.
func (r *raw) receive() []byte {
	r.t.Helper()
	if err := r.in.Read(&r.last); err != nil {
		r.t.Fatal(err)
	}
	return bytes.Clone(r.seen.Bytes())
}

func (r *raw) exchange(kind wire.Type, flags wire.Flags, payload []byte) []byte {
	r.t.Helper()
	r.send(kind, flags, payload)
	return r.receive()
}

func (r *raw) payload(object, method string, args ...any) []byte {
	r.t.Helper()
	payload, err := codec.AppendCall(r.ser, nil, object, method, args, nil, method == "<batch>")
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

// oneway makes a call that nobody answers, and returns what comes instead: the answer to a
// ping that follows it.
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

// TestEnumeration guesses a thousand names, those of objects that there are among them, in
// every protocol and serializer, as a call, an attribute, a request for metadata, a lookup
// and a stream: by its bytes no answer tells that something is there.
func TestEnumeration(t *testing.T) {
	addr := start(t, onlyAdd)
	// Each with guesses as long as itself: answers may repeat what was asked.
	// Those of acme name methods too, some of which acme.counter has.
	guesses := []string{"other.hidden", "acme.echo", "acme.relay", "acme.session", "acme.broken", "acme.gate", "acme.left", "acme.reset", "acme.total"}
	real := len(guesses)
	for i := real; i < 1000; i++ {
		like := guesses[i%real]
		guesses = append(guesses, fmt.Sprintf("acme.g%0*d", len(like)-len("acme.g"), i))
	}
	asks := map[string]func(r *raw, guess string) []byte{
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
	for _, proto := range []object.Protocol{object.Pyro4, object.Pyro5} {
		for _, serializer := range []string{"serpent", "json", "msgpack"} {
			r := dialRaw(t, addr, proto, serializer)
			for what, ask := range asks {
				first := map[int][]byte{}
				for _, g := range guesses {
					if (what == "method" || what == "get" || what == "items") && g[:5] != "acme." {
						continue
					}
					got := normal(ask(r, g), g)
					if first[len(g)] == nil {
						first[len(g)] = got
					}
					if !bytes.Equal(got, first[len(g)]) {
						t.Fatalf("%d/%s, %s: the answer about %s differs:\n%q\n%q", proto, serializer, what, g, got, first[len(g)])
					}
				}
			}
			// Whoever connects can ask for metadata.
			first := r.connectAnew(addr, "acme.nosuch")
			for _, g := range guesses[:real+5] {
				if got := r.connectAnew(addr, g); !bytes.Equal(got, first) {
					t.Errorf("%d/%s, connecting for %s: %q, and for one that is not there %q", proto, serializer, g, got, first)
				}
			}
			// The two that the caller may and may not do with the one object that it sees.
			if a, b := r.call("acme.counter", "add", 1), r.call("acme.counter", "reset"); bytes.Equal(a, b) {
				t.Errorf("%d/%s: what is permitted looks like what is not: this test sees nothing", proto, serializer)
			}
		}
	}
}

// connectAnew returns the answer to the first message of a new connection like r's.
func (r *raw) connectAnew(addr, object string) []byte {
	r.t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		r.t.Fatal(err)
	}
	defer nc.Close()
	fresh := &raw{t: r.t, nc: nc, proto: r.proto, ser: r.ser}
	fresh.in = wire.NewReader(io.TeeReader(nc, &fresh.seen), 1<<20)
	return fresh.connect(object)
}

// normal takes the guess out of an answer that repeats it.
func normal(b []byte, guess string) []byte { return bytes.ReplaceAll(b, []byte(guess), []byte("?")) }

// TestInvisibleIsTheSameBytes: an object that is not there, one that is and may not be called,
// and a method that is and may not be called, are the same bytes, however they are asked for.
func TestInvisibleIsTheSameBytes(t *testing.T) {
	h, dir := startHost(t, onlyAdd)
	addr := h.Addrs()[0]
	for _, proto := range []object.Protocol{object.Pyro4, object.Pyro5} {
		for _, serializer := range []string{"serpent", "json", "msgpack"} {
			r := dialRaw(t, addr, proto, serializer)
			first := r.call("acme.nosuch", "add", 1)
			for what, got := range map[string][]byte{
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
					t.Errorf("%d/%s: %s is answered with\n%q, and what is not there with\n%q", proto, serializer, what, got, first)
				}
			}
			silent := r.oneway("acme.nosuch", "add", 1)
			for _, call := range [][2]string{{"other.hidden", "hi"}, {"acme.counter", "reset"}, {"acme.counter", "nosuch"}} {
				if got := r.oneway(call[0], call[1]); !bytes.Equal(got, silent) {
					t.Errorf("%d/%s: a oneway call of %v shows:\n%q\n%q", proto, serializer, call, got, silent)
				}
			}
		}
	}
	// And nothing of it was executed.
	for e, err := range trail.Entries(filepath.Join(dir, "state", "audit.jsonl")) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Decision == "permit" {
			t.Errorf("permitted: %s", e.Raw)
		}
	}
}

// TestListingsShowNothingElse: what lists objects has what the caller may call, in every
// protocol and serializer, by whatever filter.
func TestListingsShowNothingElse(t *testing.T) {
	addr := start(t, onlyAdd)
	for _, proto := range []object.Protocol{object.Pyro4, object.Pyro5} {
		for _, serializer := range []string{"serpent", "json", "msgpack"} {
			r := dialRaw(t, addr, proto, serializer)
			tags := []any{"hearth"}
			for what, got := range map[string][]byte{
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
					t.Errorf("%d/%s: %s does not show what may be called: %q", proto, serializer, what, got)
				}
				for _, hidden := range []string{"hidden", "other", "echo", "relay", "session", "broken", "gate", "left", "reset", "total"} {
					if bytes.Contains(got, []byte(hidden)) {
						t.Errorf("%d/%s: %s shows %s: %q", proto, serializer, what, hidden, got)
					}
				}
			}
			for what, got := range map[string][]byte{
				"prefix of what is hidden": r.call("Pyro.NameServer", "list", "other."),
				"its tag":                  r.call("Pyro.NameServer", "list", nil, nil, []any{"tenant:other"}),
			} {
				if want := r.call("Pyro.NameServer", "list", "nosuch."); !bytes.Equal(got, want) {
					t.Errorf("%d/%s: listing by %s: %q, and by what is not there: %q", proto, serializer, what, got, want)
				}
			}
		}
	}
}

// twoKeys is a policy by which two principals with keys may call the same.
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

// TestOthersStreams: the id of a stream is of no use to anybody but its principal, who may
// call the same object: it is an id like one that was never given out.
func TestOthersStreams(t *testing.T) {
	addr := start(t, twoKeys(t))
	for _, proto := range []object.Protocol{object.Pyro4, object.Pyro5} {
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
					t.Errorf("%d/%s: bob asks for an item of alice's: %q, and of nobody's: %q", proto, serializer, got, unknown)
				}
				if got := bob.call("Pyro.Daemon", "close_stream", id); !bytes.Equal(got, closed) {
					t.Errorf("%d/%s: bob closes alice's: %q, and nobody's: %q", proto, serializer, got, closed)
				}
			}
			// It goes on from its beginning, on another connection of alice's too.
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

// TestOthersNumbers: callers who send the same correlation id and sequence number have
// sessions of their own, and one cannot go on with what the other began.
func TestOthersNumbers(t *testing.T) {
	addr := start(t, twoKeys(t))
	for _, proto := range []object.Protocol{object.Pyro4, object.Pyro5} {
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

// BenchmarkInvisible compares how long it takes to be refused: what is there and forbidden,
// what is not there, and a method of an object that the caller sees. They are asked for in
// turn, so that what else the machine does falls on all alike; the medians are shown.
func BenchmarkInvisible(b *testing.B) {
	c := dial(b, start(b, onlyAdd), client.Config{})
	asks := []struct{ name, object, method string }{
		{"forbidden", "other.hidden", "hi"}, {"absent", "other.nosuch", "hi"}, {"method", "acme.counter", "set"},
	}
	took := make([][]time.Duration, len(asks))
	for b.Loop() {
		for i, ask := range asks {
			from := time.Now()
			if _, err := c.Object(id(ask.object)).Call(context.Background(), ask.method); err == nil {
				b.Fatal("answered")
			}
			took[i] = append(took[i], time.Since(from))
		}
	}
	for i, ask := range asks {
		slices.Sort(took[i])
		b.ReportMetric(float64(took[i][len(took[i])/2].Nanoseconds()), ask.name+"-ns")
	}
}
