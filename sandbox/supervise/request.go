package supervise

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// request asks for a call or for a stream's next item.
func (p *process) request(ctx context.Context, typ link.Type, stream uint64, c *object.Call) (object.Reply, bool, error) {
	e := encoders.Get().(*link.Encoder)
	var large []byte // the payload, if it is
	if len(c.Payload) > link.Large {
		large = c.Payload
	}
	r, more, err := p.askBefore(ctx, c.ID, c.Deadline, c.Buffer, func(n uint64) []byte {
		e.Begin(typ, n)
		if typ == link.Next {
			e.Uint(stream)
		}
		e.PutCallHead(c)
		if large == nil {
			e.Raw(c.Payload)
		}
		return e.FrameBefore(len(large))
	}, large)
	if cap(e.B) <= 64<<10 {
		encoders.Put(e)
	}
	return r, more, err
}

// ask sends one request and waits for its reply, its deadline or ctx. The object's source is sent
// before its first request. frame makes the frame, given the request's id.
func (p *process) ask(ctx context.Context, id object.ID, deadline time.Time, frame func(uint64) []byte) (object.Reply, error) {
	r, _, err := p.askBefore(ctx, id, deadline, nil, frame, nil)
	return r, err
}

// errEnded says that a request came too late for this process. Nothing was executed, so
// the next one can have it.
var errEnded = object.Errorf(object.CodeUnavailable, "the tenant's worker has ended; not executed")

// askBefore is ask with memory for the reply's payload, and with a frame that ends before its
// last field, if large is not nil.
func (p *process) askBefore(ctx context.Context, id object.ID, deadline time.Time, buf []byte, frame func(uint64) []byte, large []byte) (object.Reply, bool, error) {
	w := pendings.Get().(*pending)
	w.buf, w.deadline = buf, deadline
	p.mu.Lock()
	if p.pending == nil || p.retired {
		p.mu.Unlock()
		w.buf = nil
		pendings.Put(w)
		return object.Reply{}, false, errEnded
	}
	p.last++
	n := p.last
	p.pending[n] = w
	alone := len(p.pending) == 1
	if !p.sweeping && !deadline.IsZero() {
		p.sweeping = true
		time.AfterFunc(sweepEvery, p.sweep)
	}
	if id != "" && p.loaded[id] == nil {
		p.load(id)
	}
	p.mu.Unlock()

	var err error
	if alone || large != nil {
		err = p.out.WriteBefore(frame(n), large)
	} else {
		err = p.out.Queue(frame(n))
	}
	if err != nil {
		return p.unsent(n, w, err)
	}
	if alone && p.look(w) {
		return w.take()
	}
	select {
	case <-w.answer:
	case <-ctx.Done():
		if p.forget(n) {
			p.giveUp(n)
			return object.Reply{}, false, object.Errorf(object.CodeOf(context.Cause(ctx)), "the call was cancelled; whether it was executed is unknown")
		}
		<-w.answer // the reader has it already and completes it
	}
	if alone && p.spinning.CompareAndSwap(false, true) {
		p.spin.Slept()
		p.spinning.Store(false)
	}
	return w.take()
}

// sweepEvery is how often overdue requests are looked for.
const sweepEvery = time.Second

// sweep gives up the requests whose deadline has passed. It runs while there are any
// that have one: a timer each would cost more than most calls do.
func (p *process) sweep() {
	var late []*pending
	var ids []uint64
	now := time.Now()
	p.mu.Lock()
	p.sweeping = false
	for n, w := range p.pending {
		switch {
		case w.deadline.IsZero():
		case now.After(w.deadline):
			delete(p.pending, n)
			late, ids = append(late, w), append(ids, n)
		case !p.sweeping:
			p.sweeping = true
			time.AfterFunc(sweepEvery, p.sweep)
		}
	}
	p.mu.Unlock()
	for i, w := range late {
		p.giveUp(ids[i])
		w.err = object.Errorf(object.CodeDeadline, "no answer within the deadline of the call; whether it was executed is unknown")
		w.answer <- struct{}{}
	}
}

