package supervise

import (
	"context"
	"slices"
	"time"

	"github.com/hearthhost/hearth/internal/tick"
	"github.com/hearthhost/hearth/sandbox/link"
)

// DefaultIdle is the time without calls after which a worker without state is stopped.
const DefaultIdle = 5 * time.Minute

// retireWhenIdle stops the worker when it has had no call for cfg.Idle and holds nothing: no instance with state, no
// stream, no call. It returns when the process ends.
func (p *process) retireWhenIdle() {
	idle := p.t.cfg.Idle
	seen := uint64(0)
	tick.Every(p.ctx, idle, func(time.Time) bool {
		last, pending := p.requests()
		if pending || last != seen {
			seen = last
			return true
		}
		if held, _ := p.queryHeld(); held == heldNothing && p.retire(seen+1) {
			p.t.cfg.Log.Info("worker stopped: no calls", "pid", p.PID(), "for", idle)
			return false
		}
		seen, _ = p.requests()
		return true
	})
}

// requests returns the number of the last request, and whether a request or a host call is open.
func (p *process) requests() (last uint64, pending bool) {
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
func (p *process) queryHeld() (byte, error) {
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

// retirePause is the interval at which Retire queries the worker.
const retirePause = 200 * time.Millisecond

// Retire waits until no call and no stream is open, or ctx is done. The host must send no new calls.
func (t *Tenant) Retire(ctx context.Context) {
	tick.Every(ctx, retirePause, func(time.Time) bool {
		t.mu.Lock()
		p := t.proc
		t.mu.Unlock()
		if p == nil {
			return false
		}
		if _, pending := p.requests(); pending {
			return true
		}
		held, err := p.queryHeld()
		return err != nil || held == heldCalls
	})
}

// retire rejects further requests and stops the worker. It returns false if a request came after last.
func (p *process) retire(last uint64) bool {
	p.t.mu.Lock()
	p.mu.Lock()
	ok := p.last == last && len(p.pending) == 0 && p.t.proc == p
	if ok {
		p.retired, p.t.proc = true, nil
		p.t.retiring = append(slices.DeleteFunc(p.t.retiring, (*process).ended), p)
	}
	p.mu.Unlock()
	p.t.mu.Unlock()
	if ok {
		p.send(link.Stop, 0)
	}
	return ok
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
