package bounded_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/worker/bounded"
)

// TestText writes texts of which the escapes decide whether they fit. A text that does not fit is not written.
func TestText(t *testing.T) {
	errLong := object.Errorf(object.CodeTooLarge, "too long")
	for _, test := range []struct {
		texts []string
		fits  bool
	}{
		{[]string{strings.Repeat("a", 600)}, true},
		{[]string{strings.Repeat("a", 601)}, false},
		{[]string{strings.Repeat("\x01", 100)}, true},
		{[]string{strings.Repeat("\x01", 101)}, false},
		{[]string{strings.Repeat("\"", 300)}, true},
		{[]string{strings.Repeat("\"", 301)}, false},
		{[]string{strings.Repeat("a", 300), strings.Repeat("b", 300)}, true},
		{[]string{strings.Repeat("a", 300), strings.Repeat("b", 301)}, false},
	} {
		for _, id := range []codec.ID{codec.Serpent, codec.JSON} {
			inner := codec.ByID(id).NewEncoder(nil)
			e := &bounded.Encoder{
				Encoder: inner,
				Max:     600,
				TooLong: func(max int) *object.Error {
					if max != 600 {
						t.Errorf("TooLong(%d), want 600", max)
					}
					return errLong
				},
			}
			err := e.Begin(object.ListKind, len(test.texts))
			for _, text := range test.texts {
				if err == nil {
					err = e.Text([]byte(text))
				}
			}
			if want := (error)(errLong); test.fits && err != nil || !test.fits && !errors.Is(err, want) {
				t.Errorf("%d texts of %d bytes %q: %v, fits: %v",
					len(test.texts), len(test.texts[0]), test.texts[0][0], err, test.fits)
			}
		}
	}
}

// TestRestart uses one encoder for two documents. The second may have the full length.
func TestRestart(t *testing.T) {
	e := &bounded.Encoder{
		Encoder: codec.ByID(codec.JSON).NewEncoder(nil),
		Max:     20,
		TooLong: func(int) *object.Error { return object.Errorf(object.CodeTooLarge, "too long") },
	}
	for range 2 {
		e.Reset(nil)
		e.Restart()
		if err := e.Text(bytes.Repeat([]byte("x"), 18)); err != nil {
			t.Fatal(err)
		}
	}
	if !bounded.Escapes(codec.JSON) || !bounded.Escapes(codec.Serpent) || bounded.Escapes(codec.Msgpack) {
		t.Error("JSON and serpent escape characters, msgpack does not")
	}
}
