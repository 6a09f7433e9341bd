package sandbox

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/object"
)

// meter is the context that a state runs under. gopher-lua polls Done once an
// instruction, so counting there is an exact instruction meter on the unmodified
// library. Coroutines share their parent's context and so its meter.
//
// It misses what happens inside one built-in: those are bounded one by one.
type meter struct {
	steps int64 // left; touched by the state's goroutine only
	spent int64 // granted in all
	why   atomic.Pointer[object.Error]
	ctx   context.Context // the call's; for hearth.proxy
	timer *time.Timer
}

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Done counts one instruction.
func (m *meter) Done() <-chan struct{} {
	m.steps--
	if m.steps >= 0 && m.why.Load() == nil {
		return nil
	}
	m.kill(object.Errorf(object.CodeExhausted, "limit exceeded: %d steps; the call was executed in part", m.spent))
	return closed
}

// kill stops the state at its next instruction. The first reason stays.
func (m *meter) kill(why *object.Error) { m.why.CompareAndSwap(nil, why) }

// Err says why the state was stopped.
func (m *meter) Err() error {
	if why := m.why.Load(); why != nil {
		return why
	}
	return nil
}

// Deadline is part of context.Context.
func (m *meter) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value is part of context.Context.
func (m *meter) Value(any) any { return nil }

// start grants a call its limits; the function it returns ends them.
func (m *meter) start(ctx context.Context, l Limits) (stop func() int64) {
	m.steps, m.spent, m.ctx = l.Steps, l.Steps, ctx
	m.why.Store(nil)
	wall := func() {
		m.kill(object.Errorf(object.CodeDeadline, "limit exceeded: %s of wall time; the call was executed in part", l.Wall))
	}
	if m.timer == nil {
		m.timer = time.AfterFunc(l.Wall, wall)
	} else {
		m.timer.Reset(l.Wall)
	}
	cancel := context.AfterFunc(ctx, func() {
		m.kill(object.Errorf(object.CodeCanceled, "the call was cancelled; it was executed in part"))
	})
	return func() int64 {
		m.timer.Stop()
		cancel()
		m.ctx = nil
		return m.spent - m.steps
	}
}
