package request_test

import (
	"context"
	"errors"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/worker/request"
)

// newRequest returns a Request that holds request 1, and the number of its reuses.
func newRequest() (r *request.Request, reused *int) {
	r, reused = &request.Request{}, new(int)
	r.Init(func() { *reused++ })
	r.Accept(1)
	return r, reused
}

// TestWithdraw withdraws requests before and after they begin. Only a request that waits can be withdrawn.
func TestWithdraw(t *testing.T) {
	r, _ := newRequest()
	if r.Withdraw(2) || r.Withdrawn() || !r.BegunAt(1).IsZero() {
		t.Error("the id of another request withdraws the request")
	}
	if !r.Withdraw(1) || r.Withdraw(1) || !r.Withdrawn() || r.Begin() {
		t.Error("a request that waits is withdrawn once, and does not begin")
	}
	r.Release()
	r.Accept(2)
	if !r.Begin() || r.Withdraw(2) || r.BegunAt(2).IsZero() || !r.BegunAt(1).IsZero() {
		t.Error("the next request begins, and cannot be withdrawn then")
	}
}

// TestCancel cancels requests. The id of a request that is answered cancels nothing.
func TestCancel(t *testing.T) {
	r, reused := newRequest()
	done := r.Done()
	r.Cancel(2)
	if r.Err() != nil || !r.Serves(1) {
		t.Error("the id of another request cancels the request")
	}
	r.Cancel(1)
	r.Cancel(1)
	<-done
	<-r.Done()
	if !errors.Is(r.Err(), context.Canceled) || r.Cause() != nil {
		t.Errorf("Err() = %v, Cause() = %v after Cancel", r.Err(), r.Cause())
	}
	r.Release()
	if *reused != 1 || r.Serves(1) {
		t.Errorf("reused %d times, serves request 1: %v; want once, false", *reused, r.Serves(1))
	}
	r.Accept(2)
	r.Cancel(1)
	if r.Err() != nil {
		t.Error("a request that is answered cancels the next one")
	}
	why := object.Errorf(object.CodeExhausted, "memory")
	if id := r.CancelWith(why); id != 2 || r.Cause() != why || r.Err() == nil {
		t.Errorf("CancelWith returned %d, Cause() = %v", id, r.Cause())
	}
	r.Release()
	r.Accept(3)
	if r.Err() != nil || r.Cause() != nil {
		t.Errorf("the next request has Err() = %v, Cause() = %v", r.Err(), r.Cause())
	}
}

// TestAfterFunc registers functions. Those that are not stopped run when the request is cancelled.
func TestAfterFunc(t *testing.T) {
	r, _ := newRequest()
	ran := 0
	r.AfterFunc(func() { ran++ })
	if stop := r.AfterFunc(func() { t.Error("a function that was stopped runs") }); !stop() {
		t.Error("a function cannot be stopped before the request is cancelled")
	}
	stop := r.AfterFunc(func() { ran++ })
	r.Cancel(1)
	if ran != 2 || stop() {
		t.Errorf("%d functions ran, want 2, which cannot be stopped", ran)
	}
}

// TestCallbacksOfReleasedRequests cancels a request whose callback runs after the request was released. The callback
// reads why it was called: package context panics if Err is nil then.
func TestCallbacksOfReleasedRequests(t *testing.T) {
	for _, cancelledFirst := range []bool{true, false} {
		r := &request.Request{}
		reused := make(chan struct{}, 1)
		r.Init(func() { reused <- struct{}{} })
		r.Accept(1)
		begun, released, err := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		callback := func() {
			close(begun)
			<-released
			err <- r.Err()
		}
		if cancelledFirst {
			r.Cancel(1)
			r.AfterFunc(callback)
		} else {
			r.AfterFunc(callback)
			go r.Cancel(1) // ends with the callback
		}
		<-begun
		r.Release()
		select {
		case <-reused:
			t.Error("a request is reused while its callback runs")
		default:
		}
		close(released)
		if got := <-err; got == nil {
			t.Errorf("the callback of a cancelled request reads no error (cancelled first: %v)", cancelledFirst)
		}
		<-reused
	}
}
