package sandbox

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/lua"
)

// How many steps pass between two checks of the limits, in how many checks the clock is read once, and when
// a run counts as long. The alarm alone would do for the wall time, but its timer needs a processor, and the
// script may have the only one.
const (
	checkEvery = 256
	clockEvery = 16
	longRun    = 5 * time.Millisecond
)

// meter grants steps to a VM, a few at a time, and checks the limits in between: steps, wall time, memory and
// the caller's context. Once a limit is spent it grants nothing more, so no pcall, error handler or coroutine
// can outlive it.
//
// A built-in function cannot be interrupted. It charges for its work beforehand.
type meter struct {
	vm     *lua.VM
	steps  int64 // of the budget
	from   int64 // the VM's steps when the budget began
	lapped int64 // the VM's steps when lap was called last
	total  int64 // steps of all budgets that have ended, since [State.Spent]
	wall   time.Duration
	alarm  *alarm          // rings when the wall time is spent
	caller context.Context // of the running call
	why    *object.Error   // the limit that was spent; set once
	open   bool            // the next begin continues the budget
	active bool            // between begin and end; outside nothing is limited, as no script runs
	fence  *fence

	checks int       // of this run
	since  time.Time // of the first reading of the clock
	long   func()    // called when a run takes long; nil once it was
	onLong func()    // what long is at the beginning of each run
}

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

// begin grants a budget until end, or continues one that was left open: what is done for a call before and
// after its method is part of the call.
func (m *meter) begin(ctx context.Context, steps int64, wall time.Duration) {
	m.vm.Pause()
	m.active = true
	if m.open {
		m.open, m.caller, m.steps = false, ctx, steps
		if m.alarm.rung.Load() { // in the pause, in which nothing ran
			m.checks, m.since = 0, time.Time{}
			m.arm()
		}
		return
	}
	m.from = m.vm.Steps()
	m.lapped = m.from
	m.steps, m.wall, m.caller = steps, wall, ctx
	m.checks, m.since, m.long = 0, time.Time{}, m.onLong
	m.fence.begin()
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

// pause comes before an end that leaves the budget open for the next begin.
func (m *meter) pause() { m.open, m.caller = true, nil }

// end stops the clock, unless pause came before.
func (m *meter) end() {
	m.active = false
	m.fence.end()
	if !m.open {
		m.close()
	}
}

// close ends a budget, an open one too.
func (m *meter) close() {
	m.open, m.active, m.caller = false, false, nil
	m.total += m.used()
	if !m.alarm.timer.Stop() {
		m.alarm = nil // it rings, or will: not in the next call
	}
}

func (m *meter) used() int64 { return m.vm.Steps() - m.from }

// lap returns the steps since the last lap of this budget.
func (m *meter) lap() int64 {
	n := m.vm.Steps() - m.lapped
	m.lapped += n
	return n
}

// refill is [lua.VM.Refill].
func (m *meter) refill() (int64, error) {
	if m.why == nil {
		if !m.active {
			return checkEvery, nil
		}
		m.why = m.spent()
	}
	if m.why != nil {
		return 0, m.why
	}
	return min(checkEvery, m.steps-m.used()), nil
}

// spent returns the error of the limit that is spent, nil if none is.
func (m *meter) spent() *object.Error {
	if m.used() > m.steps {
		return object.Errorf(object.CodeExhausted, "limit exceeded: %d steps; the call was executed in part", m.steps)
	}
	if why := m.ended(); why != nil {
		return why
	}
	return m.fence.check()
}

// ended returns why the call must end if its time is over or its caller has gone.
func (m *meter) ended() *object.Error {
	if m.caller != nil {
		if err := m.caller.Err(); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				return object.Errorf(object.CodeDeadline, "limit exceeded: the call's deadline; it was executed in part")
			}
			return object.Errorf(object.CodeCanceled, "the call was cancelled; it was executed in part")
		}
	}
	if m.checks++; m.alarm.rung.Load() || m.checks%clockEvery == 0 && m.late() {
		return object.Errorf(object.CodeDeadline, "limit exceeded: %s of wall time; the call was executed in part", m.wall)
	}
	return nil
}

// spend takes steps for work that is done outside the script's run, such as reading arguments and writing
// results, and returns the error of the limit that is spent, nil if none is. Outside a budget nothing is limited.
func (m *meter) spend(steps int) error {
	if !m.active {
		return nil
	}
	m.vm.Spend(steps)
	if m.why != nil {
		return m.why
	}
	if why := m.spent(); why != nil {
		return why
	}
	return nil
}

// late reads the clock, and reports whether the wall time is spent.
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

// waiting returns a context for waiting inside a call: it ends with the caller's and when the wall time is
// spent. done ends it.
func (m *meter) waiting(ctx context.Context) (waiting context.Context, done func()) {
	waiting, cancel := context.WithCancel(ctx)
	m.alarm.wake.Store(&cancel)
	if m.alarm.rung.Load() { // before it could be told
		cancel()
	}
	return waiting, func() {
		m.alarm.wake.Store(nil)
		cancel()
		m.vm.Pause() // the limits are checked before the script continues
	}
}
