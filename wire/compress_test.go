package wire_test

import (
	"bytes"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

func TestInflate(t *testing.T) {
	plain := bytes.Repeat([]byte("text "), 1000)
	packed := wire.Deflate(nil, plain)
	last := len(packed) - 1
	out, err := wire.Inflate([]byte("head "), packed, len(plain))
	if err != nil || !bytes.Equal(out, append([]byte("head "), plain...)) {
		t.Fatalf("%d bytes, %v", len(out), err)
	}
	for name, c := range map[string]struct {
		in   []byte
		max  int
		want object.Code
	}{
		"one byte too many": {packed, len(plain) - 1, object.CodeTooLarge},
		"empty":             {nil, 0, object.CodeInvalid},
		"no zlib":           {[]byte("not zlib data"), 0, object.CodeInvalid},
		"cut short":         {packed[:len(packed)-1], 0, object.CodeInvalid},
		"wrong checksum":    {append(packed[:last:last], ^packed[last]), 0, object.CodeInvalid},
		"trailing bytes":    {append(packed[:len(packed):len(packed)], 0), 0, object.CodeInvalid},
	} {
		out, err := wire.Inflate([]byte("kept"), c.in, c.max)
		if object.CodeOf(err) != c.want || string(out) != "kept" {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}

func TestInflateClaimsLittleMemory(t *testing.T) {
	bomb := wire.Deflate(nil, make([]byte, 4<<20))
	if n := testing.AllocsPerRun(1, func() {
		if _, err := wire.Inflate(nil, bomb, 1000); object.CodeOf(err) != object.CodeTooLarge {
			t.Fatal(err)
		}
	}); n > 100 {
		t.Errorf("%v allocations", n)
	}
	out, err := wire.Inflate(nil, wire.Deflate(nil, make([]byte, 100_000)), 0)
	if err != nil || cap(out) > 400_000 {
		t.Errorf("capacity %d, %v", cap(out), err)
	}
}

func TestAppendCompressed(t *testing.T) {
	for name, c := range map[string]struct {
		payload []byte
		packed  bool
	}{
		"short":      {bytes.Repeat([]byte{'a'}, 199), false},
		"long":       {bytes.Repeat([]byte{'a'}, 200), true},
		"would grow": {wire.Deflate(nil, []byte("abcdefghijklmnopqrstuvwxyz")), false},
	} {
		m := &wire.Message{Protocol: wire.Pyro4, Type: wire.Result, Payload: c.payload}
		b, err := wire.AppendCompressed(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		var got wire.Message
		if err := wire.NewReader(bytes.NewReader(b), 0).Read(&got); err != nil {
			t.Fatal(err)
		}
		if packed := got.Flags&wire.Compressed != 0; packed != c.packed {
			t.Errorf("%s: compressed %v", name, packed)
		} else if packed {
			got.Payload, err = wire.Inflate(nil, got.Payload, 0)
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got.Payload, c.payload) || m.Flags != 0 {
			t.Errorf("%s: changed", name)
		}
	}
}
