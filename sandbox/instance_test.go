package sandbox_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
)

// spend returns a script of mode "call" whose init, method and close run loops of the given numbers of rounds.
func spend(init, call, end string) string {
	return "local T = hearth.object { instance = 'call' }\n" +
		"local function take(n) for i = 1, n do end end\n" +
		"function T:init() take(" + init + ") end\n" +
		"function T:close() take(" + end + ") end\n" +
		"function T.expose:f() take(" + call + ") return 1 end\nreturn T"
}

// TestOneBudget checks that init, method and close of a call share one budget. A close that exceeds it ends the
// instance, and affects neither the caller nor later calls.
func TestOneBudget(t *testing.T) {
	limits := object.Limits{Steps: 100_000}
	if a := startLimited(t, spend("60000", "1", "1"), limits).call("f"); a.err != nil {
		t.Errorf("within the budget: %v", a.err)
	}
	h := startLimited(t, spend("60000", "60000", "1"), limits)
	a := h.call("f")
	if object.CodeOf(a.err) != object.CodeExhausted ||
		!strings.Contains(a.err.Error(), "limit exceeded: 100000 steps") || !a.out.Broken {
		t.Errorf("init and method together beyond it: %v, %+v", a.err, a.out)
	}
	if n := h.s.Spent(); n < 100_000 || n > 101_000 {
		t.Errorf("it took %d steps, want 100000", n)
	}
	h = startLimited(t, spend("1", "60000", "60000"), limits)
	h.call("f").want(t, int64(1))
	want := []string{"error: close: limit exceeded: 100000 steps; the call was executed in part"}
	if len(h.e.lines) != 1 || h.e.lines[0] != want[0] {
		t.Errorf("log %q, want %q", h.e.lines, want)
	}
	if a := h.call("f"); !a.out.Broken {
		t.Errorf("the state continues after a close that exceeded a limit: %+v, %v", a.out, a.err)
	}
	// Each call has a new budget.
	h = startLimited(t, spend("30000", "30000", "30000"), limits)
	for range 3 {
		h.call("f").want(t, int64(1))
		if err := h.s.NewInstance(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSeedOfScript checks that every instance of mode "call" begins with the random seed of the script.
func TestSeedOfScript(t *testing.T) {
	h := start(t, "math.randomseed(5)\nlocal T = hearth.object { instance = 'call' }\nfunction T.expose:f() return "+
		"math.random(1e9) end\nreturn T")
	first := h.call("f").value
	for range 3 {
		if err := h.s.NewInstance(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		h.call("f").want(t, first)
	}
}

// TestCoroutinesOfEarlierInstances checks that coroutines of earlier instances do not count.
func TestCoroutinesOfEarlierInstances(t *testing.T) {
	h := startLimited(t, "local T = hearth.object { instance = 'call' }\nlocal all = {}\nfunction T.expose:f()\n"+
		"  for i = 1, 10 do all[i] = coroutine.create(function() end) end\n"+
		"  return #all\nend\nreturn T", object.Limits{Coroutines: 10})
	for range 5 {
		h.call("f").want(t, int64(10))
		if err := h.s.NewInstance(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNoAddresses checks that neither tostring nor messages of the VM contain memory addresses.
func TestNoAddresses(t *testing.T) {
	start(t, method(`
  local t, u = {}, {}
  assert(tostring(t) == tostring(t) and tostring(t) ~= tostring(u), "tables are told from each other")
  assert(tostring(t):match("^table: 0x%x+$") and #tostring(t) == 25, tostring(t))
  assert(tostring(print):match("^function: 0x%x+$"), "functions too")
  local nothing
  for _, f in ipairs { function() return nothing[t] end, function() nothing[print] = 1 end, function() t[u]() end, function() return t < u end } do
    local _, msg = pcall(f)
    assert(not msg:match("0x"), msg)
  end
  local _, msg = pcall(error, "of the script: " .. tostring(t), 0)
  assert(msg == "of the script: " .. tostring(t), msg)
  return 1`)).call("f").want(t, int64(1))
}

// TestInheritable checks that a state that no init could read is found at the handover.
func TestInheritable(t *testing.T) {
	h := start(t, counter)
	if err := h.s.Inheritable(func(to object.Sink) error { return to.Text([]byte("x")) }); err != nil {
		t.Errorf("a text: %v", err)
	}
	err := h.s.Inheritable(func(to object.Sink) error {
		return errors.Join(to.Begin(object.DictKind, 1), to.Text([]byte("__class__")), to.Text([]byte("builtins.eval")),
			to.End())
	})
	if object.CodeOf(err) != object.CodeInvalid {
		t.Errorf("an object of a foreign class: %v, want it refused", err)
	}
	h.call("add", 1).want(t, int64(1))
}
