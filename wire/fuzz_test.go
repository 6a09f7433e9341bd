package wire_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hearthhost/hearth/wire"
)

func FuzzRead(f *testing.F) {
	for _, file := range []string{
		"pyro4-badinput.jsonl",
		"pyro5-badinput.jsonl",
		"pyro4-serpent.jsonl",
		"pyro5-msgpack.jsonl",
	} {
		for _, r := range lines[record](f, file) {
			if len(r.Hex) < 2000 {
				f.Add(r.bytes(f))
			}
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		const limit = 1 << 16
		r := wire.NewReader(bytes.NewReader(in), limit)
		var m wire.Message
		for r.Read(&m) == nil {
			b, err := wire.Append(nil, &m)
			if err != nil {
				t.Fatalf("cannot write the message: %v", err)
			}
			if len(b) > limit+40 {
				t.Fatalf("message of %d bytes", len(b))
			}
			var again wire.Message
			if err := wire.NewReader(bytes.NewReader(b), 0).Read(&again); err != nil {
				t.Fatalf("cannot read the written message: %v", err)
			}
			if d := cmp.Diff(m, again, cmpopts.EquateEmpty()); d != "" {
				t.Fatal(d)
			}
		}
	})
}

func FuzzInflate(f *testing.F) {
	f.Add([]byte{})
	f.Add(wire.Deflate(nil, []byte("some text, some text, some text")))
	f.Add(wire.Deflate(nil, make([]byte, 10_000)))
	f.Fuzz(func(t *testing.T, in []byte) {
		const limit = 1 << 12
		out, err := wire.Inflate(nil, in, limit)
		if err == nil && (len(out) > limit || cap(out) > 4*limit) {
			t.Fatalf("%d bytes, capacity %d", len(out), cap(out))
		}
		back, err := wire.Inflate(nil, wire.Deflate(nil, in), len(in)+1)
		if err != nil || !bytes.Equal(back, in) {
			t.Fatalf("round trip: %v", err)
		}
	})
}
