package hostcall

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// starter is a service that keeps the ops which it begins, except those with the payload "handle".
type starter struct {
	handler
	begun map[string]func(link.ServiceReply, error)
	ctx   map[string]context.Context
}

func (s *starter) Start(
	ctx context.Context, _ From, _ link.Op, payload []byte, done func(link.ServiceReply, error),
) bool {
	if string(payload) == "handle" {
		return false
	}
	s.begun[string(payload)], s.ctx[string(payload)] = done, ctx
	return true
}

// TestStarter begins ops without a goroutine: their answers arrive when they end, they are cancelled with their
// request, and slots and bytes are given back. An op that the service does not begin, or that is large, is handled.
func TestStarter(t *testing.T) {
	w := newWorker(t, nil, nil)
	s := &starter{
		handler: func(_ context.Context, _ From, payload []byte) (link.ServiceReply, error) {
			return link.ServiceReply{Payload: fmt.Appendf(nil, "handled %d", len(payload))}, nil
		},
		begun: map[string]func(link.ServiceReply, error){},
		ctx:   map[string]context.Context{},
	}
	w.table.services[link.Objects] = s
	w.open[7] = true
	for i, payload := range []string{"a", "b", "c"} {
		if err := w.start(uint64(i+1), 7, []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.table.InFlight(); n != 3 || len(w.answers) != 0 {
		t.Errorf("%d ops in flight, answers %v", n, w.answers)
	}
	s.begun["a"](link.ServiceReply{Payload: []byte("A")}, nil)
	s.begun["b"](link.ServiceReply{}, object.Errorf(object.CodeExhausted, "full"))
	w.endRequest(7)
	if s.ctx["c"].Err() == nil {
		t.Error("the op is not cancelled with its request")
	}
	s.begun["c"](link.ServiceReply{}, errors.New("secret"))
	if n := w.table.InFlight(); n != 0 {
		t.Errorf("%d ops in flight", n)
	}
	if err := w.start(4, 0, []byte("handle")); err != nil {
		t.Fatal(err)
	}
	if err := w.start(5, 0, make([]byte, maxStarted+1)); err != nil {
		t.Fatal(err)
	}
	got := w.settle()
	if a := got[1]; len(a) != 1 || a[0].payload != "A" || a[0].err != nil {
		t.Errorf("a: %v", a)
	}
	if a := got[2]; len(a) != 1 || a[0].err == nil || a[0].err.Msg != "full" {
		t.Errorf("b: %v", a)
	}
	if a := got[3]; len(a) != 1 || a[0].err == nil || a[0].err.Msg != "internal error" {
		t.Errorf("c: %v", a)
	}
	for id, want := range map[uint64]string{4: "handled 6", 5: fmt.Sprint("handled ", maxStarted+1)} {
		if a := got[id]; len(a) != 1 || a[0].payload != want {
			t.Errorf("op %d: %v, want %s", id, a, want)
		}
	}
}
