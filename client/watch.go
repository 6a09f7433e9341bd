package client

import (
	"context"
	"net"
	"sync"
	"time"
)

// watch ends the exchanges of a connection when a context ends. It stays registered between exchanges: a caller that
// passes the same context again pays for it once.
type watch struct {
	nc   net.Conn
	done <-chan struct{} // identifies the context

	mu     sync.Mutex  // guards the fields below
	stop   func() bool // removes the registration; nil after the end of the context, which is then not held
	active bool        // an exchange runs
	ended  bool        // the context has ended
}

// newWatch registers a watch for a context that can end.
func newWatch(ctx context.Context, nc net.Conn) *watch {
	w := &watch{nc: nc, done: ctx.Done()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stop = context.AfterFunc(ctx, func() { // runs in its goroutine
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ended, w.stop = true, nil
		if w.active {
			_ = w.nc.SetDeadline(time.Unix(1, 0))
		}
	})
	return w
}

// begin starts an exchange. If the context has ended, the exchange fails at once.
func (w *watch) begin() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.active = true
	if w.ended {
		_ = w.nc.SetDeadline(time.Unix(1, 0))
	}
}

// end ends an exchange. It returns false if the context has ended it: the connection is not usable any more.
func (w *watch) end() bool {
	if w == nil {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.active = false
	return !w.ended
}

// close removes the registration.
func (w *watch) close() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop != nil {
		w.stop()
	}
}

// arm starts one exchange: it sets the deadline of the connection, and lets the end of ctx end the exchange. The caller
// ends the exchange with disarm.
func (c *conn) arm(ctx context.Context) {
	deadline, ok := ctx.Deadline()
	if !ok && c.client.cfg.Timeout > 0 {
		deadline = time.Now().Add(c.client.cfg.Timeout)
	}
	if !deadline.Equal(c.deadline) {
		_ = c.nc.SetDeadline(deadline) // fails for a closed connection only; its next use returns the error
		c.deadline = deadline
	}
	if done := ctx.Done(); c.watch == nil || c.watch.done != done {
		c.watch.close()
		c.watch = nil
		if done != nil {
			c.watch = newWatch(ctx, c.nc)
		}
	}
	c.watch.begin()
}

// disarm ends an exchange. It returns false if the context has ended it.
func (c *conn) disarm() bool { return c.watch.end() }
