package codec_test

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
)

// recordedCall returns the payload of one recorded call.
func recordedCall(tb testing.TB, file, name string) []byte {
	tb.Helper()
	for _, m := range conversation(tb, file) {
		if m.name == name {
			return m.payload
		}
	}
	tb.Fatalf("%s has no %s", file, name)
	return nil
}

func TestBinaryScanCallAllocates(t *testing.T) {
	for _, c := range []struct{ serializer, file, name string }{
		{"msgpack", "pyro5-msgpack.jsonl", "call_kwargs.req"},
		{"msgpack", "pyro5-msgpack.jsonl", "attr_get.req"},
		{"msgpack", "pyro5-msgpack.jsonl", "batch.req"},
	} {
		doc, s := recordedCall(t, c.file, c.name), codec.ByName(c.serializer)
		h := pyro.Head{Batch: make([][]byte, 0, 8)}
		batch := c.name == "batch.req"
		if n := testing.AllocsPerRun(100, func() {
			if err := pyro.ScanCall(s, doc, batch, &h); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s %s: ScanCall allocates %v times, want 0", c.serializer, c.name, n)
		}
		if n := testing.AllocsPerRun(100, func() {
			if err := pyro.DecodeCall(s, doc, codec.Limits{}, pyNone{}); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s %s: DecodeCall allocates %v times, want 0", c.serializer, c.name, n)
		}
	}
}

func BenchmarkBinary(b *testing.B) {
	const name = "msgpack"
	s := codec.ByName(name)
	call := recordedCall(b, "pyro5-"+name+".jsonl", "call_kwargs.req")
	large := recordedCall(b, "pyro5-"+name+".jsonl", "handshake.resp")
	benchmarkSerializer(b, s, call, large)
}

// benchmarkSerializer scans a call, and decodes and encodes a document.
func benchmarkSerializer(b *testing.B, s codec.Serializer, call, doc []byte) {
	b.Run(s.Name()+"/scan", func(b *testing.B) {
		b.ReportAllocs()
		var h pyro.Head
		for b.Loop() {
			if err := pyro.ScanCall(s, call, false, &h); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(s.Name()+"/decode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(doc)))
		for b.Loop() {
			if err := s.Decode(doc, codec.Limits{}, pyNone{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(s.Name()+"/encode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(doc)))
		e := s.NewEncoder(nil)
		buf := make([]byte, 0, 2*len(doc))
		for b.Loop() {
			e.Reset(buf)
			if err := s.Decode(doc, codec.Limits{}, e); err != nil {
				b.Fatal(err)
			}
			if _, err := e.Document(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkText(b *testing.B) {
	v := []any{}
	for i := range 100 {
		v = append(v, map[string]any{"name": "some text", "n": i, "x": 1.5, "list": codec.Tuple{true, nil, "é"}})
	}
	for _, name := range []string{"serpent", "json"} {
		s := codec.ByName(name)
		call, err := pyro.AppendCall(s, nil, "example.service", "add", v, nil, false)
		if err != nil {
			b.Fatal(err)
		}
		doc, err := codec.Append(s, nil, v)
		if err != nil {
			b.Fatal(err)
		}
		benchmarkSerializer(b, s, call, doc)
	}
}

// BenchmarkLongText decodes and encodes one text of about 1,000 bytes of different kinds.
func BenchmarkLongText(b *testing.B) {
	for _, text := range []struct{ name, text string }{
		{"ascii", strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz", 28)[:1000]},
		{"words", strings.Repeat("it's a \"text\" of lines\n", 43)},
		{"greek", strings.Repeat("αβγδε ζηθικ ", 45)},
		{"short", "some text"},
	} {
		for _, name := range []string{"serpent", "json"} {
			s := codec.ByName(name)
			doc, err := codec.Append(s, nil, text.text)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(text.name+"/"+name+"/decode", func(b *testing.B) {
				b.SetBytes(int64(len(doc)))
				for b.Loop() {
					if err := s.Decode(doc, codec.Limits{}, pyNone{}); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(text.name+"/"+name+"/encode", func(b *testing.B) {
				b.SetBytes(int64(len(doc)))
				e := s.NewEncoder(nil)
				buf, v := make([]byte, 0, 2*len(doc)), []byte(text.text)
				for b.Loop() {
					e.Reset(buf)
					if err := e.Text(v); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
