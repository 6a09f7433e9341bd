package worker

import (
	"context"
	"sync"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// hostCalls holds the host calls that wait for their reply. The host bounds their number. Safe for concurrent use.
type hostCalls struct {
	w *process

	mu      sync.Mutex // guards the fields below
	last    uint64
	waiting map[uint64]chan hostReply // by id; a channel holds one reply
}

// hostReply is the host's answer to a host call.
type hostReply struct {
	reply link.ServiceReply
	err   *object.Error
}

// call asks the host for an op and waits for its reply. put appends the payload of the op. The error is an
// [object.Error] of the host, or that of ctx if it is done first: then the host cancels the op.
func (h *hostCalls) call(ctx context.Context, ask link.Ask, put func(e *link.Encoder)) (link.ServiceReply, error) {
	answer := make(chan hostReply, 1)
	id := h.enter(answer)
	defer h.take(id)
	var e link.Encoder
	e.Begin(link.HostCall, id)
	e.PutAsk(ask)
	put(&e)
	h.w.send(&e)
	select {
	case r := <-answer:
		if r.err != nil {
			return link.ServiceReply{}, r.err
		}
		return r.reply, nil
	case <-ctx.Done():
		e.Begin(link.Cancel, id)
		h.w.post(e.Frame())
		return link.ServiceReply{}, ctx.Err()
	}
}

// enter puts a host call into the table and returns its id.
func (h *hostCalls) enter(answer chan hostReply) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting == nil {
		h.waiting = map[uint64]chan hostReply{}
	}
	h.last++
	h.waiting[h.last] = answer
	return h.last
}

// take removes a host call from the table and returns its channel, nil if it is not there.
func (h *hostCalls) take(id uint64) chan hostReply {
	h.mu.Lock()
	defer h.mu.Unlock()
	answer := h.waiting[id]
	delete(h.waiting, id)
	return answer
}

// reply gives the host's answer to the goroutine that waits for it. The reader calls it, so it does not wait.
func (h *hostCalls) reply(id uint64, d *link.Decoder) {
	r, err := d.ServiceReplyFields()
	if answer := h.take(id); answer != nil {
		answer <- hostReply{r, err}
	}
}

// inFlight returns the number of host calls that wait for their reply.
func (h *hostCalls) inFlight() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.waiting)
}

// send sends an op that has no reply. It may wait until the host reads.
func (h *hostCalls) send(ask link.Ask, put func(e *link.Encoder)) {
	e := notification(ask, put)
	h.w.send(&e)
}

// post is send for callers that must not wait.
func (h *hostCalls) post(ask link.Ask, put func(e *link.Encoder)) {
	e := notification(ask, put)
	h.w.post(e.Frame())
}

// notification returns the frame of an op that has no reply.
func notification(ask link.Ask, put func(e *link.Encoder)) (e link.Encoder) {
	e.Begin(link.HostCall, 0)
	e.PutAsk(ask)
	put(&e)
	return e
}

// requestOf returns the request of the job that ctx belongs to, 0 outside a job. The goroutine that runs the job
// calls it.
func requestOf(ctx context.Context) uint64 {
	if j, ok := ctx.Value(jobKey{}).(*job); ok {
		return j.id
	}
	return 0
}
