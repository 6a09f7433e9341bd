package process

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// stuck is a worker's end whose writes block until over is closed.
type stuck struct {
	begun chan struct{} // holds a token for each of the first writes: a large frame is written in parts
	over  chan struct{}
}

func (s *stuck) Write(b []byte) (int, error) {
	select {
	case s.begun <- struct{}{}:
	default:
	}
	<-s.over
	return len(b), nil
}

// TestBacklog makes three calls of the largest size to a worker that does not read. One is being written, one waits,
// and one is refused with the name of the limit and the advice to retry.
func TestBacklog(t *testing.T) {
	p, _ := startFake(t, newTenant(Config{}, object.Limits{}), nil)
	p.active["acme.x"] = p.owner.Version("acme.x") // only calls are sent
	out := &stuck{make(chan struct{}, 10), make(chan struct{})}
	p.out = link.NewWriter(out)
	payload := make([]byte, object.MaxMessageBytes)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 3)
	call := func() { // ends with ctx and out
		_, _, err := p.request(ctx, link.Call, 0, &object.Call{ID: "acme.x", Payload: payload}, time.Second)
		ended <- err
	}
	go call()
	<-out.begun
	go call()
	go call()
	err := <-ended
	const want = "limit exceeded: 64 MiB that wait for the tenant's worker, which does not keep up; " +
		"not executed, try again"
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

// TestStreamOfGivenUpCall: a call whose caller has left opens a stream. The host closes the stream.
func TestStreamOfGivenUpCall(t *testing.T) {
	tenant := newTenant(Config{}, object.Limits{})
	calls, closed := make(chan uint64, 1), make(chan uint64, 1)
	p, f := startFake(t, tenant, func(_ *fake, typ link.Type, id uint64, body []byte) error {
		switch typ {
		case link.Call:
			calls <- id
		case link.CloseStream:
			d := link.Decoder{B: body}
			closed <- d.Uint()
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := p.Invoke(ctx, &object.Call{ID: "acme.x", Kind: object.Invoke, Method: "m"}, time.Minute)
		ended <- err
	}()
	id := <-calls
	cancel()
	if err := <-ended; object.CodeOf(err) != object.CodeCanceled {
		t.Errorf("the call: %v", err)
	}
	f.send(t, link.Reply, id, func(e *link.Encoder) { e.PutReply(object.Reply{Stream: 7}, true, nil) })
	if got := <-closed; got != 7 {
		t.Errorf("stream %d is closed, want 7", got)
	}
}

// TestOwnedReply starts calls as a loop does. A large reply belongs to the caller: later frames do not change it. The
// buffer of a small one is reused.
func TestOwnedReply(t *testing.T) {
	w := watch(t, object.Limits{})
	w.p.in.Limit(link.FrameBytes(object.MaxMessageBytes))
	replies := make(chan object.Reply, 3)
	start := func(size int, fill byte) {
		c := &object.Call{ID: "acme.x", Kind: object.Invoke, Method: "m"}
		done := func(_ any, r object.Reply, err error) {
			if err != nil {
				t.Error(err)
			}
			replies <- r
		}
		if !w.p.Start(c, time.Minute, func(write func()) { write() }, done) {
			t.Fatal("the call is not started")
		}
		payload := bytes.Repeat([]byte{fill}, size)
		w.send(t, link.Reply, <-w.calls, func(e *link.Encoder) {
			e.PutReply(object.Reply{Payload: payload}, true, nil)
		})
	}
	start(link.Large+1, 'a')
	large := <-replies
	for _, fill := range []byte("bc") {
		start(2*link.Large, fill)
		if r := <-replies; !r.Owned {
			t.Error("a large reply is not owned")
		}
	}
	if !large.Owned || !bytes.Equal(large.Payload, bytes.Repeat([]byte{'a'}, link.Large+1)) {
		t.Errorf("owned: %v; a later frame changed a large reply: %.20q", large.Owned, large.Payload)
	}
	start(10, 'd')
	if r := <-replies; r.Owned {
		t.Error("a small reply is owned, but its buffer is reused")
	}
}
