package process

import (
	"context"
	"time"

	"github.com/hearthhost/hearth/internal/tick"
	"github.com/hearthhost/hearth/sandbox/link"
)

// DefaultIdle is the time without calls after which a worker without state is stopped.
const DefaultIdle = 5 * time.Minute

// retireWhenIdle stops the worker when it has had no call for cfg.Idle and holds nothing: no instance with state, no
// stream, no call. It returns when the process ends.
func (p *Process) retireWhenIdle() {
	idle := p.cfg.Idle
	seen := uint64(0)
	tick.Every(p.ctx, idle, func(time.Time) bool {
		last, pending := p.requests()
		if pending || last != seen {
			seen = last
			return true
		}
		if held, _ := p.queryHeld(); held == heldNothing && p.retire(seen+1) {
			p.cfg.Log.Info("worker stopped: no calls", "pid", p.PID(), "for", idle)
			return false
		}
		seen, _ = p.requests()
		return true
	})
}

// requests returns the number of the last request, and whether a request or a host call is open.
func (p *Process) requests() (last uint64, pending bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last, len(p.pending)+p.hostCalls.InFlight() > 0
}

// Answers of a worker to [link.Idle].
const (
	heldCalls     = 0 // calls or streams
	heldInstances = 1 // instances with state
	heldNothing   = 2
)

// queryHeld sends [link.Idle] and returns the answer, heldCalls on an error.
func (p *Process) queryHeld() (byte, error) {
	var e link.Encoder
	r, err := p.query(context.Background(), "", time.Now().Add(10*time.Second), func(n uint64) []byte {
		e.Begin(link.Idle, n)
		return e.Frame()
	})
	if err != nil || len(r.Payload) != 1 {
		return heldCalls, err
	}
	return r.Payload[0], nil
}

// Busy reports whether a call or a stream is open. It waits for the worker's answer.
func (p *Process) Busy() bool {
	if _, pending := p.requests(); pending {
		return true
	}
	held, err := p.queryHeld()
	return err != nil || held == heldCalls
}

// retire rejects further requests and stops the worker. It returns false if a request came after last.
func (p *Process) retire(last uint64) bool {
	ok := p.owner.Retire(p, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.retired = p.last == last && len(p.pending) == 0
		return p.retired
	})
	if ok {
		p.Stop()
	}
	return ok
}
