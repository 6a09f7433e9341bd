package sandbox

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/hearthhost/hearth/object"
)

// checkEvery is how many steps pass between two looks at the caller's context, which
// takes a lock.
const checkEvery = 256

// meter is the context of a Lua state. The VM asks Done before every instruction, which
// makes it an exact instruction counter. Once a limit is spent every further instruction
// fails too, so no pcall, error handler or coroutine can outlive it. Coroutines share
// the meter of their state.
//
// It measures steps and wall time; it cannot interrupt a built-in function, which
// therefore charges for its work beforehand.
type meter struct {
	left   int64 // steps left
	next   int64 // look closer when left falls below
	steps  int64 // steps granted
	wall   time.Duration
	alarm  *alarm          // rings when the wall time is spent
	caller context.Context // of the running call
	why    *object.Error   // the limit that was spent; set once
	total  int64           // steps of all budgets that have ended, since spent was asked last
	open   bool            // a budget that the next begin goes on with
	lapped int64           // steps that were left when lap was called last
	fence  *fence

	looks int       // of this run
	since time.Time // of the first look at the clock
	long  func()    // told when a run takes long; nil: it was, or nobody wants to hear
	tell  func()    // what long is at the beginning of each run
}

// How often the clock is looked at, in looks, and when a run is long. The alarm alone would
// do, but that it needs somebody to ring it, and the script may have the only processor.
const (
	lookAtClock = 16
	longRun     = 5 * time.Millisecond
)

// alarm rings once. It serves call after call until it does.
type alarm struct {
	timer *time.Timer
	rung  atomic.Bool
	wake  atomic.Pointer[context.CancelFunc] // of the call on another object that is waited for
}

func (a *alarm) ring() {
	a.rung.Store(true)
	if wake := a.wake.Load(); wake != nil {
		(*wake)()
	}
}

// closed is what Done returns when a limit is spent.
var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// begin grants a new budget, until end, or goes on with one that was left open: what is
// done for a call before and after its method is the call's own.
func (m *meter) begin(ctx context.Context, steps int64, wall time.Duration) {
	if m.open {
		more := steps - m.steps
		m.open, m.caller, m.steps = false, ctx, steps
		m.left, m.lapped, m.fence.at = m.left+more, m.lapped+more, m.fence.at+more
		m.next = max(m.left-checkEvery, 0)
		if m.alarm.rung.Load() { // in the pause: nobody ran
			m.looks, m.since = 0, time.Time{}
			m.arm()
		}
		return
	}
	m.steps, m.left, m.lapped, m.wall, m.caller = steps, steps, steps, wall, ctx
	m.next = max(steps-checkEvery, 0)
	m.looks, m.since, m.long = 0, time.Time{}, m.tell
	m.fence.begin(steps)
	if m.alarm != nil {
		m.alarm.timer.Reset(wall)
		return
	}
	m.arm()
}

// arm sets a new alarm.
func (m *meter) arm() {
	m.alarm = new(alarm)
	m.alarm.timer = time.AfterFunc(m.wall, m.alarm.ring)
}

// pause is what comes before end for a budget that the next begin goes on with: that end,
// and only that, leaves it open.
func (m *meter) pause() { m.open, m.caller = true, nil }

// end stops the clock, unless there is a pause.
func (m *meter) end() {
	if !m.open {
		m.close()
	}
}

// close ends a budget that was left open, too.
func (m *meter) close() {
	m.open, m.caller = false, nil
	m.total += m.used()
	if !m.alarm.timer.Stop() {
		m.alarm = nil // it rings, or will: not in the next call
	}
}

func (m *meter) used() int64 { return m.steps - m.left }

// lap returns the steps since it was called last, of this budget.
func (m *meter) lap() int64 {
	n := m.lapped - m.left
	m.lapped = m.left
	return n
}

// Done counts one step.
func (m *meter) Done() <-chan struct{} {
	m.left--
	if m.left >= m.next && !m.alarm.rung.Load() {
		return nil
	}
	return m.look()
}

// look is the rare part of Done.
func (m *meter) look() <-chan struct{} {
	if m.why == nil {
		m.why = m.spent()
	}
	if m.why != nil {
		m.next = 1<<63 - 1
		return closed
	}
	m.next = max(m.left-checkEvery, 0)
	return nil
}

// spent says which limit is spent, nil if none is.
func (m *meter) spent() *object.Error {
	if m.left < 0 {
		return object.Errorf(object.CodeExhausted, "limit exceeded: %d steps; the call was executed in part", m.steps)
	}
	if m.caller != nil {
		if err := m.caller.Err(); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				return object.Errorf(object.CodeDeadline, "limit exceeded: the call's deadline; it was executed in part")
			}
			return object.Errorf(object.CodeCanceled, "the call was cancelled; it was executed in part")
		}
	}
	if m.looks++; m.alarm.rung.Load() || m.looks%lookAtClock == 0 && m.late() {
		return object.Errorf(object.CodeDeadline, "limit exceeded: %s of wall time; the call was executed in part", m.wall)
	}
	return m.fence.look(m.left)
}

// late looks at the clock, and reports whether the wall time is spent.
func (m *meter) late() bool {
	now := time.Now()
	if m.since.IsZero() {
		m.since = now
		return false
	}
	ran := now.Sub(m.since)
	if ran > longRun && m.long != nil {
		m.long()
		m.long = nil
	}
	return ran > m.wall
}

// waiting returns a context for waiting inside a call: it ends with the caller's and
// when the wall time is spent. done ends it.
func (m *meter) waiting(ctx context.Context) (waiting context.Context, done func()) {
	waiting, cancel := context.WithCancel(ctx)
	m.alarm.wake.Store(&cancel)
	if m.alarm.rung.Load() { // before it could know
		cancel()
	}
	return waiting, func() {
		m.alarm.wake.Store(nil)
		cancel()
	}
}

// charge takes the steps that a built-in is about to cost and raises an error in L if
// that spends a limit. It is called before the work.
func (m *meter) charge(L *lua.LState, steps int) {
	m.left -= int64(steps)
	if (m.left < m.next || m.alarm.rung.Load()) && m.look() != nil {
		L.RaiseError("%s", m.why.Msg)
	}
}

// chargeBytes takes the steps for making or reading n bytes.
func (m *meter) chargeBytes(L *lua.LState, n int) {
	if n > maxText {
		L.RaiseError("a text of %d bytes is too long (at most %d)", n, maxText)
	}
	m.charge(L, n>>4)
}

// kill ends the state for a reason of ours.
func (m *meter) kill(why *object.Error) {
	if m.why == nil {
		m.why = why
	}
	m.next = 1<<63 - 1
}

// Err is what the VM raises once Done is closed.
func (m *meter) Err() error {
	if m.why == nil {
		return nil
	}
	return errors.New(m.why.Msg)
}

// Deadline is part of context.Context; nobody asks.
func (m *meter) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value is part of context.Context; there is none.
func (m *meter) Value(any) any { return nil }
