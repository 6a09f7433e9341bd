package codec_test

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
)

// TestMarshalTexts: the texts that Python writes are read, and written texts are read back. All else is rejected.
func TestMarshalTexts(t *testing.T) {
	t.Parallel()
	s := codec.ByID(codec.MarshalData)
	texts := 0
	for _, v := range jsonLines[valueVector](t, "testdata/values-marshal.jsonl") {
		if v.Hex == nil {
			continue // Python does not write it
		}
		doc := unhex(t, *v.Hex)
		got, err := reprOf(s, doc, codec.Limits{})
		if !strings.HasPrefix(*v.Loads, "'") && !strings.HasPrefix(*v.Loads, `"`) {
			wantError(t, v.Repr, err, object.CodeInvalid, "TypeError")
			continue
		}
		texts++
		if err != nil || v.cut(got) != *v.Loads {
			t.Errorf("Decode(%s) = %s, %v, want %s", v.Repr, got, err, *v.Loads)
			continue
		}
		checkStable(t, s, doc)
		for n := range min(len(doc), 300) {
			if n < len(doc) {
				wantError(t, v.Repr, s.Decode(doc[:n], codec.Limits{}, pyNone{}), object.CodeInvalid, "EOFError")
			}
		}
	}
	if texts < 5 {
		t.Errorf("%d texts tested", texts)
	}
}

func TestMarshalTextErrors(t *testing.T) {
	t.Parallel()
	s := codec.ByID(codec.MarshalData)
	for _, c := range []struct{ hex, want, class string }{
		{"", "", "EOFError"},
		{"7a", "", "EOFError"},
		{"7a0161ff", "'a'", ""},
		{"da0161", "'a'", ""},
		{"75ffffffff61", "", "EOFError"},
		{"7502000000eda0", "", "ValueError"},
		{"7508000000eda0806162edbfbf", `'\ud800ab\udfff'`, ""},
		{"7200000000", "", "TypeError"},
		{"4e", "", "TypeError"},
	} {
		got, err := reprOf(s, unhex(t, c.hex), codec.Limits{})
		if c.class != "" {
			wantError(t, c.hex, err, object.CodeInvalid, c.class)
		} else if err != nil || got != c.want {
			t.Errorf("Decode(%s) = %s, %v, want %s", c.hex, got, err, c.want)
		}
	}
}

// TestMarshalException: the bytes of an exception, as Python writes them without references.
func TestMarshalException(t *testing.T) {
	t.Parallel()
	e := codec.ByID(codec.MarshalData).NewEncoder(nil)
	ex := &codec.Exception{Class: "builtins.ValueError", Args: []any{"é"}, Traceback: []string{"line\n"}}
	if err := codec.Write(e, ex); err != nil {
		t.Fatal(err)
	}
	doc, err := e.Document()
	want := "{z\x09__class__z\x13builtins.ValueErrorz\x0d__exception__Tz\x04args)\x01u\x02\x00\x00\x00é" +
		"z\x0aattributes{z\x0e_pyroTraceback[\x01\x00\x00\x00z\x05line\n00"
	if err != nil || string(doc) != want {
		t.Errorf("Document = %q, %v, want %q", doc, err, want)
	}
}

// TestMarshalIsRejected: a client cannot choose marshal, and no call or handshake in it is read.
func TestMarshalIsRejected(t *testing.T) {
	t.Parallel()
	if s := codec.ByName("marshal"); s != nil {
		t.Errorf("ByName = %v, want nil", s)
	}
	s := codec.ByID(codec.MarshalData)
	for _, m := range conversation(t, "pyro5-marshal.jsonl") {
		_, _, connectErr := pyro.ScanConnect(s, m.payload)
		for what, err := range map[string]error{
			"ScanConnect": connectErr,
			"ScanCall":    pyro.ScanCall(s, m.payload, m.batch, new(pyro.Head)),
			"DecodeCall":  pyro.DecodeCall(s, m.payload, codec.Limits{}, pyNone{}),
		} {
			wantError(t, m.name+" "+what, err, object.CodeInvalid, "SerializeError")
		}
	}
	for what, v := range map[string]any{"int": 1, "float": 1.5, "bytes": []byte("b"), "set": codec.Set{"a"}} {
		_, err := codec.Append(s, nil, v)
		wantError(t, what, err, object.CodeInvalid, "TypeError")
	}
}
