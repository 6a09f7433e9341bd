package codec_test

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// jsonLines reads every line of a vector file.
func jsonLines[T any](tb testing.TB, path string) []T {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var all []T
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var line T
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			tb.Fatalf("%s: %v", path, err)
		}
		all = append(all, line)
	}
	if err := s.Err(); err != nil || len(all) == 0 {
		tb.Fatalf("%s: %d lines, %v", path, len(all), err)
	}
	return all
}

// unhex decodes hex of a vector.
func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// valueVector is a value, the document that Python wrote for it, and the repr that Python read back.
type valueVector struct {
	Repr     string  `json:"python_repr"`
	Pyro     string  `json:"pyro"`
	Hex      *string `json:"hex"`
	HexStart string  `json:"hex_start"`
	Loads    *string `json:"loads"`
}

// plain reports whether loads is the repr of plain data and not of a revived object.
func (v valueVector) plain() bool {
	l := *v.Loads
	return !strings.HasPrefix(l, "loads: ") && !strings.Contains(l, "<Pyro") && !strings.Contains(l, "Error(")
}

// cut shortens a repr as the recording did.
func (v valueVector) cut(repr string) string {
	if len(*v.Loads) == 200 {
		return repr[:min(200, len(repr))]
	}
	return repr
}

// reprOf decodes one document.
func reprOf(s codec.Serializer, doc []byte, lim codec.Limits) (string, error) {
	var p pyRepr
	err := s.Decode(doc, lim, &p)
	return p.out.String(), err
}

// translate decodes a document of one format into another.
func translate(from codec.Serializer, doc []byte, to codec.Serializer) ([]byte, error) {
	e := to.NewEncoder(nil)
	if err := from.Decode(doc, codec.Limits{}, e); err != nil {
		return nil, err
	}
	return e.Document()
}

func TestMsgpackValues(t *testing.T) {
	t.Parallel()
	s := codec.ByName("msgpack")
	for _, v := range jsonLines[valueVector](t, "testdata/values-msgpack.jsonl") {
		if v.Hex == nil {
			continue // Python does not write it
		}
		doc := unhex(t, *v.Hex)
		got, err := reprOf(s, doc, codec.Limits{})
		if strings.HasPrefix(*v.Loads, "loads: ValueError: list is not allowed") {
			wantError(t, v.Repr, err, object.CodeInvalid, "TypeError")
			continue
		}
		if err != nil {
			t.Errorf("Decode(%s) = %v", v.Repr, err)
			continue
		}
		if v.plain() {
			if diff := cmp.Diff(*v.Loads, v.cut(got)); diff != "" {
				t.Errorf("Decode(%s) differs from Python (-want +got):\n%s", v.Repr, diff)
			}
		}
		again, err := translate(s, doc, s)
		if strings.Contains(*v.Loads, "is not allowed for map key") {
			wantError(t, "encode "+v.Repr, err, object.CodeInvalid, "TypeError")
			continue
		}
		if err != nil || !bytes.Equal(again, doc) {
			t.Errorf("encoding %s again = %x, %v, want %x", v.Repr, again, err, doc)
		}
	}
}

// wantError checks code and class of an error.
func wantError(t *testing.T, what string, err error, code object.Code, class string) {
	t.Helper()
	e, ok := err.(*object.Error)
	if !ok || e.Code != code || pyro.ErrorClass(e) != class {
		t.Errorf("%s: error %#v, want %v of class %q", what, err, code, class)
	}
}

// conversationMessage is one recorded message.
type conversationMessage struct {
	name       string
	typ        byte
	batch      bool
	serializer codec.Serializer
	proto      wire.Protocol
	payload    []byte
}

// conversation reads the messages of a recorded conversation whose payload is in a known serializer.
func conversation(tb testing.TB, file string) []conversationMessage {
	tb.Helper()
	type line struct{ Name, Direction, Hex string }
	var all []conversationMessage
	for _, l := range jsonLines[line](tb, filepath.Join("../wire/testdata", file)) {
		b := unhex(tb, l.Hex)
		m := conversationMessage{name: l.Name, proto: wire.Protocol(binary.BigEndian.Uint16(b[4:]))}
		flags, size := binary.BigEndian.Uint16(b[8:]), int(binary.BigEndian.Uint32(b[12:]))
		var id uint16
		if m.proto == wire.Pyro4 {
			m.typ, id = b[7], binary.BigEndian.Uint16(b[16:])
			m.payload = b[24+int(binary.BigEndian.Uint16(b[18:])):]
		} else {
			m.typ, id = b[6], uint16(b[7])
			m.payload = b[40+int(binary.BigEndian.Uint32(b[16:])):]
		}
		if len(m.payload) != size {
			tb.Fatalf("%s %s: payload of %d bytes, want %d", file, l.Name, len(m.payload), size)
		}
		if m.typ == 6 || size == 0 {
			continue // PING, or an item stream's announcement
		}
		m.serializer = pyro.Serializer(m.proto, id)
		if m.serializer == nil {
			continue
		}
		m.batch = flags&8 != 0
		if flags&2 != 0 {
			z, err := zlib.NewReader(bytes.NewReader(m.payload))
			if err != nil {
				tb.Fatal(err)
			}
			m.payload, err = io.ReadAll(z)
			if err != nil {
				tb.Fatal(err)
			}
		}
		all = append(all, m)
	}
	return all
}

