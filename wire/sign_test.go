package wire_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/wire"
)

// TestSignaturesAreThePeers verifies every recorded signed message, and that the signature covers the payload.
func TestSignaturesAreThePeers(t *testing.T) {
	key := []byte("a shared secret")
	seen := 0
	for _, file := range conversations(t) {
		if !strings.HasPrefix(file, "pyro4-") {
			continue
		}
		for _, r := range lines[record](t, file) {
			if !strings.Contains(r.Note, "'a shared secret'") {
				continue
			}
			var m wire.Message
			if err := wire.NewReader(bytes.NewReader(r.bytes(t)), 0).Read(&m); err != nil {
				t.Fatalf("%s: %v", r.Name, err)
			}
			seen++
			switch strings.Split(r.Name, ".")[0] {
			case "hmac_unexpected":
				continue // valid, but the daemon has no key
			case "hmac_wrong_key", "hmac_missing":
				if m.Verify(key) && strings.HasSuffix(r.Name, ".req") {
					t.Errorf("%s %s: verifies, and is recorded as wrong", file, r.Name)
				}
				continue
			}
			if !m.Signed() || !m.Verify(key) || m.Verify([]byte("a shared secreT")) || m.Verify(nil) {
				t.Errorf("%s %s: signature not as it should be", file, r.Name)
			}
			if len(m.Payload) > 0 {
				m.Payload[len(m.Payload)-1] ^= 1
				if m.Verify(key) {
					t.Errorf("%s: the payload changed and the signature did not", r.Name)
				}
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d signed messages are recorded", seen)
	}
}

// TestSignAndVerify signs a message with annotations that are not sorted.
func TestSignAndVerify(t *testing.T) {
	m := &wire.Message{
		Protocol:   wire.Pyro4,
		Type:       wire.Result,
		Serializer: 1,
		Payload:    []byte("x"),
		HasCorr:    true,
		Corr:       [16]byte{1},
		Annotations: []wire.Annotation{
			{ID: [4]byte([]byte("ZZZZ")), Value: []byte("z")},
			{ID: [4]byte([]byte("AAAA")), Value: []byte("a")},
		},
	}
	m.Sign([]byte("k"))
	b, err := wire.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	var got wire.Message
	if err := wire.NewReader(bytes.NewReader(b), 0).Read(&got); err != nil {
		t.Fatal(err)
	}
	if !got.Verify([]byte("k")) || got.Verify([]byte("l")) {
		t.Error("a signed message does not verify")
	}
	got.Annotations = got.Annotations[:2]
	if got.Verify([]byte("k")) {
		t.Error("a message without a signature verifies")
	}
}
