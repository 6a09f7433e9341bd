package codec_test

import (
	"bytes"
	"testing"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
)

func FuzzSerpent(f *testing.F) {
	for _, file := range []string{"serpent-values.jsonl", "serpent-java.jsonl"} {
		for _, v := range jsonLines[serpentVector](f, "testdata/"+file) {
			f.Add(v.Doc)
		}
	}
	type input struct {
		Input []byte `json:"input_base64"`
	}
	for _, v := range jsonLines[input](f, "testdata/serpent-parse.jsonl") {
		f.Add(v.Input)
	}
	for _, m := range conversation(f, "pyro5-serpent.jsonl") {
		f.Add(m.payload)
	}
	f.Fuzz(func(t *testing.T, doc []byte) { fuzzBinary(t, codec.ByName("serpent"), doc) })
}

func FuzzJSON(f *testing.F) {
	for _, v := range jsonLines[valueVector](f, "testdata/values-json.jsonl") {
		if v.Hex != nil {
			f.Add(unhex(f, *v.Hex))
		}
	}
	for _, m := range conversation(f, "pyro5-json.jsonl") {
		f.Add(m.payload)
	}
	f.Add([]byte(`{"object":"o","params":[["a",[],{}],["b",[1],{"x":1}]],"method":"m","kwargs":null}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		s := codec.ByName("json")
		lim := codec.Limits{Elements: 2000}
		var n countSink
		if err := s.Decode(doc, lim, &n); err == nil {
			checkStable(t, s, doc)
		}
		if n.values > lim.Elements+1 {
			t.Fatalf("sink saw %d values", n.values)
		}
		_, _, _ = pyro.ScanConnect(s, doc)
		fuzzJSONCall(t, s, doc)
	})
}

// fuzzJSONCall checks that scan and decoder read the same call.
func fuzzJSONCall(t *testing.T, s codec.Serializer, doc []byte) {
	var h, b pyro.Head
	batch := pyro.ScanCall(s, doc, true, &b) == nil
	params, _, err := pyro.UnmarshalCall(s, doc, codec.Limits{})
	if err != nil {
		return
	}
	if batch && len(b.Batch) != len(params) {
		t.Fatalf("ScanCall found %d calls, there are %d", len(b.Batch), len(params))
	}
	if pyro.ScanCall(s, doc, false, &h) != nil {
		return
	}
	v, err := codec.Unmarshal(s, doc, codec.Limits{})
	call, ok := v.(map[string]any)
	if err != nil || !ok {
		return
	}
	if string(h.Object) != call["object"] || string(h.Method) != call["method"] {
		t.Fatalf("ScanCall = %q, %q, want %q, %q", h.Object, h.Method, call["object"], call["method"])
	}
	first, ok := append(params, nil)[0].(string)
	if ok && !bytes.Equal([]byte(first), h.First) || !ok && h.First != nil {
		t.Fatalf("ScanCall's First = %q, want %q", h.First, first)
	}
}
