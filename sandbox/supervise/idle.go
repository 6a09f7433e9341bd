package supervise

import (
	"context"
	"slices"
	"time"

	"github.com/hearthhost/hearth/sandbox/link"
)

// DefaultIdle is how long a worker that nobody calls lives on.
const DefaultIdle = 5 * time.Minute

// retireWhenIdle stops the worker once nobody has called it for long and it holds nothing:
// no instance that remembers, no stream, no call. It ends with the process.
func (p *process) retireWhenIdle() {
	idle := p.t.cfg.Idle
	tick := time.NewTicker(idle)
	defer tick.Stop()
	seen := uint64(0)
	for {
		select {
		case <-p.done:
			return
		case <-tick.C:
		}
		last, pending := p.requests()
		if pending || last != seen {
			seen = last
			continue
		}
		if held, _ := p.queryHeld(); held == heldNothing && p.retire(seen+1) {
			p.t.cfg.Log.Info("worker stopped: nobody called it", "pid", p.PID(), "for", idle)
			return
		}
		seen, _ = p.requests()
	}
}

// requests returns the number of the last request, and whether any is under way.
func (p *process) requests() (last uint64, pending bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last, len(p.pending)+len(p.hostCalls) > 0
}

// What a worker may hold, from the most to the least; its answer to [link.Idle].
const (
	heldCalls     = 0 // calls or streams
	heldInstances = 1 // instances that remember
	heldNothing   = 2
)

// queryHeld asks the worker.
func (p *process) queryHeld() (byte, error) {
	var e link.Encoder
	r, err := p.ask(context.Background(), "", time.Now().Add(10*time.Second), func(n uint64) []byte {
		e.Begin(link.Idle, n)
		return e.Frame()
	})
	if err != nil || len(r.Payload) != 1 {
		return heldCalls, err
	}
	return r.Payload[0], nil
}

// retirePause is how often a worker that leaves is asked whether it is done.
const retirePause = 200 * time.Millisecond

// Retire waits until no call is under way and no stream open, or ctx is done. Nobody is to
// ask for anything new.
func (t *Tenant) Retire(ctx context.Context) {
	tick := time.NewTicker(retirePause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		t.mu.Lock()
		p := t.proc
		t.mu.Unlock()
		if p == nil {
			return
		}
		if _, pending := p.requests(); pending {
			continue
		}
		if held, err := p.queryHeld(); err == nil && held != heldCalls {
			return
		}
	}
}

// retire lets no more requests in and ends the worker, unless one came after last.
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
