package process

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/internal/schedstat"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// The worker ends its calls at their limits. It runs foreign code, so the host does not rely on that: it checks the
// open requests ten times per second, pings a slow worker to learn which calls have begun, and ends a worker that
// does not answer or does not end a call.

const (
	sweepEvery = 100 * time.Millisecond
	// pingAfter is the age of a request at which the worker is pinged.
	pingAfter = 200 * time.Millisecond
	// Grace is the time after its limit at which the host answers a call that the worker has not answered.
	Grace = 500 * time.Millisecond
	// killAfter is the time after that at which the host ends the worker, if it has not ended the call. It is long,
	// since ending a worker loses the state of all its objects.
	killAfter = 3 * time.Second
	// wholePing is the time in which a worker must answer a ping.
	wholePing = 3 * time.Second
	// maxStarved bounds the further time that a starved worker gets.
	maxStarved = 30 * time.Second
)

// A machine may be so busy that a worker gets almost no processor time, or that the host gets almost none. Ending the
// worker then would lose the state of its objects without a fault of it, and starting another one would take even more
// time. So a worker gets more time while it waits for a processor, while bytes move on its link, and while the host is
// late, see ignoresLocked. A large message takes tens of turns of both processes, which is seconds on a busy machine,
// and a ping waits behind it.

// silence is the state of a worker for whose answer the host waits.
type silence struct {
	begun time.Time // the host waits since then
	since time.Time // no byte has moved since then
	moved uint64    // see moved
	front uint64    // position of the question in the stream to the worker
	ping  bool      // the question is a ping
	times schedstat.Times
	known bool            // the kernel reports the times
	used  schedstat.Times // processor times in the silence, at the last check
}

// silentLocked returns the state of the worker. The host posts a question next.
func (p *Process) silentLocked(now time.Time, ping bool, times reading) silence {
	s := silence{begun: now, since: now, front: p.out.Accepted(), ping: ping, times: times.Times, known: times.known}
	s.moved = p.moved(&s)
	return s
}

// reading is the processor times of a worker at one time.
type reading struct {
	schedstat.Times
	known bool
}

// moved returns the number of bytes that have moved on the link: to the worker in front of the question, and from
// it. A worker answers pings while it does not end a call, so its bytes count for a ping only.
func (p *Process) moved(s *silence) uint64 {
	n := min(p.out.Sent(), s.front)
	if s.ping {
		n += p.in.Received()
	}
	return n
}

// ignoresLocked reports whether the worker has been silent for longer than limit, although it could have answered: no
// byte has moved, the host is not late, and the worker has run for half of the limit, or did not wait for a processor
// for half of the time. times returns the processor times of the worker now.
func (p *Process) ignoresLocked(s *silence, now time.Time, limit time.Duration, times func() reading) bool {
	if now.Sub(s.begun) > limit+maxStarved {
		return true
	}
	if m := p.moved(s); m != s.moved {
		s.moved = m
		s.restart(now, times())
	}
	silent := now.Sub(s.since)
	if silent <= limit {
		return false
	}
	if p.late() {
		s.restart(now, times())
		return false
	}
	s.use(times())
	return !s.known || s.used.Ran > min(limit, wholePing)/2 || s.used.Waited < silent/2
}

// use sets the times that the worker has used since the silence began.
func (s *silence) use(now reading) { s.used, s.known = now.Sub(s.times), s.known && now.known }

// restart begins a silence again, with the same bound on the whole time.
func (s *silence) restart(now time.Time, times reading) {
	s.since, s.times, s.known = now, times.Times, times.known
}

// delay adds a time in which the host itself did not run.
func (s *silence) delay(d time.Duration) { s.begun, s.since = s.begun.Add(d), s.since.Add(d) }

// String returns the times of the worker in the silence.
func (s silence) String() string {
	if !s.known {
		return "the kernel does not report its processor times"
	}
	return fmt.Sprintf("it ran for %s and waited %s for a processor",
		s.used.Ran.Round(time.Millisecond), s.used.Waited.Round(time.Millisecond))
}

