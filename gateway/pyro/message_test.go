package pyro

import (
	"os"
	"testing"

	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/policyfile"
)

// TestMessageBytes changes the argument limit of a policy during a connection. The message limit of a principal follows
// it; that of an unauthenticated peer is the default.
func TestMessageBytes(t *testing.T) {
	load := func(size string) *snapshot.Snapshot {
		text := `
listener "tcp" { address = "127.0.0.1:0" }
principal "owner" { host_user = true }
tenant "acme" {
  limits { arguments = "` + size + `" }
}
`
		p, err := policyfile.Parse("policy.hcl", []byte(text), "/", os.Getuid(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return &snapshot.Snapshot{Policy: p}
	}
	var snap *snapshot.Snapshot
	s := NewServer(Config{Snapshot: func() *snapshot.Snapshot { return snap }})
	owner, anonymous := &conn{s: s}, &conn{s: s}
	owner.peer.Caller.Principal, anonymous.peer.Caller.Principal = "owner", object.Anonymous
	for _, size := range []string{"16MiB", "32MiB", "1MiB"} {
		snap = load(size)
		want := snap.Policy.MessageBytes()
		if got := owner.messageBytes(); got != want {
			t.Errorf("%s: owner may send %d bytes, want %d", size, got, want)
		}
		if got := anonymous.messageBytes(); got != object.DefaultMessageBytes {
			t.Errorf("%s: an unauthenticated peer may send %d bytes, want %d", size, got, object.DefaultMessageBytes)
		}
	}
}
