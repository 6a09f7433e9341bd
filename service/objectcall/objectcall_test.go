package objectcall

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/hostcall"
	"github.com/hearthhost/hearth/sandbox/link"
)

// TestCall makes a call of an object. The caller, the chain and the correlation id come from the host.
func TestCall(t *testing.T) {
	from := hostcall.From{
		Tenant: "acme",
		Object: "acme.x",
		Conn:   5,
		Corr:   [16]byte{9},
		Chain:  []object.ID{"acme.first"},
	}
	var e link.Encoder
	e.PutObjectCall(&link.ObjectCall{
		To:        "acme.y",
		Kind:      object.Invoke,
		Method:    "m",
		Exclusive: true,
		Payload:   []byte("arguments"),
	})
	refused := object.Errorf(object.CodeDenied, "no")
	v := []byte("v")
	for name, tc := range map[string]struct {
		reply object.Reply
		err   error
		want  link.ServiceReply
	}{
		"value":     {object.Reply{Payload: v}, nil, link.ServiceReply{Kind: link.ObjectValue, Payload: v}},
		"exception": {object.Reply{Exception: true}, nil, link.ServiceReply{Kind: link.ObjectException}},
		"stream":    {object.Reply{Stream: 7}, nil, link.ServiceReply{Kind: link.ObjectStream}},
		"error":     {object.Reply{}, refused, link.ServiceReply{}},
	} {
		s := New(func(_ context.Context, id object.ID, exclusive bool, c *object.Call) (object.Reply, error) {
			want := &object.Call{
				ID:      "acme.y",
				Kind:    object.Invoke,
				Method:  "m",
				Corr:    from.Corr,
				Chain:   from.Chain,
				Payload: []byte("arguments"),
			}
			if id != "acme.x" || !exclusive || !reflect.DeepEqual(c, want) {
				t.Errorf("%s calls %+v, want %+v", id, c, want)
			}
			return tc.reply, tc.err
		})
		got, err := s.Handle(t.Context(), from, link.ObjectsCall, e.B)
		if !errors.Is(err, tc.err) || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestBrokenProtocol sends ops that no worker sends. They do not reach the caller.
func TestBrokenProtocol(t *testing.T) {
	s := New(func(context.Context, object.ID, bool, *object.Call) (object.Reply, error) {
		t.Error("a call was made")
		return object.Reply{}, nil
	})
	var e link.Encoder
	e.PutObjectCall(&link.ObjectCall{To: "acme.y", Kind: object.Invoke, Method: "m"})
	for op, payload := range map[link.Op][]byte{
		link.ObjectsCall:     e.B[:3],
		link.ObjectsCall + 1: e.B,
		0:                    e.B,
	} {
		if _, err := s.Handle(t.Context(), hostcall.From{}, op, payload); !errors.Is(err, hostcall.ErrProtocol) {
			t.Errorf("op %d: %v", op, err)
		}
	}
}
