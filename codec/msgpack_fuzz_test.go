package codec_test

import (
	"bytes"
	"testing"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
)

func FuzzMsgpack(f *testing.F) {
	for _, v := range jsonLines[valueVector](f, "testdata/values-msgpack.jsonl") {
		if v.Hex != nil {
			f.Add(unhex(f, *v.Hex))
		}
	}
	for _, m := range conversation(f, "pyro5-msgpack.jsonl") {
		f.Add(m.payload)
	}
	f.Fuzz(func(t *testing.T, doc []byte) { fuzzBinary(t, codec.ByName("msgpack"), doc) })
}

func FuzzMarshal(f *testing.F) {
	for _, v := range jsonLines[valueVector](f, "testdata/values-marshal.jsonl") {
		if v.Hex != nil {
			f.Add(unhex(f, *v.Hex))
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		s := codec.ByID(codec.MarshalData)
		var n countSink
		err := s.Decode(doc, codec.Limits{}, &n)
		if n.values > 1 || n.bytes > len(doc) {
			t.Fatalf("the sink received %d values, %d bytes of a document of %d", n.values, n.bytes, len(doc))
		}
		if err == nil {
			checkStable(t, s, doc)
		}
	})
}

// fuzzBinary checks the properties of any input. A decoded document is encoded to bytes that decode to the same value
// and encode to the same bytes. The values of a sink are bounded. Scan and decoder agree.
func fuzzBinary(t *testing.T, s codec.Serializer, doc []byte) {
	lim := codec.Limits{Elements: 2000}
	var n countSink
	err := s.Decode(doc, lim, &n)
	if n.values > lim.Elements+1 || n.bytes > len(doc)+20*lim.Elements {
		t.Fatalf("sink saw %d values, %d bytes of a document of %d", n.values, n.bytes, len(doc))
	}
	if err == nil {
		checkStable(t, s, doc)
	}
	_, _, _ = pyro.ScanConnect(s, doc)
	var h pyro.Head
	_ = pyro.ScanCall(s, doc, true, &h)
	if pyro.ScanCall(s, doc, false, &h) != nil {
		return
	}
	var p, whole pyRepr
	if pyro.DecodeCall(s, doc, codec.Limits{}, &p) == nil && s.Decode(doc, codec.Limits{}, &whole) == nil {
		head := pyQuote(h.Object, true) + ", " + pyQuote(h.Method, true) + ", "
		if !bytes.HasPrefix([]byte(whole.out.String()[1:]), []byte(head)) {
			t.Fatalf("ScanCall found %s in %s", head, whole.out.String())
		}
		if h.First != nil && !bytes.HasPrefix([]byte(p.out.String()[1:]), []byte(pyQuote(h.First, true))) {
			t.Fatalf("ScanCall found first %q in %s", h.First, p.out.String())
		}
	}
}

func checkStable(t *testing.T, s codec.Serializer, doc []byte) {
	t.Helper()
	want, err := reprOf(s, doc, codec.Limits{})
	if err != nil {
		t.Fatalf("Decode = %v with a higher limit", err)
	}
	once, err := translate(s, doc, s)
	if err != nil {
		return // for example keys that the encoder rejects
	}
	got, err := reprOf(s, once, codec.Limits{})
	if err != nil || got != want {
		t.Fatalf("decoded again = %s, %v, want %s", got, err, want)
	}
	twice, err := translate(s, once, s)
	if err != nil || !bytes.Equal(once, twice) {
		t.Fatalf("encoded twice = %x, %v, want %x", twice, err, once)
	}
	checkPieces(t, s, doc, once)
}

// checkPieces checks that an encoder writes the same bytes if it borrows: as a document, in pieces, and after a
// reset.
func checkPieces(t *testing.T, s codec.Serializer, doc, want []byte) {
	t.Helper()
	for _, least := range []int{1, 4, 40} {
		e := s.NewEncoder(nil)
		e.Borrow(least)
		for range 2 {
			e.Reset([]byte("before"))
			if err := s.Decode(doc, codec.Limits{}, e); err != nil {
				t.Fatal(err)
			}
			p, err := e.Pieces()
			if got := bytes.Join(p[:], nil); err != nil || string(got) != "before"+string(want) {
				t.Fatalf("borrowing from %d bytes = %x, %v, want %x", least, p, err, want)
			}
			if p[1] != nil && len(p[1]) < least {
				t.Fatalf("borrowed %d bytes, %d is the least", len(p[1]), least)
			}
			if got, err := e.Document(); err != nil || string(got) != "before"+string(want) {
				t.Fatalf("Document = %x, %v, want %x", got, err, want)
			}
		}
	}
}