// late reports whether the host has not read bytes of the worker that have come, or has not written frames for which
// the socket has room.
func (p *Process) late() (late bool) {
	raw, err := p.conn.SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}} //nolint:gosec // a descriptor is small
		if p.out.Waiting() {
			poll[0].Events |= unix.POLLOUT
		}
		_, err := unix.Poll(poll, 0)
		late = err == nil && poll[0].Revents&poll[0].Events != 0
	})
	return late
}

// overdueCall is a call that the host has answered and the worker has not ended.
type overdueCall struct {
	answered *silence // since the host has answered
	id       object.ID
	wall     time.Duration
}

// pingTimeout bounds how long a worker that is not starved may take to answer a ping. Its reader and its
// scripts share one processor, or the part of it that the policy grants.
func (p *Process) pingTimeout() time.Duration {
	if c := p.cfg.Confine.CPUs; c > 0 && c < 1 {
		return time.Duration(float64(wholePing) / max(c, 0.1))
	}
	return wholePing
}

// sweepLocked schedules sweep, if it is not scheduled.
func (p *Process) sweepLocked() {
	if !p.sweeping {
		p.sweeping = true
		due := time.Now().Add(sweepEvery)
		p.afterFunc(sweepEvery, func() { p.sweepDue(due, time.Now()) })
	}
}

// hostStopped is the delay of a sweep from which the host, and maybe the whole machine, did not run.
const hostStopped = time.Second

// sweepDue is sweep at a time that may be later than the scheduled one. A worker is not silent while the host, which
// would hear it, does not run.
func (p *Process) sweepDue(due, now time.Time) {
	if late := now.Sub(due); late > hostStopped {
		p.mu.Lock()
		if !p.pinged.IsZero() {
			p.pinged = p.pinged.Add(late)
			p.unanswered.delay(late)
		}
		for _, l := range p.overdue {
			l.answered.delay(late)
		}
		p.mu.Unlock()
	}
	p.sweep(now)
}

// sweep checks the open requests. It runs every sweepEvery while there are any, or a ping is not answered.
func (p *Process) sweep(now time.Time) {
	var late []*pending
	var kill error
	p.mu.Lock()
	p.sweeping = false
	// Reading the times takes longer than the rest, and calls wait for mu: a sweep reads them at most once.
	times := sync.OnceValue(func() reading {
		t, known := p.system.Times()
		return reading{t, known}
	})
	ping := false
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
				"limit exceeded: %s of wall time; the worker did not end the call; "+
					"whether it was executed is unknown", w.wall)
			late = append(late, w)
			if w.begun.IsZero() && w.withdrawn.IsZero() {
				if !p.unresponsive {
					p.unresponsive = true
					p.unanswered.use(times())
					p.cfg.Log.Warn("worker does not answer the host: new calls are refused until it does",
						"silent", now.Sub(p.unanswered.begun), "why", p.unanswered.String())
				}
			} else {
				s := p.silentLocked(now, false, times())
				p.overdue[n] = overdueCall{&s, w.call.ID, w.wall}
				p.post(link.Cancel, n)
			}
		case w.call != nil && w.begun.IsZero() && w.withdrawn.IsZero() && !w.deadline.IsZero() && now.After(w.deadline):
			p.withdrawLocked(n, w, now, object.Errorf(object.CodeDeadline,
				"limit exceeded: the call waited for %s and did not begin in time; not executed", w.call.ID))
			ping = true
		default:
			ping = ping || now.Sub(w.sent) > pingAfter
		}
	}
	for _, l := range p.overdue {
		if p.ignoresLocked(l.answered, now, killAfter, times) {
			kill = fmt.Errorf("a call of %s was not ended %s after its limit of %s; %s",
				l.id, Grace+killAfter, l.wall, l.answered)
		}
	}
	switch {
	case p.pending == nil:
	case p.pinged.IsZero() && ping:
		p.pinged, p.unanswered = now, p.silentLocked(now, true, times())
		p.pings++
		p.post(link.Ping, p.pings)
	case !p.pinged.IsZero() && p.ignoresLocked(&p.unanswered, now, p.pingTimeout(), times):
		kill = fmt.Errorf("the worker did not answer the host for %s; %s", p.pingTimeout(), p.unanswered)
	}
	if len(p.pending) > 0 || (!p.pinged.IsZero() || len(p.overdue) > 0) && p.pending != nil {
		p.sweepLocked()
	}
	p.mu.Unlock()
	if kill != nil { // before the answers, so that the callers' next calls find another worker
		p.Kill(kill)
	}
	for _, w := range late {
		p.finish(w, w.err)
	}
}

