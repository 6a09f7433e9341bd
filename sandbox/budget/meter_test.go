package budget

import (
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/lua"
)

// newMeter returns a VM with a meter, and pushes a program onto the stack of the VM.
func newMeter(t *testing.T, source string, onLong func()) (*lua.VM, *Meter) {
	t.Helper()
	vm := lua.New(lua.Limits{})
	m := New(Config{VM: vm, Memory: 1 << 30, Held: func(int64) int64 { return 0 }, OnLong: onLong})
	proto, err := lua.Compile("test.lua", source)
	if err != nil {
		t.Fatal(err)
	}
	vm.Main.Push(lua.NewFunction(proto, lua.NewTable(0, 0)).Value())
	return vm, m
}

// TestWallWithoutAlarm checks that the wall time ends a run whose alarm does not fire, which happens while the script
// has the only processor. A long run is reported once.
func TestWallWithoutAlarm(t *testing.T) {
	long := 0
	vm, m := newMeter(t, "while true do end", func() { long++ })
	m.Begin(t.Context(), 1<<40, 50*time.Millisecond)
	m.arm()
	m.alarm.timer.Reset(time.Hour) // it does not fire in time
	_ = vm.Run(0, nil)
	m.End()
	if object.CodeOf(m.Err()) != object.CodeDeadline {
		t.Errorf("a loop without end: %v, want the limit of wall time", m.Err())
	}
	if long != 1 {
		t.Errorf("OnLong was called %d times, want once", long)
	}
}

// TestStepsAreExact checks that a run ends at its limit of steps, and that a paused budget continues.
func TestStepsAreExact(t *testing.T) {
	vm, m := newMeter(t, "local n = 0 for i = 1, 100 do n = n + i end return n", nil)
	m.Begin(t.Context(), 1000, time.Minute)
	if err := vm.Run(0, nil); err != nil {
		t.Fatal(err)
	}
	m.Pause()
	m.End()
	used := vm.Steps()
	if used < 100 || used > 1000 {
		t.Errorf("a loop of 100 rounds took %d steps", used)
	}
	m.Begin(t.Context(), 1000, time.Minute) // continues
	if err := m.Spend(int(1000 - used)); err != nil {
		t.Errorf("the last step of the budget: %v", err)
	}
	if err := m.Spend(1); object.CodeOf(err) != object.CodeExhausted {
		t.Errorf("a step beyond the budget: %v, want %v", err, object.CodeExhausted)
	}
	m.End()
	if total := m.TakeTotal(); total != 1001 {
		t.Errorf("the budget counts %d steps, want 1001", total)
	}
}

// TestUsageAnswersARound checks that a count is made once per round, and only while a script runs.
func TestUsageAnswersARound(t *testing.T) {
	counts := 0
	vm, m := newMeter(t, "for i = 1, 10000 do end", nil)
	m.memory.config.Held = func(int64) int64 { counts++; return 42 }
	var u Usage
	m.Report(&u)
	u.Request(7)
	if _, ok := u.Held(7); ok {
		t.Error("an idle state answered")
	}
	m.Begin(t.Context(), 1<<40, time.Minute)
	if err := vm.Run(0, nil); err != nil {
		t.Fatal(err)
	}
	m.End()
	if n, ok := u.Held(7); !ok || n != 42 || counts != 1 {
		t.Errorf("Held(7) = %d, %v after %d counts, want 42 after one", n, ok, counts)
	}
}

// TestShortRunArmsNoAlarm runs a short call, a call that computes and a call that waits. Only the last two arm the
// alarm, and the end of the budget stops it. OnCompute is called once, for the call that computes.
func TestShortRunArmsNoAlarm(t *testing.T) {
	computed := 0
	vm, m := newMeter(t, "for i = 1, 10 do end", nil)
	m.config.OnCompute = func() { computed++ }
	m.Begin(t.Context(), 1<<40, time.Minute)
	if err := vm.Run(0, nil); err != nil {
		t.Fatal(err)
	}
	if m.armed || m.alarm != nil {
		t.Error("a short run arms the alarm")
	}
	m.End()
	m.Begin(t.Context(), 1<<40, time.Minute)
	for range 100 {
		if err := m.Spend(2 * checkEvery); err != nil {
			t.Fatal(err)
		}
	}
	if !m.armed || computed != 1 {
		t.Errorf("after %d steps: armed: %v, OnCompute was called %d times", m.used(), m.armed, computed)
	}
	m.End()
	if m.armed {
		t.Error("the alarm is armed after the budget")
	}
	m.Begin(t.Context(), 1<<40, time.Minute)
	ctx, done := m.WaitContext(t.Context())
	if !m.armed {
		t.Error("a wait does not arm the alarm")
	}
	m.alarm.fire()
	if ctx.Err() == nil {
		t.Error("the alarm does not end the wait")
	}
	done()
	m.End()
	if computed != 1 {
		t.Errorf("OnCompute was called %d times, want once", computed)
	}
}

// TestAlarmOfPause pauses a budget for longer than its wall time. The rest of the budget has its own wall time.
func TestAlarmOfPause(t *testing.T) {
	_, m := newMeter(t, "", nil)
	m.Begin(t.Context(), 1<<40, time.Hour)
	if err := m.Spend(2 * checkEvery); err != nil || !m.armed {
		t.Fatalf("Spend: %v, armed: %v", err, m.armed)
	}
	m.Pause()
	m.End()
	m.alarm.fire()
	m.Begin(t.Context(), 1<<40, time.Hour)
	if err := m.Spend(2 * checkEvery); err != nil {
		t.Errorf("after the pause: %v", err)
	}
	m.End()
}
