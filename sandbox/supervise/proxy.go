package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// Budget is an account of bytes in flight, for example of a tenant. Acquire fails if there is no room; what it
// granted is given back by Release. Both are safe for concurrent use and do not wait.
type Budget interface {
	Acquire(n int) error
	Release(n int)
}

// noBudget grants everything.
type noBudget struct{}

func (noBudget) Acquire(int) error { return nil }
func (noBudget) Release(int)       {}

// proxy runs a call that one of the tenant's objects makes, in its own goroutine, which
// ends with the call and at the latest with the process. The reader calls it, so it does not wait.
func (p *process) proxy(id uint64, d *link.Decoder, body []byte) error {
	n := len(body)
	full := p.t.cfg.Budget.Acquire(n)
	if full == nil && n <= link.Large { // what is larger is ours
		d.B = bytes.Clone(body)
	}
	from, alone := object.ID(d.Text()), d.Bool()
	c := new(object.Call)
	d.CallFields(c)
	switch {
	case d.Err != nil:
	case !p.knows(from):
		d.Err = errors.New("link: the worker speaks for an object that it does not have")
	case full != nil:
		p.postReply(id, object.Reply{}, object.Errorf(object.CodeExhausted, "limit exceeded: %v; not executed", full))
		return nil
	default:
		select {
		case p.proxies <- struct{}{}:
			p.runProxy(id, from, alone, c, n)
			return nil
		default:
			p.postReply(id, object.Reply{}, object.Errorf(object.CodeExhausted, "limit exceeded: %d calls to other objects; not executed", maxProxies))
		}
	}
	if full == nil {
		p.t.cfg.Budget.Release(n)
	}
	return d.Err
}

// runProxy runs a call for which there is a slot and room for its n bytes.
func (p *process) runProxy(id uint64, from object.ID, alone bool, c *object.Call, n int) {
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
		p.t.cfg.Budget.Release(n)
		<-p.proxies
	}()
}

// proxied sends the answer to a script's call, and may wait until the worker reads.
func (p *process) proxied(id uint64, r object.Reply, err error) {
	if err != nil { // small, and true only as it is
		p.postReply(id, r, asError(err))
		return
	}
	size := len(r.Payload)
	full := p.t.cfg.Budget.Acquire(size)
	if full == nil {
		defer p.t.cfg.Budget.Release(size)
		var e link.Encoder
		e.Begin(link.ProxyReply, id)
		e.PutReply(object.Reply{Exception: r.Exception, Stream: r.Stream, Steps: r.Steps}, true, nil)
		if _, err := p.out.WriteBefore(e.FrameBefore(size), r.Payload); !errors.Is(err, link.ErrBacklog) {
			return
		}
		full = fmt.Errorf("%d MiB that wait for the tenant's worker, which does not keep up", link.MaxBacklogBytes>>20)
	}
	p.postReply(id, object.Reply{}, object.Errorf(object.CodeExhausted, "limit exceeded: %v; the call was executed, its result is lost", full))
}

// postReply sends the answer to a script's call without waiting.
func (p *process) postReply(id uint64, r object.Reply, err *object.Error) {
	var e link.Encoder
	e.Begin(link.ProxyReply, id)
	e.PutReply(r, true, err)
	p.postFrame(e.Frame())
}

// asError makes any error one that may cross the link.
func asError(err error) *object.Error {
	var failed *object.Error
	if errors.As(err, &failed) {
		return failed
	}
	return object.Errorf(object.CodeOf(err), "internal error")
}
