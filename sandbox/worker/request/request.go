// Package request holds the state of one request of the host in a worker: it waits, runs and is answered, or is
// withdrawn before it runs. It can be cancelled until it is answered.
//
// A [Request] is part of a larger value that is reused for later requests. The goroutine that reads the link keeps ids,
// and may name a request that has been answered meanwhile: the methods with an id ignore a Request that holds another
// one. A Request has the methods of a [context.Context] except Value, so that running a call allocates nothing.
package request

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/object"
)

// Request is the state of one request. Its owner calls Accept, Begin and Release; the other methods are safe for
// concurrent use.
type Request struct {
	reuse     func() // called when the Request can be accepted again
	cancelled atomic.Bool

	mu        sync.Mutex    // guards the fields below
	id        uint64        // only the owner changes it; 0: answered
	begun     time.Time     // zero: the request waits
	withdrawn bool          // the request has been answered and will not begin
	cause     *object.Error // see CancelWith
	done      chan struct{} // nil until Done is called
	onCancel  func()
	callbacks int  // functions of AfterFunc that run or are about to
	released  bool // reuse is called after the last callback
}

// Init sets the function that is called when the Request can be accepted again. It is called once.
func (r *Request) Init(reuse func()) { r.reuse = reuse }

// Accept makes the Request hold the request id.
func (r *Request) Accept(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.id = id
}

// ID returns the id of the request. The owner calls it.
func (r *Request) ID() uint64 { return r.id }

// Begin marks the request as running. It returns false if the request was withdrawn: the owner then releases it.
func (r *Request) Begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.withdrawn {
		return false
	}
	r.begun = time.Now()
	return true
}

// BegunAt returns the time at which request id began, zero if it has not or is answered.
func (r *Request) BegunAt(id uint64) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.id != id {
		return time.Time{}
	}
	return r.begun
}

// Withdraw withdraws request id if it has not begun. It reports whether it did.
func (r *Request) Withdraw(id uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.id != id || r.withdrawn || !r.begun.IsZero() {
		return false
	}
	r.withdrawn = true
	return true
}

// Withdrawn reports whether the request was withdrawn.
func (r *Request) Withdrawn() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.withdrawn
}

// callback calls a function of [Request.AfterFunc], which was counted in callbacks. Until it returns the Request keeps
// its state: the function reads Err.
func (r *Request) callback(f func()) {
	f()
	r.mu.Lock()
	r.callbacks--
	last := r.released && r.callbacks == 0
	r.mu.Unlock()
	if last {
		r.recycle()
	}
}

// Cancel cancels request id unless it is answered. The Request may hold another one by now.
func (r *Request) Cancel(id uint64) { r.cancel(id, nil) }

// CancelWith cancels the running request; cause is its reply. It returns the id of the request.
func (r *Request) CancelWith(cause *object.Error) uint64 {
	r.mu.Lock()
	id := r.id
	r.mu.Unlock()
	r.cancel(id, cause)
	return id
}

// Serves reports whether request id is not answered.
func (r *Request) Serves(id uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.id == id
}

// Cause returns the cause of CancelWith, nil if it was not called.
func (r *Request) Cause() *object.Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cause
}

func (r *Request) cancel(id uint64, cause *object.Error) {
	r.mu.Lock()
	if r.id != id || r.cancelled.Load() {
		r.mu.Unlock()
		return
	}
	r.cancelled.Store(true)
	r.cause = cause
	done, f := r.done, r.onCancel
	if f != nil {
		r.callbacks++
	}
	r.mu.Unlock()
	if done != nil {
		close(done)
	}
	if f != nil {
		r.callback(f)
	}
}

// Deadline is part of context.Context. A request has no deadline: the engine's limits end it.
func (r *Request) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done is part of context.Context.
func (r *Request) Done() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done == nil {
		r.done = make(chan struct{})
		if r.cancelled.Load() {
			close(r.done)
		}
	}
	return r.done
}

// Err is part of context.Context.
func (r *Request) Err() error {
	if r.cancelled.Load() {
		return context.Canceled
	}
	return nil
}

// AfterFunc lets the context package wait for a request without a goroutine. f runs when the request is cancelled.
func (r *Request) AfterFunc(f func()) func() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancelled.Load() {
		r.callbacks++
		go r.callback(f)
		return func() bool { return false }
	}
	prev := r.onCancel
	r.onCancel = func() {
		if prev != nil {
			prev()
		}
		f()
	}
	id := r.id
	return func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.id != id || r.cancelled.Load() {
			return false
		}
		r.onCancel = prev
		return true
	}
}

// Release ends a request that has been answered. The Request is reused when no callback needs it.
func (r *Request) Release() {
	r.mu.Lock()
	r.id, r.released = 0, true
	unused := r.callbacks == 0
	r.mu.Unlock()
	if unused {
		r.recycle()
	}
}

// recycle makes a released Request ready for the next request.
func (r *Request) recycle() {
	r.mu.Lock()
	r.cancelled.Store(false)
	r.done, r.onCancel, r.released = nil, nil, false
	r.begun, r.withdrawn, r.cause = time.Time{}, false, nil
	r.mu.Unlock()
	r.reuse()
}
