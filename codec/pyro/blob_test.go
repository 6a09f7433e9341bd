package pyro_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
)

// blobVectors are triples as marshal.dumps of CPython 3.11 writes them.
var blobVectors = map[string]pyro.Blob{
	// ("blobinfo", "example.service", "blob"), recorded from Pyro
	"2903da08626c6f62696e666ffa0f6578616d706c652e73657276696365da04626c6f62": {
		Info: "blobinfo", Object: "example.service", Method: "blob"},
	// ("blob", "a.b", "blob"): the method is a reference
	"2903da04626c6f62fa03612e627200000000": {Info: "blob", Object: "a.b", Method: "blob"},
	// (None, "a.b", "m"); (True, "a.b", "m"); (-7, "a.b", "m"); (1.5, "a.b", "m")
	"29034efa03612e62da016d":                 {Object: "a.b", Method: "m"},
	"290354fa03612e62da016d":                 {Info: true, Object: "a.b", Method: "m"},
	"2903e9f9fffffffa03612e62da016d":         {Info: int64(-7), Object: "a.b", Method: "m"},
	"2903e7000000000000f83ffa03612e62da016d": {Info: 1.5, Object: "a.b", Method: "m"},
	// (2**40, "a.b", "m"), (("a", [1]), "a.b", "m"), (b"\xff", "a.b", "m")
	"2903ec03000000000000000004fa03612e62da016d": {Info: int64(1) << 40, Object: "a.b", Method: "m"},
	"29032902da01615b01000000e901000000fa03612e62da016d": {
		Info: codec.Tuple{"a", []any{int64(1)}}, Object: "a.b", Method: "m"},
	"2903f301000000fffa03612e62da016d": {Info: []byte{0xff}, Object: "a.b", Method: "m"},
	"29037bda016be90100000030fa03612e62da016d": {
		Info: map[string]any{"k": int64(1)}, Object: "a.b", Method: "m"},
	"2903750200000061627a03612e627a016d":         {Info: "ab", Object: "a.b", Method: "m"},
	"280300000046610300000061 2e627401000000 6d": {Info: false, Object: "a.b", Method: "m"},
	"2903ec03000080000000000004fa03612e62da016d": {}, // too many digits
	"":                                 {},
	"2902da01615a01":                   {},
	"2903e901000000e902000000da016d":   {},
	"2903da0161da01":                   {},
	"a90372000000007200000000":         {}, // a tuple that contains itself
	"29037209000000fa03612e62da016d":   {},
	"290363fa03612e62da016d":           {}, // code
	"29035bffffffff":                   {},
	"2903da02ffff fa03612e62da016d":    {},
	"29037b29014e4e30fa03612e62da016d": {}, // a tuple as key
	"2903" + strings.Repeat("5b01000000", 20) + "4e" + "4e4e": {},
}

func TestScanBlob(t *testing.T) {
	t.Parallel()
	for text, want := range blobVectors {
		annotation, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		got, err := pyro.ScanBlob(annotation, true)
		if (err == nil) != (want.Object != "") {
			t.Errorf("%s: %+v, %v", text, got, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	if _, err := pyro.ScanBlob(nil, false); pyro.ErrorClass(object.AsError(err)) != "KeyError" {
		t.Errorf("without the annotation: %v", err)
	}
	if _, err := pyro.ScanBlob(make([]byte, 1<<16), true); object.CodeOf(err) != object.CodeTooLarge {
		t.Errorf("a large annotation: %v", err)
	}
	// Ten lists, each with ten references to the list before: ten thousand million values.
	var b strings.Builder
	b.WriteString("2903a90b")
	b.WriteString("da0161")
	for range 10 {
		b.WriteString("290a" + strings.Repeat("7200000000", 10))
	}
	doc, err := hex.DecodeString(b.String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pyro.ScanBlob(doc, true); object.CodeOf(err) != object.CodeTooLarge {
		t.Errorf("references to references: %v", err)
	}
}

func FuzzScanBlob(f *testing.F) {
	for text := range blobVectors {
		annotation, _ := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		f.Add(annotation)
	}
	f.Fuzz(func(t *testing.T, annotation []byte) {
		b, err := pyro.ScanBlob(annotation, true)
		if err != nil {
			return
		}
		// The info is a value of every serializer for objects.
		if _, err := codec.Append(codec.ByID(codec.Serpent), nil, b.Info); err != nil {
			t.Errorf("info %v: %v", b.Info, err)
		}
	})
}

// TestDecodeBlob checks that the argument of a blob is the part of the payload that the client has serialized.
func TestDecodeBlob(t *testing.T) {
	t.Parallel()
	data := []any{int64(1), map[string]any{"k": "v"}}
	for _, id := range []codec.ID{codec.Serpent, codec.JSON, codec.Msgpack} {
		s := codec.ByID(id)
		call := any(codec.Tuple{"a.b", "m", data, map[string]any{}})
		if id == codec.JSON {
			call = map[string]any{"object": "a.b", "method": "m", "params": data, "kwargs": map[string]any{}}
		}
		payload, err := codec.Append(s, nil, call)
		if err != nil {
			t.Fatal(err)
		}
		var b codec.Builder
		if err := pyro.DecodeBlob(s, payload, codec.Limits{}, &b); err != nil {
			t.Errorf("%s: %v", s.Name(), err)
			continue
		}
		args, _ := b.Values()[0].([]any)
		doc, _ := args[0].([]byte)
		if got, err := codec.Unmarshal(s, doc, codec.Limits{}); err != nil || !cmp.Equal(got, any(data)) {
			t.Errorf("%s: %q is %v, %v", s.Name(), doc, got, err)
		}
		if err := pyro.DecodeBlob(s, payload[:len(payload)-1], codec.Limits{}, &b); err == nil {
			t.Errorf("%s: a truncated payload is accepted", s.Name())
		}
	}
}
