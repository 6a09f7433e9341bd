package budget

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/lua"
)

const (
	// checkEvery is the number of steps between two checks of the limits.
	checkEvery = 256
	// clockEvery is the number of checks between two readings of the clock. The timer of an alarm is not enough for
	// the wall time: it needs a processor, and the script may have the only one.
	clockEvery = 16
	// slice is the time for which a script computes before it lets other goroutines run. The runtime would take the
	// processor from it after 10 ms, or much later if the machine is busy: many computing scripts of a worker would
	// delay its answers to the host.
	slice = time.Millisecond
	// longRun is the duration after which a run counts as long.
	longRun = 5 * time.Millisecond
)

// Config connects a Meter to its Lua state.
type Config struct {
	VM *lua.VM
	// Memory is the limit of the values in use, in bytes.
	Memory int64
	// Held counts the bytes of the values in use. It may stop counting above limit.
	Held func(limit int64) int64
	// OnCompute is called once per run that computes for some thousand steps.
	OnCompute func()
	// OnLong is called once per run that takes longer than 5 ms of wall time.
	OnLong func()
}

// Meter grants steps to a VM in small portions. Before each portion it checks the limits: steps, wall time, memory and
// the caller's context. After a limit is exceeded it grants no more steps, so no pcall, error handler or coroutine can
// continue.
//
// A native function cannot be interrupted. It charges for its work before it begins.
//
// A Meter belongs to the goroutine of its state.
type Meter struct {
	config      Config
	steps       int64 // step limit of the budget
	startSteps  int64 // the VM's steps at the beginning of the budget
	closedSteps int64 // steps of all closed budgets since [Meter.TakeTotal]
	wall        time.Duration
	alarm       *alarm          // fires at the end of the wall time; may be nil before the first budget
	armed       bool            // alarm runs; a short run ends before it is armed
	caller      context.Context // context of the running call
	err         *object.Error   // the exceeded limit; set once
	open        bool            // the next Begin continues the budget
	active      bool            // between Begin and End; otherwise nothing is limited, because no script runs
	memory      memoryLimit

	checks int       // of this run
	since  time.Time // first reading of the clock
	sliced time.Time // beginning of the slice
	onLong func()    // nil after it was called in this run
}

// alarm fires once. Consecutive calls reuse it until then.
type alarm struct {
	timer *time.Timer
	fired atomic.Bool
	wake  atomic.Pointer[context.CancelFunc] // cancels the wait for another object
}

func (a *alarm) fire() {
	a.fired.Store(true)
	if wake := a.wake.Load(); wake != nil {
		(*wake)()
	}
}

// New returns a Meter and makes it refill c.VM.
func New(c Config) *Meter {
	m := &Meter{config: c, memory: newMemoryLimit(c)}
	c.VM.Refill = m.refill
	return m
}

// Begin grants a budget until End. It continues a budget that Pause left open, because the work before and after a
// method is part of its call.
func (m *Meter) Begin(ctx context.Context, steps int64, wall time.Duration) {
	m.config.VM.Pause()
	m.active = true
	if m.open {
		m.open, m.caller = false, ctx
		m.steps = steps
		if m.armed && m.alarm.fired.Load() { // during the pause, in which nothing ran
			m.checks, m.since = 0, time.Time{}
			m.alarm, m.armed = nil, false
		}
		return
	}
	m.startSteps = m.config.VM.Steps()
	m.steps, m.wall = steps, wall
	m.caller = ctx
	m.checks, m.since = 0, time.Time{}
	m.onLong = m.config.OnLong
	m.memory.begin()
}

// arm starts the alarm unless it runs. Most runs end before their alarm is due to be armed: a timer costs as much as
// many steps.
func (m *Meter) arm() {
	switch {
	case m.armed:
		return
	case m.alarm != nil:
		m.alarm.timer.Reset(m.wall)
	default:
		m.alarm = new(alarm)
		m.alarm.timer = time.AfterFunc(m.wall, m.alarm.fire)
	}
	m.armed = true
}

// Pause keeps the budget open: the next Begin continues it. End must follow.
func (m *Meter) Pause() { m.open, m.caller = true, nil }

// End stops the clock. It closes the budget unless Pause was called.
func (m *Meter) End() {
	m.active = false
	m.memory.end()
	if !m.open {
		m.close()
	}
}

// CloseOpen closes a budget that Pause left open.
func (m *Meter) CloseOpen() {
	if m.open {
		m.close()
	}
}