var errNoAnswer = object.Errorf(object.CodeDeadline,
	"no answer within the deadline; whether it was executed is unknown")

// overdueLocked reports whether a call has exceeded its limit. Time in the queue of its object does not count:
// without a report of its beginning, the time counts from the last report that it had not begun.
func (p *Process) overdueLocked(w *pending, now time.Time) bool {
	switch {
	case !w.begun.IsZero():
		return now.After(w.begun.Add(w.wall + Grace))
	case !w.withdrawn.IsZero() && now.After(w.withdrawn.Add(p.pingTimeout())):
		return true // the worker neither began it nor answered the withdrawal
	}
	// If the host itself was stopped, it has not pinged: the worker is not silent then.
	silent := !p.pinged.IsZero() && now.After(p.pinged.Add(Grace-2*sweepEvery))
	return silent && now.After(w.sent.Add(w.wall+Grace))
}

// pong handles the answer to a ping: the running requests.
func (p *Process) pong(id uint64, d *link.Decoder) error {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if id != p.pings || p.pinged.IsZero() {
		return errors.New("link: the worker answers a ping that was not sent")
	}
	running := map[uint64]bool{}
	d.RunningFields(func(r link.Running) {
		running[r.ID] = true
		// The first report counts: a hostile worker cannot move the beginning.
		if w := p.pending[r.ID]; w != nil && w.begun.IsZero() {
			if w.begun = now.Add(-r.For); w.begun.Before(w.sent) {
				w.begun = w.sent
			}
		}
	})
	for n, w := range p.pending {
		if !running[n] && w.sent.Before(p.pinged) {
			w.sent = p.pinged // it had not begun at that time
		}
	}
	p.pinged, p.unresponsive = time.Time{}, false
	return d.Err
}

// withdrawLocked withdraws a call: if the worker has not begun it, its answer is why.
func (p *Process) withdrawLocked(n uint64, w *pending, now time.Time, why error) {
	w.withdrawn, w.withdrawErr = now, why
	p.post(link.Withdraw, n)
}

// Withdraw withdraws the calls that have not begun, as far as the worker has reported, and for which refuse returns
// an error. That error is their answer. A call that has begun meanwhile continues.
func (p *Process) Withdraw(refuse func(c *object.Call) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for n, w := range p.pending {
		if w.call == nil || !w.begun.IsZero() || !w.withdrawn.IsZero() {
			continue
		}
		if err := refuse(w.call); err != nil {
			p.withdrawLocked(n, w, now, err)
		}
	}
}

// withdrawn completes a withdrawn call that the worker has not begun.
func (p *Process) withdrawn(n uint64) error {
	p.mu.Lock()
	w := p.pending[n]
	requested := w != nil && !w.withdrawn.IsZero()
	if requested {
		p.dropLocked(n)
	}
	p.mu.Unlock()
	switch {
	case w == nil: // the host gave it up meanwhile
		return nil
	case !requested:
		return errors.New("link: the worker gives back a call that was not withdrawn")
	}
	p.finish(w, w.withdrawErr)
	return nil
}

// post sends a frame without a body and without an answer. It does not wait.
func (p *Process) post(typ link.Type, id uint64) {
	var e link.Encoder
	e.Begin(typ, id)
	p.postFrame(e.Frame())
}

// postFrame sends a frame without waiting. It ends a worker for which too many bytes wait. Other errors mean that the
// worker has ended.
func (p *Process) postFrame(frame []byte) {
	if err := p.out.Post(frame); errors.Is(err, link.ErrStalled) {
		go p.Kill(err) // in a goroutine: kill waits for the reader, which may be the caller
	}
}