// take returns what the request came to, and lets go of it.
func (w *pending) take() (object.Reply, bool, error) {
	r, more, err := w.reply, w.more, w.err
	w.buf, w.reply, w.err = nil, object.Reply{}, nil
	pendings.Put(w)
	return r, more, err
}

// look waits for the reply of the only request under way by looking for it, as long as
// that pays. It reports whether it came.
func (p *process) look(w *pending) bool {
	if !p.spinning.CompareAndSwap(false, true) {
		return false
	}
	defer p.spinning.Store(false)
	for p.spin.Start(); p.spin.More(); {
		p.in.Poll()
		select {
		case <-w.answer:
			p.spin.Found()
			return true
		default:
			runtime.Gosched()
		}
	}
	return false
}

// unsent ends a request whose frame could not be written.
func (p *process) unsent(n uint64, w *pending, err error) (object.Reply, bool, error) {
	if !p.forget(n) {
		<-w.answer
		return object.Reply{}, false, w.err
	}
	if errors.Is(err, link.ErrBacklog) {
		return object.Reply{}, false, object.Errorf(object.CodeExhausted,
			"limit exceeded: %d MiB that wait for the tenant's worker, which does not keep up; not executed, try again", link.MaxBacklogBytes>>20)
	}
	return object.Reply{}, false, &object.Error{Code: object.CodeUnavailable, Msg: "the tenant's worker has ended; not executed", Err: err}
}

// forget takes a request out of the table. It reports whether it was still there.
func (p *process) forget(n uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.pending[n]
	delete(p.pending, n)
	return ok
}

// giveUp tells the worker that nobody waits for a request any more.
func (p *process) giveUp(n uint64) {
	var e link.Encoder
	e.Begin(link.Cancel, n)
	_ = p.out.Write(e.Frame()) // a dead worker needs not to be told
}

// proxy runs a call that one of the tenant's objects makes, in its own goroutine, which
// ends with the call and at the latest with the process.
func (p *process) proxy(id uint64, d *link.Decoder) error {
	from, alone := object.ID(d.Text()), d.Bool()
	c := new(object.Call)
	d.CallFields(c)
	if d.Err != nil {
		return d.Err
	}
	if !p.knows(from) {
		return errors.New("link: the worker speaks for an object that it does not have")
	}
	select {
	case p.proxies <- struct{}{}:
	default:
		p.proxied(id, object.Reply{}, object.Errorf(object.CodeExhausted, "limit exceeded: %d calls to other objects; not executed", maxProxies))
		return nil
	}
	ctx, cancel := context.WithCancel(p.ctx)
	p.mu.Lock()
	p.asked[id] = cancel
	p.mu.Unlock()
	go func() {
		r, err := p.t.cfg.Proxy(ctx, from, alone, c)
		p.mu.Lock()
		delete(p.asked, id)
		p.mu.Unlock()
		cancel()
		p.proxied(id, r, err)
		<-p.proxies
	}()
	return nil
}

// proxied sends the answer to a script's call.
func (p *process) proxied(id uint64, r object.Reply, err error) {
	var failed *object.Error
	if err != nil && !errors.As(err, &failed) {
		failed = object.Errorf(object.CodeOf(err), "internal error")
	}
	var e link.Encoder
	e.Begin(link.ProxyReply, id)
	e.PutReply(r, true, failed)
	if errors.Is(p.out.WriteBefore(e.Frame()), link.ErrBacklog) {
		e.Begin(link.ProxyReply, id)
		e.PutReply(object.Reply{}, true, object.Errorf(object.CodeExhausted,
			"limit exceeded: %d MiB that wait for the tenant's worker, which does not keep up; the call was executed, its result is lost", link.MaxBacklogBytes>>20))
		_ = p.out.Write(e.Frame())
	}
}