func (m *Meter) close() {
	m.open, m.active = false, false
	m.caller = nil
	m.closedSteps += m.used()
	if m.armed && !m.alarm.timer.Stop() {
		m.alarm = nil // it has fired or is about to, which must not end the next call
	}
	m.armed = false
}

func (m *Meter) used() int64 { return m.config.VM.Steps() - m.startSteps }

// TakeTotal returns the steps of the budgets that were closed since the last TakeTotal.
func (m *Meter) TakeTotal() int64 {
	n := m.closedSteps
	m.closedSteps = 0
	return n
}

// Err returns the exceeded limit, or nil.
func (m *Meter) Err() *object.Error { return m.err }

// SetErr replaces the exceeded limit. After SetErr(nil) the meter grants steps again.
func (m *Meter) SetErr(err *object.Error) { m.err = err }

// refill implements [lua.VM.Refill].
func (m *Meter) refill() (int64, error) {
	if m.err == nil {
		if !m.active {
			return checkEvery, nil
		}
		m.err = m.exceeded()
	}
	if m.err != nil {
		return 0, m.err
	}
	return min(checkEvery, m.steps-m.used()), nil
}

// exceeded checks all limits and returns the error of the first that is exceeded, or nil.
func (m *Meter) exceeded() *object.Error {
	if m.used() > m.steps {
		return object.Errorf(object.CodeExhausted, "limit exceeded: %d steps; the call was executed in part", m.steps)
	}
	if err := m.callEnded(); err != nil {
		return err
	}
	return m.memory.check(m)
}

// callEnded returns an error if the wall time has passed or the caller's context is done.
func (m *Meter) callEnded() *object.Error {
	if m.caller != nil {
		if err := m.caller.Err(); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				return object.Errorf(object.CodeDeadline,
					"limit exceeded: the call's deadline; it was executed in part")
			}
			return object.Errorf(object.CodeCanceled, "the call was cancelled; it was executed in part")
		}
	}
	m.checks++
	if m.used() > checkEvery {
		m.arm()
	}
	if m.armed && m.alarm.fired.Load() || m.checks%clockEvery == 0 && m.wallExceeded() {
		return object.Errorf(object.CodeDeadline, "limit exceeded: %s of wall time; the call was executed in part",
			m.wall)
	}
	return nil
}

// Spend charges steps for work outside the script's run, such as reading arguments and writing results. It returns the
// error of an exceeded limit, or nil. Outside a budget nothing is limited.
func (m *Meter) Spend(steps int) *object.Error {
	if !m.active {
		return nil
	}
	m.config.VM.Spend(steps)
	if m.err != nil {
		return m.err
	}
	return m.exceeded()
}

// Reserve takes n bytes of the process's memory until ReleaseResult, for a result that is about to be written.
func (m *Meter) Reserve(n int64) *object.Error {
	if !m.active {
		return nil
	}
	return m.memory.reserve(m, &m.memory.result, n)
}

// ReleaseResult returns the memory that Reserve took. The next Begin does so, too.
func (m *Meter) ReleaseResult() { heap.release(&m.memory.result) }

// Stop releases the memory that is reserved for running allocations. It is called after a panic and at the end of the
// state.
func (m *Meter) Stop() { m.memory.end() }

// Report makes the meter answer the questions of u.
func (m *Meter) Report(u *Usage) { m.memory.usage = u }

// wallExceeded reads the clock and reports whether the wall time has passed.
func (m *Meter) wallExceeded() bool {
	now := time.Now()
	if m.since.IsZero() {
		m.since, m.sliced = now, now
		m.arm()
		if m.config.OnCompute != nil {
			m.config.OnCompute()
		}
		return false
	}
	ran := now.Sub(m.since)
	if ran > longRun && m.onLong != nil {
		m.onLong()
		m.onLong = nil
	}
	if now.Sub(m.sliced) > slice {
		runtime.Gosched()
		m.sliced = time.Now()
	}
	return ran > m.wall
}

// WaitContext returns a context for waiting inside a call. It is done with ctx and at the end of the wall time. The
// caller must call done after the wait.
func (m *Meter) WaitContext(ctx context.Context) (waiting context.Context, done func()) {
	m.arm()
	waiting, cancel := context.WithCancel(ctx)
	m.alarm.wake.Store(&cancel)
	if m.alarm.fired.Load() { // it may have fired before wake was set
		cancel()
	}
	return waiting, func() {
		m.alarm.wake.Store(nil)
		cancel()
		m.config.VM.Pause() // check the limits before the script continues
	}
}
