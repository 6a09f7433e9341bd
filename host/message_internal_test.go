package host

import (
	"os"
	"testing"

	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/policyfile"
)

// TestStrangersSendNoLargeMessages: what objects may take is for those whom the host knows,
// and follows the policy while a connection waits.
func TestStrangersSendNoLargeMessages(t *testing.T) {
	load := func(size string) *generation {
		text := "listener \"tcp\" { address = \"127.0.0.1:0\" }\nprincipal \"me\" { host_user = true }\ntenant \"acme\" {\n limits { arguments = \"" + size + "\" }\n}\n"
		p, err := policyfile.Parse("policy.hcl", []byte(text), "/", os.Getuid(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return &generation{Snapshot: snapshot.Snapshot{Policy: p}}
	}
	h := new(Host)
	me := &conn{h: h, caller: object.Caller{Principal: "me"}}
	stranger := &conn{h: h, caller: object.Caller{Principal: object.Anonymous}}
	for _, size := range []string{"16MiB", "32MiB", "1MiB"} {
		h.snap.Store(load(size))
		want := h.snap.Load().Policy.MessageBytes()
		if got := me.messageBytes(); got != want {
			t.Errorf("%s: I may send %d bytes, want %d", size, got, want)
		}
		if got := stranger.messageBytes(); got != object.DefaultMessageBytes {
			t.Errorf("%s: a stranger may send %d bytes", size, got)
		}
	}
}
