package supervise

import (
	"errors"
	"fmt"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// The worker ends its calls at their limits. It runs foreign code, so the host does not rely on that: it
// looks at the requests under way ten times a second, asks a worker that is slow which of them have
// begun, and ends a worker that does not answer or lets a call run past its limit.

const (
	sweepEvery = 100 * time.Millisecond
	// pingAfter is how long a request is under way before the worker is asked about it.
	pingAfter = 200 * time.Millisecond
	// Grace is how long after its limit a call may be answered, before the host does that and ends the worker.
	Grace = 500 * time.Millisecond
	// killAfter is how long after that the worker may still end the call, on a machine that is busy: with it would go
	// the state of all its objects.
	killAfter = time.Second
)

// overdueCall is a call that the host answered and the worker has not ended.
type overdueCall struct {
	answered time.Time
	id       object.ID
	wall     time.Duration
}

// pingTimeout is how long a worker may take to answer a ping. Its reader competes with its scripts for one
// processor, of which the policy may grant it a part.
func (t *Tenant) pingTimeout() time.Duration {
	const whole = 3 * time.Second
	if c := t.cfg.Confine.CPUs; c > 0 && c < 1 {
		return time.Duration(float64(whole) / max(c, 0.1))
	}
	return whole
}

// sweepLocked has sweep run soon, unless it will.
func (p *process) sweepLocked() {
	if !p.sweeping {
		p.sweeping = true
		p.afterFunc(sweepEvery, func() { p.sweep(time.Now()) })
	}
}

// sweep looks at the requests under way. It runs while there are any, or a ping is not answered.
func (p *process) sweep(now time.Time) {
	var late []*pending
	var kill error
	p.mu.Lock()
	p.sweeping = false
	ask := false
	for n, w := range p.pending {
		switch {
		case w.call == nil && !w.deadline.IsZero() && now.After(w.deadline):
			p.dropLocked(n)
			w.err = errNoAnswer
			late = append(late, w)
			p.post(link.Cancel, n)
		case w.call != nil && p.overdueLocked(w, now):
			p.dropLocked(n)
			w.err = object.Errorf(object.CodeDeadline,
				"limit exceeded: %s of wall time; the worker did not end the call; whether it was executed is unknown", w.wall)
			late = append(late, w)
			if w.begun.IsZero() && w.withdrawn.IsZero() {
				p.unresponsive = true
			} else {
				p.overdue[n] = overdueCall{now, w.call.ID, w.wall}
				p.post(link.Cancel, n)
			}
		case w.call != nil && w.begun.IsZero() && w.withdrawn.IsZero() && !w.deadline.IsZero() && now.After(w.deadline):
			p.withdrawLocked(n, w, now, object.Errorf(object.CodeDeadline, "limit exceeded: the call waited for %s and did not begin in time; not executed", w.call.ID))
			ask = true
		default:
			ask = ask || now.Sub(w.sent) > pingAfter
		}
	}
	for _, l := range p.overdue {
		if now.Sub(l.answered) > killAfter {
			kill = fmt.Errorf("a call of %s was not ended %s after its limit of %s", l.id, Grace+killAfter, l.wall)
		}
	}
	switch {
	case p.pending == nil:
	case p.pinged.IsZero() && ask:
		p.pinged = now
		p.pings++
		p.post(link.Ping, p.pings)
	case !p.pinged.IsZero() && now.Sub(p.pinged) > p.t.pingTimeout():
		kill = fmt.Errorf("the worker did not answer the host for %s", p.t.pingTimeout())
	}
	if len(p.pending) > 0 || (!p.pinged.IsZero() || len(p.overdue) > 0) && p.pending != nil {
		p.sweepLocked()
	}
	p.mu.Unlock()
	if kill != nil { // first, so that the next call finds another worker
		p.kill(kill)
	}
	for _, w := range late {
		w.answer <- struct{}{}
	}
}

var errNoAnswer = object.Errorf(object.CodeDeadline, "no answer within the deadline; whether it was executed is unknown")

// overdueLocked reports whether a call is past its limit. A call whose beginning is not known is counted from when
// the worker last reported that it had not begun: what it waits for others of its object is not its own time.
func (p *process) overdueLocked(w *pending, now time.Time) bool {
	switch {
	case !w.begun.IsZero():
		return now.After(w.begun.Add(w.wall + Grace))
	case !w.withdrawn.IsZero() && now.After(w.withdrawn.Add(p.t.pingTimeout())):
		return true // it neither began nor was given back
	}
	// A host that was stopped itself has not asked meanwhile.
	silent := !p.pinged.IsZero() && now.After(p.pinged.Add(Grace-2*sweepEvery))
	return silent && now.After(w.sent.Add(w.wall+Grace))
}

// pong takes the worker's answer to a ping: which requests run.
func (p *process) pong(id uint64, d *link.Decoder) error {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if id != p.pings || p.pinged.IsZero() {
		return errors.New("link: the worker answers a ping that was not sent")
	}
	running := map[uint64]bool{}
	d.RunningFields(func(r link.Running) {
		running[r.ID] = true
		// The first report counts: a worker that was taken over cannot move it.
		if w := p.pending[r.ID]; w != nil && w.begun.IsZero() {
			if w.begun = now.Add(-r.For); w.begun.Before(w.sent) {
				w.begun = w.sent
			}
		}
	})
	for n, w := range p.pending {
		if !running[n] && w.sent.Before(p.pinged) {
			w.sent = p.pinged // it had not begun by then
		}
	}
	p.pinged, p.unresponsive = time.Time{}, false
	return d.Err
}

// withdrawLocked asks the worker not to begin a call any more; why is the call's answer then.
func (p *process) withdrawLocked(n uint64, w *pending, now time.Time, why error) {
	w.withdrawn, w.withdrawErr = now, why
	p.post(link.Withdraw, n)
}

// Withdraw looks at the calls that have not begun, as far as the host knows, and withdraws those for which refuse
// returns an error, which is their answer then. A call that has begun meanwhile runs on.
func (t *Tenant) Withdraw(refuse func(c *object.Call) error) {
	t.withProcess(func(p *process) {
		now := time.Now()
		for n, w := range p.pending {
			if w.call == nil || !w.begun.IsZero() || !w.withdrawn.IsZero() {
				continue
			}
			if err := refuse(w.call); err != nil {
				p.withdrawLocked(n, w, now, err)
			}
		}
	})
}

// withdrawn completes a call that was withdrawn.
func (p *process) withdrawn(n uint64) error {
	p.mu.Lock()
	w := p.pending[n]
	asked := w != nil && !w.withdrawn.IsZero()
	if asked {
		p.dropLocked(n)
	}
	p.mu.Unlock()
	switch {
	case w == nil: // it was given up meanwhile
		return nil
	case !asked:
		return errors.New("link: the worker gives back a call that was not withdrawn")
	}
	w.finish(w.withdrawErr)
	return nil
}

// post sends a frame that holds its id alone and has no answer of its own. It never waits.
func (p *process) post(typ link.Type, id uint64) {
	var e link.Encoder
	e.Begin(typ, id)
	p.postFrame(e.Frame())
}

// postFrame sends a frame without waiting. A worker that has not read for so long that too much waits is ended; one
// that is gone needs no frame.
func (p *process) postFrame(frame []byte) {
	if err := p.out.Post(frame); errors.Is(err, link.ErrStalled) {
		go p.kill(err) // the reader may be calling, and closing the socket waits for it
	}
}