func TestBinaryConversations(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"pyro4-msgpack.jsonl", "pyro5-msgpack.jsonl"} {
		seen := map[codec.ID]int{}
		for _, m := range conversation(t, file) {
			id := m.serializer.ID()
			if id != codec.Msgpack {
				continue
			}
			seen[id]++
			name := file + " " + m.name
			want, err := reprOf(m.serializer, m.payload, codec.Limits{})
			if err != nil {
				t.Errorf("%s: Decode = %v (%x)", name, err, m.payload)
				continue
			}
			again, err := translate(m.serializer, m.payload, m.serializer)
			if id == codec.Msgpack && m.name == "echo_type_int_keys.req" {
				wantError(t, name, err, object.CodeInvalid, "TypeError") // Python cannot read its own output
				continue
			}
			if err != nil {
				t.Errorf("%s: encoding again = %v", name, err)
				continue
			}
			if id == codec.Msgpack && !bytes.Equal(again, m.payload) {
				t.Errorf("%s: encoded again\n%x, want\n%x", name, again, m.payload)
			}
			if got, err := reprOf(m.serializer, again, codec.Limits{}); err != nil || got != want {
				t.Errorf("%s: decoded again = %s, %v, want %s", name, got, err, want)
			}
			switch m.typ {
			case 1:
				checkConnect(t, name, m, want)
			case 4:
				checkInvoke(t, name, m, want)
			}
		}
		if len(seen) == 0 {
			t.Errorf("%s: nothing tested", file)
		}
	}
}

func checkConnect(t *testing.T, name string, m conversationMessage, repr string) {
	t.Helper()
	id, _, err := pyro.ScanConnect(m.serializer, m.payload)
	found := strings.Contains(repr, "'object': '"+id+"'")
	if err != nil || id != "" && !found || id == "" && strings.Contains(repr, "'object'") {
		t.Errorf("%s: ScanConnect = %q, %v in %s", name, id, err, repr)
	}
}

// checkInvoke compares the results of ScanCall and DecodeCall with the repr of the whole call.
func checkInvoke(t *testing.T, name string, m conversationMessage, repr string) {
	t.Helper()
	var h pyro.Head
	if err := pyro.ScanCall(m.serializer, m.payload, m.batch, &h); err != nil {
		t.Errorf("%s: ScanCall = %v in %s", name, err, repr)
		return
	}
	head := pyQuote(h.Object, true) + ", " + pyQuote(h.Method, true) + ", "
	repr = repr[1:]
	if !strings.HasPrefix(repr, head) {
		t.Errorf("%s: ScanCall = %s, want the beginning of %s", name, head, repr)
		return
	}
	repr = repr[len(head):]
	if h.First != nil && !strings.HasPrefix(repr[1:], pyQuote(h.First, true)) {
		t.Errorf("%s: ScanCall's First = %q in %s", name, h.First, repr)
	}
	if h.First == nil && !m.batch && (strings.HasPrefix(repr, "['") || strings.HasPrefix(repr, "('")) {
		t.Errorf("%s: ScanCall found no First in %s", name, repr)
	}
	if m.batch && len(h.Batch) == 0 && !strings.HasPrefix(repr, "[]") {
		t.Errorf("%s: ScanCall found no methods in %s", name, repr)
	}
	for _, method := range h.Batch {
		if !strings.Contains(repr, pyQuote(method, true)) {
			t.Errorf("%s: ScanCall found %q in %s", name, method, repr)
		}
	}
	var p pyRepr
	if err := pyro.DecodeCall(m.serializer, m.payload, codec.Limits{}, &p); err != nil {
		t.Errorf("%s: DecodeCall = %v", name, err)
		return
	}
	got := strings.Replace(p.out.String(), "; ", ", ", 1)
	if got != repr[:len(repr)-1] {
		t.Errorf("%s: DecodeCall = %s, want %s", name, got, repr[:len(repr)-1])
	}
}
