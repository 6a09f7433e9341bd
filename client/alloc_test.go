package client_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/wire"
)

// echoConn is a server without goroutines: it has a prepared reply to every message of a client. Its methods do not
// allocate.
type echoConn struct {
	net.Conn // nil
	reply    []byte
	rest     []byte // of the reply, not yet read
	wrote    bool   // the reply to the next message is not prepared yet
}

// Write implements [net.Conn]. Each message is one Write.
func (c *echoConn) Write(p []byte) (int, error) {
	copy(c.reply[10:12], p[10:12]) // the sequence number
	c.rest, c.wrote = c.reply, true
	if p[7] == byte(wire.Connect) {
		c.rest = bytes.Clone(c.reply)
		binary.BigEndian.PutUint16(c.rest[6:], uint16(wire.ConnectOK))
		checksum(c.rest)
	} else {
		checksum(c.reply)
	}
	return len(p), nil
}

// checksum writes the checksum of a header of Pyro4.
func checksum(b []byte) {
	sum := uint32(0x34E9)
	for _, offset := range [...]int{4, 6, 8, 10, 16, 18} {
		sum += uint32(binary.BigEndian.Uint16(b[offset:]))
	}
	sum += binary.BigEndian.Uint32(b[12:])
	binary.BigEndian.PutUint16(b[22:], uint16(sum))
}

// Read implements [net.Conn].
func (c *echoConn) Read(p []byte) (int, error) {
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// SetDeadline implements [net.Conn].
func (c *echoConn) SetDeadline(time.Time) error { return nil }

// Close implements [net.Conn].
func (c *echoConn) Close() error { return nil }

// replyingClient returns a client whose calls have a result.
func replyingClient(t testing.TB, serializer string, flags wire.Flags, result any) *client.Client {
	t.Helper()
	ser := codec.ByName(serializer)
	m := wire.Message{
		Protocol:   wire.Pyro4,
		Type:       wire.Result,
		Flags:      flags,
		Serializer: pyro.SerializerNumber(wire.Pyro4, ser),
		HasCorr:    true,
	}
	payload, err := codec.Append(ser, nil, result)
	if err != nil {
		t.Fatal(err)
	}
	m.Payload = payload
	reply, err := wire.Append(nil, &m)
	if err != nil {
		t.Fatal(err)
	}
	cfg := client.Config{Protocol: wire.Pyro4, Serializer: serializer}
	cfg.Dial = func(context.Context, string, string) (net.Conn, error) {
		return &echoConn{reply: bytes.Clone(reply)}, nil
	}
	return newClient(t, cfg)
}

// A call allocates its result and nothing else.
func TestCallAllocations(t *testing.T) {
	text := strings.Repeat("x", 1000)
	canceled, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, serializer := range []string{"serpent", "json", "msgpack"} {
		for _, c := range []struct {
			name   string
			ctx    context.Context
			arg    any
			result any
			want   float64
		}{
			{"nothing", context.Background(), nil, nil, 0},
			{"integer", context.Background(), int64(20), int64(42), 0},
			{"a context that can end", canceled, int64(20), int64(42), 0},
			{"text", context.Background(), text, text, 2},
			{"list", context.Background(), []any{"a"}, []any{true, false, nil}, 2},
		} {
			args := []any{c.arg}
			cl := replyingClient(t, serializer, 0, c.result)
			session, err := cl.Session(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for name, o := range map[string]*client.Object{
				"client": cl.Object("acme.thing"), "session": session.Object("acme.thing"),
			} {
				got := testing.AllocsPerRun(100, func() {
					if _, err := o.Call(c.ctx, "echo", args...); err != nil {
						t.Fatal(err)
					}
				})
				if got > c.want {
					t.Errorf("%s, %s, %s: %v allocations per call, want %v", serializer, name, c.name, got, c.want)
				}
			}
		}
	}
}

// A batch allocates its results, and one value per added call.
func TestBatchAllocations(t *testing.T) {
	const calls = 16
	results := make([]any, calls)
	for i := range results {
		results[i] = int64(i)
	}
	o := replyingClient(t, "serpent", wire.Batch, results).Object("acme.thing")
	args := []any{int64(20), int64(22)}
	b := o.Batch()
	for range calls {
		b.Add("add", args, nil)
	}
	got := testing.AllocsPerRun(100, func() {
		if _, err := b.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
	if got > 4 {
		t.Errorf("running a batch: %v allocations, want 4", got)
	}
	got = testing.AllocsPerRun(100, func() {
		b := o.Batch()
		for range calls {
			b.Add("add", args, nil)
		}
	})
	if got > 7 {
		t.Errorf("building a batch: %v allocations, want 7", got)
	}
}

// BenchmarkClient measures a call without a server.
func BenchmarkClient(b *testing.B) {
	text := strings.Repeat("0123456789", 100)
	ended, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		args []any
		v    any
	}{
		{"add", context.Background(), []any{int64(20), int64(22)}, int64(42)},
		{"add, context", ended, []any{int64(20), int64(22)}, int64(42)},
		{"echo", context.Background(), []any{text}, text},
	} {
		b.Run(c.name, func(b *testing.B) {
			s, err := replyingClient(b, "serpent", 0, c.v).Session(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			o := s.Object("acme.thing")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := o.Call(c.ctx, "add", c.args...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("batch", func(b *testing.B) {
		results := make([]any, 16)
		for i := range results {
			results[i] = int64(42)
		}
		o := replyingClient(b, "serpent", wire.Batch, results).Object("acme.thing")
		b.ReportAllocs()
		for b.Loop() {
			batch := o.Batch()
			for range results {
				batch.Add("add", []any{int64(20), int64(22)}, nil)
			}
			if _, err := batch.Run(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
