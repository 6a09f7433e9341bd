package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/internal/schedstat"
	"github.com/hearthhost/hearth/internal/socketpair"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/process"
	"github.com/hearthhost/hearth/sandbox/script"
)

// fake is a worker process whose answers a test sends.
type fake struct {
	out   *link.Writer
	ended chan struct{} // closed when the host has killed it
	kill  sync.Once
}

func (f *fake) PID() int                            { return 0 }
func (f *fake) Kill()                               { f.kill.Do(func() { close(f.ended) }) }
func (f *fake) Times() (t schedstat.Times, ok bool) { return t, false }
func (f *fake) Wait() (*os.ProcessState, error)     { return nil, nil }

// newFake returns a tenant with one object, acme.x, and its running worker. handle receives the frames of the worker;
// with nil the worker does not read.
func newFake(t *testing.T, handle func(f *fake, typ link.Type, id uint64) error) (*Tenant, *fake) {
	t.Helper()
	a, b, err := socketpair.Files()
	if err != nil {
		t.Fatal(err)
	}
	ours, err := nonblock.NewSocket(a)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := nonblock.NewSocket(b)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{out: link.NewWriter(theirs), ended: make(chan struct{})}
	reading := make(chan struct{})
	if handle == nil {
		close(reading)
	} else {
		in, err := link.NewReader(theirs, func(typ link.Type, id uint64, _ []byte) error { return handle(f, typ, id) })
		if err != nil {
			t.Fatal(err)
		}
		go func() { defer close(reading); _ = in.Run(false) }()
	}
	v := script.NewVersion("acme.x", script.Script{}, script.NewLibs(nil), object.Limits{})
	tenant := New(Config{Tenant: "acme"}, v)
	tenant.start = func(cfg Config, owner process.Owner) (*process.Process, error) {
		return process.Attach(cfg, owner, f, ours, strings.NewReader(""))
	}
	t.Cleanup(func() {
		theirs.Close()
		<-reading
		_ = tenant.Close(context.Background())
	})
	return tenant, f
}

// describes plays a worker that describes its object by a document. The channel has a token for each request.
func describes(t *testing.T, doc []byte) (tenant *Tenant, asked chan struct{}, f *fake) {
	t.Helper()
	asked = make(chan struct{}, 10)
	tenant, f = newFake(t, func(f *fake, typ link.Type, id uint64) error {
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

// TestCloseDoesNotWait changes objects and secrets of a worker that does not read, and closes the tenant. After the
// deadline of the drain the worker is killed.
func TestCloseDoesNotWait(t *testing.T) {
	tenant, f := newFake(t, nil)
	if _, err := tenant.live(false); err != nil {
		t.Fatal(err)
	}
	tenant.Activate(script.NewVersion("acme.x", script.Script{}, script.NewLibs(nil), object.Limits{}))
	tenant.SetSecrets(&Secrets{ByObject: map[object.ID]map[string]string{"acme.x": {"k": "v"}}})
	tenant.EndConn(7)
	tenant.Withdraw(func(*object.Call) error { return errUnknown })
	tenant.Remove("acme.x")
	if tenant.Has("acme.x") {
		t.Error("the object has not been removed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = tenant.Close(ctx)
	<-f.ended
	if _, err := tenant.live(false); !errors.Is(err, object.ErrRetired) {
		t.Errorf("a closed tenant gives out a process: %v", err)
	}
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
