package main_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/audit/trail"
	"github.com/hearthhost/hearth/client"
)

// TestFailedProofsAreAudited: each peer that does not prove its identity leaves a record of the audit log with the
// reason and its address, and one that does leaves none of a refusal.
func TestFailedProofsAreAudited(t *testing.T) {
	h := startIdentityHost(t)
	wrongKey := filepath.Join(h.dir, "wrong.txt")
	writeKeys(t, wrongKey, "alice-1")
	key := func(file string) client.Profile { return client.Profile{Channel: "hmac", Key: file} }
	h.who(portSigned, key("alice.key.txt"))
	h.who(portTLS, h.certs("alice"))
	for _, tc := range []struct {
		name   string
		port   int
		p      client.Profile
		reason string
	}{
		{"an unknown key", portSigned, key("unknown.txt"), `key id "mallory-1"`},
		{"a wrong key", portSigned, key(wrongKey), `key id "alice-1"`},
		{"an expired certificate", portTLS, h.certs("expired"), "expired"},
		{"a certificate of a server", portTLS, h.certs("server"), "not for clients"},
		{"no proof", portTLS, client.Profile{Channel: "tls", CA: "ca.pem"}, "no permit names unidentified peers"},
	} {
		before := len(refusals(t, h))
		h.who(tc.port, tc.p)
		await(t.Context(), t, "the record of "+tc.name, func() bool { return len(refusals(t, h)) > before })
		for _, e := range refusals(t, h)[before:] {
			if !strings.Contains(e.Reason, tc.reason) || e.Principal != "anonymous" ||
				!strings.HasPrefix(e.Peer, "127.0.0.1:") {
				t.Errorf("%s: %s", tc.name, e.Raw)
			}
		}
	}
	if all := refusals(t, h); len(all) != 5 {
		t.Errorf("%d refusals, want 5", len(all))
	}
}

// refusals returns the records of connections that were refused.
func refusals(t *testing.T, h *identityHost) (out []*trail.Entry) {
	t.Helper()
	for e, err := range trail.Entries(filepath.Join(h.dir, "state", "audit.jsonl")) {
		check(t, err)
		if e.Event == "connect" && e.Decision == "deny" {
			out = append(out, e)
		}
	}
	return out
}
