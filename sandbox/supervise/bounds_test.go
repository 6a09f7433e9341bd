package supervise

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// describes plays a worker that describes its object by a document. The channel has a token for each request.
func describes(t *testing.T, doc []byte) (tenant *Tenant, asked chan struct{}, f *fake) {
	t.Helper()
	tenant, asked = newTenant(Config{}, object.Limits{}), make(chan struct{}, 10)
	_, f = startFake(t, tenant, func(f *fake, typ link.Type, id uint64, _ []byte) error {
		if typ != link.Describe {
			return nil
		}
		asked <- struct{}{}
		var e link.Encoder
		e.Begin(link.Described, id)
		e.PutReply(object.Reply{Payload: doc}, true, nil)
		return f.out.Post(e.Frame())
	})
	return tenant, asked, f
}

// TestDescriptionsAreBoundedAndKept describes an object several times: the worker receives one request. The host
// rejects descriptions of a compromised worker with more members or bytes than an object may have.
func TestDescriptionsAreBoundedAndKept(t *testing.T) {
	doc := func(n int) []byte {
		d := object.Description{Instance: object.Single}
		for i := range n {
			d.Members = append(d.Members, object.Member{Name: object.Method(fmt.Sprint("m", i)), Method: true})
		}
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	tenant, asked, _ := describes(t, doc(link.MaxMembers))
	for range 3 {
		d, err := tenant.Describe(t.Context(), "acme.x")
		if err != nil || len(d.Members) != link.MaxMembers || d.ID != "acme.x" {
			t.Fatalf("%v, %v", d, err)
		}
	}
	if n := len(asked); n != 1 {
		t.Errorf("the worker received %d requests", n)
	}
	tenant, _, _ = describes(t, doc(link.MaxMembers+1))
	_, err := tenant.Describe(t.Context(), "acme.x")
	if err == nil || !strings.Contains(err.Error(), "more than 1000 members") {
		t.Errorf("a description with too many members: %v", err)
	}
	tenant, _, f := describes(t, make([]byte, link.MaxDescribedBytes+1))
	if _, err := tenant.Describe(t.Context(), "acme.x"); object.CodeOf(err) != object.CodeUnavailable {
		t.Errorf("a description that is too long: %v", err)
	}
	<-f.ended
}
