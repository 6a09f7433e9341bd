package services

import (
	"testing"

	"github.com/hearthhost/hearth/sandbox/link"
)

// secretsFrame is the body of a Secrets frame, given names and values by turns.
func secretsFrame(id string, pairs ...string) []byte {
	var e link.Encoder
	e.Text(id)
	e.Uint(uint64(len(pairs) / 2))
	for _, s := range pairs {
		e.Text(s)
	}
	return e.B
}

// TestSecrets sends secrets of one object. Each frame replaces the secrets before, and texts are redacted by all
// values, those of earlier frames included.
func TestSecrets(t *testing.T) {
	t.Parallel()
	w := &secrets{}
	tell := func(body []byte) {
		d := &link.Decoder{B: body}
		if w.grant(d); d.Err != nil {
			t.Fatal(d.Err)
		}
	}
	want := func(value string) {
		t.Helper()
		if got, ok := w.Secret("acme.a", "x"); got != value || ok != (value != "") {
			t.Errorf("Secret = %q, %v, want %q", got, ok, value)
		}
	}
	want("")
	tell(secretsFrame("acme.a", "x", "first-value", "y", "another-value"))
	want("first-value")
	if got, ok := w.Secret("acme.b", "x"); ok {
		t.Errorf("another object got %q", got)
	}
	tell(secretsFrame("acme.a", "x", "second-value"))
	want("second-value")
	if got, ok := w.Secret("acme.a", "y"); ok {
		t.Errorf("a revoked secret is %q", got)
	}
	tell(secretsFrame("acme.a"))
	want("")
	if got := w.Redact("first-value second-value another-value", 100); got != "[secret x] [secret x] [secret y]" {
		t.Errorf("Redact = %q", got)
	}
}

// FuzzSecrets sends bodies of Secrets frames. None makes the worker panic, and a malformed one changes nothing.
func FuzzSecrets(f *testing.F) {
	f.Add(secretsFrame("acme.a", "x", "first-value"))
	f.Add(secretsFrame("acme.a", "x", "first-value")[:12])
	f.Add([]byte{0, 255, 255, 255, 255, 15})
	f.Fuzz(func(t *testing.T, body []byte) {
		w := &secrets{}
		d := &link.Decoder{B: body}
		w.grant(d)
		if d.Err != nil && (len(w.granted) > 0 || !w.known.Empty()) {
			t.Errorf("a malformed frame was accepted: %v", w.granted)
		}
		w.Redact(string(body), len(body))
	})
}
