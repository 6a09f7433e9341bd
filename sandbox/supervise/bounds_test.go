package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
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

// limited is a budget of left bytes.
type limited struct {
	mu   sync.Mutex
	left int
}

func (l *limited) Acquire(n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n > l.left {
		return errors.New("1 MiB of calls between the tenant's objects")
	}
	l.left -= n
	return nil
}

func (l *limited) Release(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left += n
}

// TestObjectCallsAreCounted makes calls between objects beyond the budget of bytes in flight. The calls beyond it are
// refused, not executed, and the budget is whole again when the others have ended.
func TestObjectCallsAreCounted(t *testing.T) {
	const calls = 8
	budget, open := &limited{left: 1 << 20}, make(chan struct{})
	services := objectCalls(func(_ context.Context, _ object.ID, _ bool, c *object.Call) (object.Reply, error) {
		<-open
		return object.Reply{Payload: c.Payload[:10]}, nil
	})
	tenant := newTenant(Config{Budget: budget, Services: services}, object.Limits{})
	answers := make(chan *object.Error, calls)
	p, f := startFake(t, tenant, func(_ *fake, typ link.Type, _ uint64, body []byte) error {
		if typ == link.HostReply {
			d := link.Decoder{B: body}
			_, err := d.ServiceReplyFields()
			answers <- err
		}
		return nil
	})
	p.mu.Lock()
	p.maxDurations["acme.x"] = 1
	p.mu.Unlock()
	for id := range uint64(calls) {
		f.send(t, link.HostCall, id+1, func(e *link.Encoder) {
			e.PutHostCall(link.HostCallHead{Object: "acme.x", Service: link.Objects, Op: link.ObjectsCall})
			payload := make([]byte, 300_000) // the budget has room for three
			e.PutObjectCall(&link.ObjectCall{To: "acme.y", Kind: object.Invoke, Payload: payload})
		})
	}
	for range calls - 3 {
		err := <-answers
		if err == nil || err.Msg != "limit exceeded: 1 MiB of calls between the tenant's objects; not executed" {
			t.Errorf("beyond the budget: %v", err)
		}
	}
	close(open)
	for range 3 {
		if err := <-answers; err != nil {
			t.Errorf("within it: %v", err)
		}
	}
	for range 3 { // the slots are released last
		p.hostSlots <- struct{}{}
	}
	for given := false; !given; {
		budget.mu.Lock()
		given = budget.left == 1<<20
		budget.mu.Unlock()
	}
}
