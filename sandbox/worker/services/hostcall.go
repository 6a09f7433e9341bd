package services

import (
	"context"
	"sync"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// hostCalls holds the host calls that wait for their reply. The host bounds their number. Safe for concurrent use.
//
// A service requests an op in three steps: begin, put the fields of the op into the frame, wait.
type hostCalls struct {
	link Link

	mu      sync.Mutex // guards the fields below
	last    uint64
	waiting map[uint64]*hostCall // by id
	idle    []*hostCall          // for reuse, at most maxIdleHostCalls
}

const (
	maxIdleHostCalls  = 16
	maxIdleFrameBytes = 64 << 10 // capacity of a frame that is kept for reuse
)

// hostCall is an op that was requested of the host. It belongs to the goroutine that called begin, until wait returns.
type hostCall struct {
	id    uint64
	frame link.Encoder

	answered chan struct{} // holds one token when the fields below are set
	reply    link.ServiceReply
	err      *object.Error
}

// begin returns a host call whose frame lacks the fields of the op.
func (h *hostCalls) begin(head link.HostCallHead) *hostCall {
	h.mu.Lock()
	defer h.mu.Unlock()
	var c *hostCall
	if last := len(h.idle) - 1; last >= 0 {
		c = h.idle[last]
		h.idle = h.idle[:last]
	} else {
		c = &hostCall{answered: make(chan struct{}, 1)}
	}
	if h.waiting == nil {
		h.waiting = map[uint64]*hostCall{}
	}
	h.last++
	c.id = h.last
	h.waiting[c.id] = c
	c.frame.Begin(link.HostCall, c.id)
	c.frame.PutHostCall(head)
	return c
}

// wait sends a host call and waits for its reply. The error is an [object.Error] of the host, or that of ctx if it is
// done first: then the host cancels the op.
func (h *hostCalls) wait(ctx context.Context, c *hostCall) (link.ServiceReply, error) {
	defer h.release(c)
	h.link.SendAndWait(&c.frame)
	select {
	case <-c.answered:
	case <-ctx.Done():
		if h.take(c.id) != nil {
			c.frame.Begin(link.Cancel, c.id)
			h.link.Post(c.frame.Frame())
			return link.ServiceReply{}, ctx.Err()
		}
		<-c.answered // the goroutine that reads the link has it already and completes it
	}
	if c.err != nil {
		return link.ServiceReply{}, c.err
	}
	return c.reply, nil
}

// release keeps a host call that is in no table for reuse.
func (h *hostCalls) release(c *hostCall) {
	if cap(c.frame.B) > maxIdleFrameBytes {
		return
	}
	*c = hostCall{frame: c.frame, answered: c.answered}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.idle) < maxIdleHostCalls {
		h.idle = append(h.idle, c)
	}
}

// take removes a host call from the table and returns it, nil if it is not there.
func (h *hostCalls) take(id uint64) *hostCall {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.waiting[id]
	delete(h.waiting, id)
	return c
}

// complete gives the host's answer to the goroutine that waits for it. The goroutine that reads the link calls it, so
// it does not wait. A reply to a host call that was given up is dropped.
func (h *hostCalls) complete(id uint64, d *link.Decoder) {
	reply, err := d.ServiceReplyFields()
	if c := h.take(id); c != nil {
		c.reply, c.err = reply, err
		c.answered <- struct{}{}
	}
}

// inFlight returns the number of host calls that wait for their reply.
func (h *hostCalls) inFlight() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.waiting)
}

// send sends an op that has no reply. It may wait until the host reads.
func (h *hostCalls) send(head link.HostCallHead, put func(e *link.Encoder)) {
	e := notification(head, put)
	h.link.Send(&e)
}

// post is send for callers that must not wait.
func (h *hostCalls) post(head link.HostCallHead, put func(e *link.Encoder)) {
	e := notification(head, put)
	h.link.Post(e.Frame())
}

// notification returns the frame of an op that has no reply.
func notification(head link.HostCallHead, put func(e *link.Encoder)) (e link.Encoder) {
	e.Begin(link.HostCall, 0)
	e.PutHostCall(head)
	put(&e)
	return e
}

// RequestKey is the key of a running request's id, a uint64, in its context.
type RequestKey struct{}

// requestOf returns the request to which ctx belongs, 0 outside a request. The goroutine that runs the request calls
// it.
func requestOf(ctx context.Context) uint64 {
	id, _ := ctx.Value(RequestKey{}).(uint64)
	return id
}
