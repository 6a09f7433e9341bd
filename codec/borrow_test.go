package codec_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/internal/unsafestr"
	"github.com/hearthhost/hearth/object"
)

// TestBorrowedBytesAreNotCopied: formats without escapes borrow the first large bytes and copy the rest. The others
// copy all.
func TestBorrowedBytesAreNotCopied(t *testing.T) {
	large, more := bytes.Repeat([]byte("large"), 100), bytes.Repeat([]byte("more!"), 100)
	for name, borrows := range map[string]bool{"msgpack": true, "json": false, "serpent": false} {
		s := codec.ByName(name)
		e := s.NewEncoder(nil)
		e.Borrow(500)
		params := []any{large[:499], large, "text", more}
		if err := pyro.WriteCall(s, e, "o", "m", params, nil, false); err != nil {
			t.Fatal(err)
		}
		p, err := e.Pieces()
		if err != nil {
			t.Fatal(err)
		}
		if got := unsafestr.Most(large, p[1]); got != borrows {
			t.Errorf("%s: borrowed %d bytes", name, len(p[1]))
		}
		whole, err := pyro.AppendCall(s, nil, "o", "m", params, nil, false)
		if err != nil || !bytes.Equal(bytes.Join(p[:], nil), whole) {
			t.Errorf("%s: the pieces are not the document: %v", name, err)
		}
	}
}

// TestBorrowInContainersOfUnknownLength: their headers grow after a value was borrowed.
func TestBorrowInContainersOfUnknownLength(t *testing.T) {
	large := []byte(strings.Repeat("x", 100))
	const name = "msgpack"
	write := func(borrow int) []byte {
		e := codec.ByName(name).NewEncoder([]byte("head"))
		e.Borrow(borrow)
		list := func() error { return e.Begin(object.ListKind, -1) }
		one := func() error { return e.Int(1) }
		steps := []func() error{list, list, one, e.End, func() error { return e.Bytes(large) }}
		steps = append(steps, slices.Repeat([]func() error{e.Null}, 20)...)
		for _, step := range append(steps, e.End) {
			if err := step(); err != nil {
				t.Fatal(name, err)
			}
		}
		p, err := e.Pieces()
		if err != nil || (p[1] != nil) != (borrow > 0) {
			t.Fatalf("%s: %q, %v", name, p, err)
		}
		return bytes.Join(p[:], nil)
	}
	if d := cmp.Diff(write(0), write(100)); d != "" {
		t.Errorf("%s: %s", name, d)
	}
}

// TestUnmarshalNoCopy aliases the text or bytes that fill most of the document, and copies the rest.
func TestUnmarshalNoCopy(t *testing.T) {
	for _, name := range []string{"msgpack", "json", "serpent"} {
		s := codec.ByName(name)
		for _, v := range []any{
			strings.Repeat("t", 1000),
			strings.Repeat("\n\\", 1000),
			bytes.Repeat([]byte("b"), 1000),
			[]any{"a", strings.Repeat("t", 1000), []byte("b")},
		} {
			doc, err := codec.Append(s, nil, v)
			if err != nil {
				t.Fatal(err)
			}
			want, err := codec.Unmarshal(s, doc, codec.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			kept := bytes.Clone(doc)
			got, err := codec.UnmarshalNoCopy(s, kept, codec.Limits{})
			if d := cmp.Diff(want, got); err != nil || d != "" {
				t.Errorf("%s: %v %s", name, err, d)
			}
			if b, ok := got.([]byte); ok && name == "msgpack" && !unsafestr.Most(kept, b) {
				t.Error("the bytes were copied")
			}
			other, err := codec.Unmarshal(s, kept, codec.Limits{})
			clear(kept)
			if d := cmp.Diff(want, other); err != nil || d != "" {
				t.Errorf("%s: Unmarshal keeps the document: %v %s", name, err, d)
			}
		}
	}
}
