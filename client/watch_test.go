package client_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/object"
)

// TestEndOfAnEarlierContext: the end of the context of a past call does not end a later call of the connection.
func TestEndOfAnEarlierContext(t *testing.T) {
	s := tcpServer(t)
	c := newClient(t, client.Config{Address: s.ln.Addr().String(), MaxConns: 1})
	o := c.Object("acme.thing")
	for _, next := range []context.Context{context.Background(), t.Context()} {
		ctx, cancel := context.WithCancel(context.Background())
		for range 2 {
			if v, err := o.Call(ctx, "echo", "x"); v != "x" || err != nil {
				t.Fatalf("%v, %v", v, err)
			}
		}
		ended := make(chan struct{})
		go func() {
			<-s.came
			cancel()
			s.hold <- struct{}{}
			close(ended)
		}()
		if _, err := o.Call(next, "wait"); err != nil {
			t.Errorf("a call with another context: %v", err)
		}
		<-ended
		if _, err := o.Call(ctx, "echo", "x"); executed(t, err) != client.No || !errors.Is(err, context.Canceled) {
			t.Errorf("a call with the ended context: %v", err)
		}
	}
	if n := s.conns(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// TestContextEndsASessionsCall: the same context may serve many calls of a session, and its end ends the running one.
func TestContextEndsASessionsCall(t *testing.T) {
	s := tcpServer(t)
	defer close(s.hold)
	one, err := newClient(t, client.Config{Address: s.ln.Addr().String()}).Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	o := one.Object("acme.thing")
	for range 3 {
		if v, err := o.Call(ctx, "echo", "x"); v != "x" || err != nil {
			t.Fatalf("%v, %v", v, err)
		}
	}
	go func() {
		<-s.came
		cancel()
	}()
	if _, err := o.Call(ctx, "wait"); executed(t, err) != client.Unknown || !errors.Is(err, context.Canceled) {
		t.Errorf("the running call: %v", err)
	}
	if _, err := o.Call(t.Context(), "echo", "x"); executed(t, err) != client.No {
		t.Errorf("a call of the lost session: %v", err)
	}
}

// TestManyContexts makes calls of few connections while their contexts end at any moment. Each call has its right
// result or the error of its context.
func TestManyContexts(t *testing.T) {
	s := tcpServer(t)
	c := newClient(t, client.Config{Address: s.ln.Addr().String(), MaxConns: 3})
	o := c.Object("acme.thing")
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			for n := range 100 {
				ctx, cancel := context.WithCancel(t.Context())
				callers.Go(cancel)
				for range 3 {
					want := int64(1000*i + n)
					v, err := o.Call(ctx, "echo", want)
					if err == nil && v != want || err != nil && object.CodeOf(err) != object.CodeCanceled {
						t.Errorf("%v, %v; want %d", v, err, want)
					}
				}
			}
		})
	}
	callers.Wait()
	for range 6 { // all places are free again
		if v, err := o.Call(t.Context(), "echo", "x"); v != "x" || err != nil {
			t.Errorf("%v, %v", v, err)
		}
	}
}
