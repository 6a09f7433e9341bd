package host_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
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
}

func dialRaw(t testing.TB, addr string, proto object.Protocol, serializer string) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	r := &raw{t: t, nc: nc, proto: proto, ser: codec.ByName(serializer)}
	r.in = wire.NewReader(io.TeeReader(nc, &r.seen), 1<<20)
	hello, err := codec.Append(r.ser, nil, codec.Dict{{Key: "handshake", Value: "hello"}, {Key: "object", Value: "Pyro.Daemon"}})
	if err != nil {
		t.Fatal(err)
	}
	r.exchange(wire.Connect, hello)
	return r
}

// exchange sends a message with fixed numbers and returns the very bytes of the answer.
func (r *raw) exchange(kind wire.Type, payload []byte) []byte {
	r.t.Helper()
	out, err := wire.Append(nil, &wire.Message{Protocol: r.proto, Type: kind, Serializer: r.ser.WireID(r.proto), Seq: 7,
		Corr: [16]byte{1, 2, 3}, HasCorr: true, Payload: payload})
	if err != nil {
		r.t.Fatal(err)
	}
	r.seen.Reset()
	if _, err := r.nc.Write(out); err != nil {
		r.t.Fatal(err)
	}
	var m wire.Message
	if err := r.in.Read(&m); err != nil {
		r.t.Fatal(err)
	}
	return bytes.Clone(r.seen.Bytes())
}

func (r *raw) call(object, method string, args ...any) []byte {
	r.t.Helper()
	payload, err := codec.AppendCall(r.ser, nil, object, method, args, nil, false)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.exchange(wire.Invoke, payload)
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
	guesses := []string{"other.hidden", "acme.echo", "acme.relay", "acme.session", "acme.broken", "acme.gate", "acme.left"}
	for i := len(guesses); i < 1000; i++ {
		like := guesses[i%7]
		guesses = append(guesses, fmt.Sprintf("acme.%0*d", len(like)-len("acme."), i))
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
	}
	for _, proto := range []object.Protocol{object.Pyro4, object.Pyro5} {
		for _, serializer := range []string{"serpent", "json", "msgpack"} {
			r := dialRaw(t, addr, proto, serializer)
			for what, ask := range asks {
				first := map[int][]byte{}
				for _, g := range guesses {
					if what == "method" && g[:5] != "acme." {
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
			// The two that the caller may and may not do with the one object that it sees.
			if a, b := r.call("acme.counter", "add", 1), r.call("acme.counter", "reset"); bytes.Equal(a, b) {
				t.Errorf("%d/%s: what is permitted looks like what is not: this test sees nothing", proto, serializer)
			}
		}
	}
}

// normal takes the guess out of an answer that repeats it.
func normal(b []byte, guess string) []byte { return bytes.ReplaceAll(b, []byte(guess), []byte("?")) }

// TestOthersStreams: the id of a stream is of no use to anybody but its principal.
func TestOthersStreams(t *testing.T) {
	addr := start(t, onlyAdd)
	for _, proto := range []object.Protocol{object.Pyro4, object.Pyro5} {
		r := dialRaw(t, addr, proto, "serpent")
		first := r.call("Pyro.Daemon", "get_next_stream_item", "AAAAAAAAAAAAAAAAAAAAAAAAAA")
		for i := range 100 {
			if got := r.call("Pyro.Daemon", "get_next_stream_item", fmt.Sprintf("%026d", i)); !bytes.Equal(got, first) {
				t.Fatalf("%q, %q", got, first)
			}
		}
	}
}

// BenchmarkInvisible compares how long it takes to be refused: what is there and
// forbidden, what is not there, and a method of an object that the caller sees.
func BenchmarkInvisible(b *testing.B) {
	c := dial(b, start(b, onlyAdd), client.Config{})
	for name, ask := range map[string][2]string{
		"forbidden": {"other.hidden", "hi"}, "absent": {"other.nosuch", "hi"}, "method": {"acme.counter", "set"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := c.Object(id(ask[0])).Call(context.Background(), ask[1]); err == nil {
					b.Fatal("answered")
				}
			}
		})
	}
}
