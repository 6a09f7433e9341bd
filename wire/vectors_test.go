package wire_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/wire"
)

// record is one line of a vector file: one message.
type record struct {
	Name, Direction, Hex, Note, After string
}

func (r record) bytes(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString(r.Hex)
	if err != nil {
		t.Fatalf("%s: %v", r.Name, err)
	}
	return b
}

func lines[T any](t testing.TB, file string) []T {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []T
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var one T
		if err := json.Unmarshal(s.Bytes(), &one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	if s.Err() != nil || len(all) == 0 {
		t.Fatalf("%s: %d lines, %v", file, len(all), s.Err())
	}
	return all
}

func conversations(t testing.TB) []string {
	t.Helper()
	var files []string
	for _, p := range []string{"pyro4-", "pyro5-"} {
		for _, s := range []string{"serpent", "json", "marshal", "msgpack"} {
			files = append(files, p+s+".jsonl")
		}
	}
	return append(files, "pyro4-python2.jsonl")
}

// sameBytes compares a message with its re-encoding. Pyro4 correlation ids are written first, so annotations are
// compared as a set.
func sameBytes(t *testing.T, name string, want []byte) {
	t.Helper()
	var m, again wire.Message
	if err := wire.NewReader(bytes.NewReader(want), 0).Read(&m); err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	got, err := wire.Append(nil, &m)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if bytes.Equal(got, want) {
		return
	}
	if !m.HasCorr || len(m.Annotations) == 0 || len(got) != len(want) {
		t.Errorf("%s: re-encoded differently\n got %x\nwant %x", name, got, want)
		return
	}
	if err := wire.NewReader(bytes.NewReader(got), 0).Read(&again); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if d := cmp.Diff(m, again); d != "" {
		t.Errorf("%s: %s", name, d)
	}
}

func TestConversationsSurviveReencoding(t *testing.T) {
	for _, file := range conversations(t) {
		t.Run(file, func(t *testing.T) {
			for _, r := range lines[record](t, file) {
				if r.Hex != "" {
					sameBytes(t, r.Name, r.bytes(t))
				}
			}
		})
	}
}

func TestCompressedVectorsInflate(t *testing.T) {
	n := 0
	for _, file := range conversations(t) {
		for _, r := range lines[record](t, file) {
			if r.Hex == "" {
				continue
			}
			var m wire.Message
			if err := wire.NewReader(bytes.NewReader(r.bytes(t)), 0).Read(&m); err != nil {
				t.Fatal(err)
			}
			if m.Flags&wire.Compressed == 0 {
				continue
			}
			n++
			if _, err := wire.Inflate(nil, m.Payload, 0); err != nil {
				t.Errorf("%s: %v", r.Name, err)
			}
		}
	}
	if n < 8 {
		t.Errorf("only %d compressed vectors", n)
	}
}

// TestBadInput: requests that are rejected before their payload is read. The peer receives the text; "" is an error
// of the stream.
func TestBadInput(t *testing.T) {
	refused := map[string]string{
		"pyro4 connect.garbage.req":              "invalid data",
		"pyro4 connect.http.req":                 "invalid data",
		"pyro4 connect.version_off_by_one.req":   "invalid data or unsupported protocol version",
		"pyro4 connect.bad_checksum.req":         "header checksum mismatch",
		"pyro4 connect.unknown_type.req":         "invalid msg type 9 received",
		"pyro4 connect.negative_length.req":      "negative payload length",
		"pyro4 connect.corr_length.req":          "correlation id is not 16 bytes long",
		"pyro4 connect.annotation_overrun.req":   "malformed annotations: 99 bytes announced, 5 left",
		"pyro4 connect.annotation_truncated.req": "malformed annotations: 3 stray bytes",
		"pyro4 connect.annotation_not_ascii.req": "malformed annotations: id is not ASCII",
		"pyro4 connect.truncated_header.req":     "",
		"pyro4 connect.truncated_payload.req":    "",
		"pyro4 connect.too_large.req":            "max message size exceeded (",
		"pyro5 connect.garbage.req":              "invalid data",
		"pyro5 connect.http.req":                 "invalid data",
		"pyro5 connect.version_off_by_one.req":   "invalid protocol version: 503",
		"pyro5 connect.unknown_type.req":         "invalid msg type 9 received (expected: 1)",
		"pyro5 connect.annotation_not_ascii.req": "malformed annotations: id is not ASCII",
		"pyro5 connect.truncated_header.req":     "",
		"pyro5 connect.truncated_payload.req":    "",
		"pyro5 connect.too_large.req":            "message too large (",
	}
	seen := 0
	for _, generation := range []string{"pyro4", "pyro5"} {
		for _, r := range lines[record](t, generation+"-badinput.jsonl") {
			want, listed := refused[generation+" "+r.Name]
			if r.Direction != "c2s" || r.Hex == "" || !listed {
				continue
			}
			seen++
			var m wire.Message
			limit := 0
			if strings.Contains(r.Name, "too_large") {
				limit = 700
			}
			err := wire.NewReader(bytes.NewReader(r.bytes(t)), limit).Read(&m)
			if text := messageOf(err); err == nil || !strings.HasPrefix(text, want) {
				t.Errorf("%s %s: error %v, want %q", generation, r.Name, err, want)
			}
		}
	}
	if seen != len(refused) {
		t.Errorf("%d of %d cases found", seen, len(refused))
	}
}
