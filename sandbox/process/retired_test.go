package process

import (
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// TestWorkerIsNotRetired has a compromised worker send CodeRetired, which would make the host run the call again. The
// host replaces the code.
func TestWorkerIsNotRetired(t *testing.T) {
	tenant := newTenant(Config{}, object.Limits{})
	p, _ := startFake(t, tenant, func(f *fake, typ link.Type, id uint64, _ []byte) error {
		if typ == link.Call {
			f.send(t, link.Reply, id, func(e *link.Encoder) { e.PutReply(object.Reply{}, false, object.ErrRetired) })
		}
		return nil
	})
	_, err := p.Invoke(t.Context(), &object.Call{ID: "acme.x", Kind: object.Invoke, Method: "m"}, time.Minute)
	if object.Retired(err) || object.CodeOf(err) != object.CodeUnavailable {
		t.Errorf("Invoke: %v, want unavailable", err)
	}
}
