package supervise

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/internal/socketpair"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// mute returns a process whose worker never answers, and what it was told.
func mute(t *testing.T) (*process, <-chan link.Type) {
	t.Helper()
	theirs, file, err := socketpair.New()
	if err != nil {
		t.Fatal(err)
	}
	ours, err := nonblock.NewSocket(file)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan link.Type, 10)
	in, err := link.NewReader(theirs, func(typ link.Type, _ uint64, _ []byte) error {
		told <- typ
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = in.Run(false) }()
	t.Cleanup(func() { ours.Close(); theirs.Close(); <-ended })
	p := &process{t: New(Config{Tenant: "acme"}), spawned: &spawned{conn: ours}, out: link.NewWriter(ours),
		pending: map[uint64]*pending{}, loaded: map[object.ID]*Version{"acme.x": NewVersion("acme.x", Script{}, NewLibs(nil), object.Limits{})}}
	if p.in, err = link.NewReader(ours, p.frame); err != nil {
		t.Fatal(err)
	}
	return p, told
}

// TestNobodyWaitsForEver covers the two ways in which a call is given up: the worker is
// told in both, and nothing is left behind.
func TestNobodyWaitsForEver(t *testing.T) {
	for _, tc := range []struct {
		name string
		code object.Code
		call func(p *process) error
	}{
		{"its deadline", object.CodeDeadline, func(p *process) error {
			_, _, err := p.request(context.Background(), link.Call, 0, &object.Call{ID: "acme.x", Deadline: time.Now()})
			return err
		}},
		{"its caller", object.CodeCanceled, func(p *process) error {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_, _, err := p.request(ctx, link.Call, 0, &object.Call{ID: "acme.x"})
			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, told := mute(t)
			err := tc.call(p)
			var e *object.Error
			if !errors.As(err, &e) || e.Code != tc.code {
				t.Errorf("error = %v, want code %v", err, tc.code)
			}
			if a, b := <-told, <-told; a != link.Call || b != link.Cancel {
				t.Errorf("the worker was told %v, %v; want the call and its end", a, b)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.pending) > 0 {
				t.Errorf("%d requests are still waited for", len(p.pending))
			}
		})
	}
}

// stuck is a worker's end that takes nothing until it is over.
type stuck struct {
	begun chan struct{} // holds a token for each write
	over  chan struct{}
}

func (s *stuck) Write(b []byte) (int, error) {
	s.begun <- struct{}{}
	<-s.over
	return len(b), nil
}

// TestBacklog: of three calls of the largest size at once, for a worker that does not read,
// one is on its way, one waits, and one is told which limit it met and that it may try again.
func TestBacklog(t *testing.T) {
	p, _ := mute(t)
	out := &stuck{make(chan struct{}, 10), make(chan struct{})}
	p.out = link.NewWriter(out)
	payload := make([]byte, object.MaxMessageBytes)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 3)
	call := func() { // ends with ctx and out
		_, _, err := p.request(ctx, link.Call, 0, &object.Call{ID: "acme.x", Payload: payload})
		ended <- err
	}
	go call()
	<-out.begun
	go call()
	go call()
	err := <-ended
	const want = "limit exceeded: 64 MiB that wait for the tenant's worker, which does not keep up; not executed, try again"
	var e *object.Error
	if !errors.As(err, &e) || e.Code != object.CodeExhausted || e.Msg != want {
		t.Errorf("the third call: %v, want %q", err, want)
	}
	close(out.over)
	cancel()
	for range 2 {
		if err := <-ended; object.CodeOf(err) != object.CodeCanceled {
			t.Errorf("one of the first two: %v", err)
		}
	}
}
