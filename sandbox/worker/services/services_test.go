package services

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/services"
)

// recorder keeps the frames of a [Set].
type recorder struct{ frames chan []byte }

func (r recorder) Send(e *link.Encoder)        { r.frames <- bytes.Clone(e.Frame()) }
func (r recorder) SendAndWait(e *link.Encoder) { r.Send(e) }

func (r recorder) Post(frame []byte) { r.frames <- bytes.Clone(frame) }

// frame returns the next frame in parts, or fails the test if none was sent.
func (r recorder) frame(t *testing.T) (typ link.Type, id uint64, d *link.Decoder) {
	t.Helper()
	synctest.Wait()
	select {
	case b := <-r.frames:
		d := &link.Decoder{B: b[4:]}
		typ = link.Type(d.Byte())
		for i := range 8 {
			id |= uint64(d.Byte()) << (8 * i)
		}
		return typ, id, d
	default:
		t.Fatal("no frame is sent")
		return 0, 0, nil
	}
}

// objectCall calls another object with the request 42 as context.
func objectCall(ctx context.Context, s *Set, result object.Sink) error {
	ctx = context.WithValue(ctx, RequestKey{}, uint64(42))
	return s.Sandbox().Objects.Call(ctx, &services.ObjectCall{
		From:   "acme.a",
		To:     "acme.b",
		Kind:   object.Invoke,
		Method: "m",
		Args: func(to object.Sink) error {
			return errors.Join(to.Begin(object.TupleKind, 0), to.End(), to.Null())
		},
		Result: result,
	})
}

// TestObjectCall calls another object and answers: the frame names object and request, and the result arrives.
func TestObjectCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := recorder{make(chan []byte, 10)}
		s := New(r)
		result := codec.ByID(codec.JSON).NewEncoder(nil)
		done := make(chan error, 1)
		go func() { done <- objectCall(t.Context(), s, result) }()
		typ, id, d := r.frame(t)
		head := d.HostCallFields()
		want := link.HostCallHead{Object: "acme.a", Request: 42, Service: link.Objects, Op: link.ObjectsCall}
		if typ != link.HostCall || head != want {
			t.Errorf("a frame of type %d with head %+v, want %+v", typ, head, want)
		}
		if c := d.ObjectCallFields(); d.Err != nil || c.To != "acme.b" || c.Method != "m" {
			t.Errorf("the call %+v, %v", c, d.Err)
		}
		if n := s.InFlight(); n != 1 {
			t.Errorf("%d host calls wait, want 1", n)
		}
		var e link.Encoder
		e.PutServiceReply(link.ServiceReply{Kind: link.ObjectValue, Payload: []byte(`"x"`)}, nil)
		s.Complete(id+1, &link.Decoder{B: e.B}) // a host call that does not exist
		synctest.Wait()
		if n := s.InFlight(); n != 1 {
			t.Errorf("%d host calls wait after the reply to another one, want 1", n)
		}
		s.Complete(id, &link.Decoder{B: e.B})
		if err := <-done; err != nil {
			t.Error(err)
		}
		if doc, err := result.Document(); err != nil || string(doc) != `"x"` || s.InFlight() != 0 {
			t.Errorf("the result is %s, %v, and %d host calls wait", doc, err, s.InFlight())
		}
	})
}

// TestCancelledHostCall ends the context of a host call. The host receives Cancel, and its late reply is dropped.
func TestCancelledHostCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := recorder{make(chan []byte, 10)}
		s := New(r)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- objectCall(ctx, s, codec.ByID(codec.JSON).NewEncoder(nil)) }()
		_, id, _ := r.frame(t)
		cancel()
		if typ, cancelled, _ := r.frame(t); typ != link.Cancel || cancelled != id {
			t.Errorf("frame of type %d with id %d, want Cancel of %d", typ, cancelled, id)
		}
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the call returns %v", err)
		}
		var e link.Encoder
		e.PutServiceReply(link.ServiceReply{Kind: link.ObjectValue}, nil)
		s.Complete(id, &link.Decoder{B: e.B})
		go func() { done <- objectCall(t.Context(), s, codec.ByID(codec.JSON).NewEncoder(nil)) }()
		_, next, _ := r.frame(t)
		if next == id {
			t.Error("an id is used twice")
		}
		s.Complete(next, &link.Decoder{B: e.B[:1]}) // malformed
		if err := <-done; err == nil {
			t.Error("a malformed reply is a result")
		}
	})
}
