package codec_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
)

func TestMarshalValues(t *testing.T) {
	t.Parallel()
	s := codec.ByName("marshal")
	for _, v := range jsonLines[valueVector](t, "testdata/values-marshal.jsonl") {
		if v.Hex == nil {
			continue // Python refused to write it
		}
		doc := unhex(t, *v.Hex)
		got, err := reprOf(s, doc, codec.Limits{})
		if err != nil {
			t.Errorf("Decode(%s) = %v", v.Repr, err)
			continue
		}
		if v.plain() {
			if diff := cmp.Diff(asSets(*v.Loads), v.cut(got)); diff != "" {
				t.Errorf("Decode(%s) differs from Python (-want +got):\n%s", v.Repr, diff)
			}
		}
		again, err := translate(s, doc, s)
		if err != nil {
			t.Errorf("encoding %s again = %v", v.Repr, err)
			continue
		}
		if r, err := reprOf(s, again, codec.Limits{}); err != nil || r != got {
			t.Errorf("%s encoded again is %s, %v, want %s", v.Repr, r, err, got)
		}
	}
}

func TestMarshalParse(t *testing.T) {
	t.Parallel()
	s := codec.ByName("marshal")
	type line struct{ Name, Hex, Python, Value, Exception, Advice string }
	accepted := map[string]bool{ // what we made of "either"
		"text_u_surrogate": true, "trailing_bytes": true, "int64_python2": true,
	}
	classes := map[string]string{"UnicodeDecodeError": "ValueError"} // clients cannot make that one from a text
	for _, v := range jsonLines[line](t, "testdata/marshal-parse.jsonl") {
		got, err := reprOf(s, unhex(t, v.Hex), codec.Limits{Depth: 200})
		if v.Name == "depth_100" {
			if err != nil || !strings.HasPrefix(got, v.Value[:100]) {
				t.Errorf("%s: Decode = %s, %v", v.Name, got, err)
			}
			continue
		}
		if v.Advice == "accept" || accepted[v.Name] {
			if err != nil || got != asSets(v.Value) {
				t.Errorf("%s: Decode = %s, %v, want %s", v.Name, got, err, v.Value)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s: Decode = %s, want an error", v.Name, got)
			continue
		}
		if class, _, _ := strings.Cut(v.Exception, ":"); v.Python == "error" && !strings.HasPrefix(v.Name, "depth") {
			if classes[class] != "" {
				class = classes[class]
			}
			wantError(t, v.Name, err, object.CodeInvalid, class)
		}
	}
}

// A document of a few hundred bytes whose references double a list again and again.
func TestMarshalReferencesAreBounded(t *testing.T) {
	t.Parallel()
	s := codec.ByName("marshal")
	laughs := func(levels int) []byte {
		doc := []byte{'['}
		doc = append(doc, byte(levels+1), 0, 0, 0)
		doc = append(doc, '['|0x80, 1, 0, 0, 0, 'N') // reference 0
		for i := range levels {
			doc = append(doc, '['|0x80, 2, 0, 0, 0, 'r', byte(i), 0, 0, 0, 'r', byte(i), 0, 0, 0)
		}
		return doc
	}
	var n countSink
	if err := s.Decode(laughs(8), codec.Limits{}, &n); err != nil || n.values < 512 {
		t.Errorf("Decode of 8 levels = %d values, %v", n.values, err)
	}
	for _, levels := range []int{20, 60} {
		n = countSink{}
		err := s.Decode(laughs(levels), codec.Limits{Elements: 10_000}, &n)
		wantError(t, "laughs", err, object.CodeTooLarge, "")
		if n.values > 11_000 {
			t.Errorf("sink saw %d values with a limit of 10000", n.values)
		}
	}
	// One long text a thousand times: five bytes each on the wire.
	doc := append([]byte{'['}, 0xe8, 3, 0, 0, 's'|0x80, 0, 0, 1, 0)
	doc = append(doc, make([]byte, 1<<16)...)
	doc = append(doc, bytes.Repeat([]byte{'r', 0, 0, 0, 0}, 999)...)
	n = countSink{}
	wantError(t, "repeated text", s.Decode(doc, codec.Limits{}, &n), object.CodeTooLarge, "")
	if n.bytes > 20<<20 {
		t.Errorf("sink saw %d bytes", n.bytes)
	}
}

// countSink counts what it is fed.
type countSink struct {
	pyNone
	values, bytes int
}

func (c *countSink) Null() error          { c.values++; return nil }
func (c *countSink) Int(int64) error      { c.values++; return nil }
func (c *countSink) Text(v []byte) error  { c.values++; c.bytes += len(v); return nil }
func (c *countSink) Bytes(v []byte) error { c.values++; c.bytes += len(v); return nil }
func (c *countSink) Begin(object.Kind, int) error {
	c.values++
	return nil
}

// pyNone keeps nothing.
type pyNone struct{}

func (pyNone) Null() error                  { return nil }
func (pyNone) Bool(bool) error              { return nil }
func (pyNone) Int(int64) error              { return nil }
func (pyNone) BigInt([]byte) error          { return nil }
func (pyNone) Float(float64) error          { return nil }
func (pyNone) Complex(complex128) error     { return nil }
func (pyNone) Text([]byte) error            { return nil }
func (pyNone) Bytes([]byte) error           { return nil }
func (pyNone) DateTime(float64) error       { return nil }
func (pyNone) Date(int64) error             { return nil }
func (pyNone) Begin(object.Kind, int) error { return nil }
func (pyNone) End() error                   { return nil }
