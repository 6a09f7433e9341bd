package sdk

import (
	"context"
	"testing"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/rpc"
)

// TestOverWhileWaiting: a call that was cancelled, or whose time was over, while it waited for another one of its
// instance does not begin any more.
func TestOverWhileWaiting(t *testing.T) {
	t.Parallel()
	began, goOn := make(chan struct{}, 2), make(chan struct{})
	s, err := newServer([]*Object{New(Single, "", func() *int { return new(int) }).
		Method("wait", func(n *int) int { *n++; began <- struct{}{}; <-goOn; return *n }, "")})
	if err != nil {
		t.Fatal(err)
	}
	s.id = "acme.tool"
	payload, err := pyro.AppendCall(codec.ByID(codec.JSON), nil, "acme.tool", "wait", nil, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	call := func(ctx context.Context) chan *rpc.CallReply {
		answer := make(chan *rpc.CallReply, 1)
		go func() {
			r, err := s.Call(ctx, &rpc.CallRequest{
				Object:     "acme.tool",
				Kind:       rpc.Kind_KIND_INVOKE,
				Method:     "wait",
				Serializer: "json",
				Payload:    payload,
			})
			if err != nil {
				t.Error(err)
			}
			answer <- r
		}()
		return answer
	}
	first := call(t.Context())
	<-began
	over, cancel := context.WithCancel(t.Context())
	cancel()
	second := call(over)
	close(goOn)
	if r := <-first; r.GetFailure() != nil || string(r.GetPayload()) != "1" {
		t.Errorf("the first call: %v", r)
	}
	if r := <-second; object.Code(r.GetFailure().GetCode()) != object.CodeCanceled {
		t.Errorf("the second call: %v, want that it was cancelled", r)
	}
	if r := <-call(t.Context()); string(r.GetPayload()) != "2" {
		t.Errorf("the third call: %v, want 2: the second was not executed", r)
	}
}
