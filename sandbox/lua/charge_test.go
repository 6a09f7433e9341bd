//go:build linux

package lua_test

import (
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/code"
	"github.com/hearthhost/hearth/sandbox/lua/stdlib"
	"github.com/hearthhost/hearth/sandbox/lua/syntax"
)

// Steps bound the time of a script, so no operation may take long for few steps. A row of chargeRows runs a piece of
// Lua on operands of growing size N. The test requires two properties:
//
// - its steps are at least the work that the row declares, divided by workPerStep;
// - a step takes at most maxRatio times the processor time of a step of an empty loop. The time of
//   other processes does not count.
//
// Every instruction and every library function occurs in a row: TestChargeRowsAreComplete.

const (
	workPerStep = 64 // bytes or elements per step
	maxRatio    = 30
)

// work returns the number of bytes or elements that are read or written for operands of size n.
type work func(n float64) float64

func linear(n float64) float64    { return n }
func constant(float64) float64    { return 1 }
func quadratic(n float64) float64 { return n * n }

type chargeRow struct {
	covers string // functions that are called, separated by blanks
	setup  string // runs once, N is the size
	body   string // measured
	most   int    // largest N; 0: 300,000
	work   work
}

// measured is the result of a run of a row.
type measured struct {
	steps int64
	cpu   time.Duration
	runs  int
}

// measure runs a row with operands of size n, repeatedly, until the time is long enough to measure.
func (r *chargeRow) measure(t *testing.T, n int) measured {
	t.Helper()
	vm := lua.New(lua.Limits{})
	g := stdlib.New(vm, stdlib.Config{Print: func(*lua.Thread, string) {}}).Globals()
	vm.Main.SetGlobals(g)
	run := func(f lua.Value) {
		vm.Main.Push(f)
		if err := vm.Run(0, nil); err != nil {
			t.Fatalf("%q, N = %d: %v", r.body, n, err)
		}
	}
	g.SetString("N", lua.Int(n))
	p, err := lua.Compile("row", r.setup+" return function() "+r.body+"\nend")
	if err != nil {
		t.Fatalf("%q: %v", r.body, err)
	}
	run(lua.NewFunction(p, g).Value())
	f := vm.Main.Get(1)
	vm.Clear()
	run(f) // hashes are computed, caches filled
	vm.Clear()
	g.SetString("f", f)
	m := measured{}
	from := vm.Steps()
	begin := threadTime()
	for ; m.runs == 0 || m.cpu < 2*time.Millisecond && m.runs < 1_000_000; m.cpu = threadTime() - begin {
		for range min(max(m.runs, 1), 1000) {
			run(f)
			vm.Clear()
			m.runs++
		}
	}
	m.steps = vm.Steps() - from
	return m
}

// threadTime returns the processor time of the thread, which other processes do not change.
func threadTime() time.Duration {
	const thread = 1
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (m measured) perStep() float64 { return float64(m.cpu) / float64(max(m.steps, 1)) }

func TestWorkIsCharged(t *testing.T) {
	if raceEnabled {
		t.Skip("one goroutine, and the times would be those of the race detector: make test runs it without")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	empty := chargeRow{body: "for i = 1, 10000 do end"}
	step := min(empty.measure(t, 1).perStep(), empty.measure(t, 1).perStep())
	t.Logf("a step takes %.1f ns", step)
	for i := range chargeRows {
		r := &chargeRows[i]
		most := r.most
		if most == 0 {
			most = 300_000
		}
		for _, n := range []int{10, most / 30, most} {
			if n < 10 {
				continue
			}
			m := r.measure(t, n)
			each := float64(m.steps) / float64(m.runs)
			if need := r.work(float64(n)) / workPerStep; each < need {
				t.Errorf("%s %q, N = %d: %.0f steps, want at least %.0f", r.covers, r.body, n, each, need)
			}
			ratio := m.perStep() / step
			for tries := 0; ratio > maxRatio/2 && tries < 3; tries++ { // the garbage collector took part of the time
				ratio = min(ratio, r.measure(t, n).perStep()/step)
			}
			t.Logf("%4.1f %9.0f steps, N = %d: %.120s | %.60s", ratio, each, n, r.body, r.setup)
			if ratio > maxRatio {
				t.Errorf("%s %q, N = %d: a step takes %.0f times that of an empty loop", r.covers, r.body, n, ratio)
			}
		}
	}
}

func TestChargeRowsAreComplete(t *testing.T) {
	var ops [code.Ops]bool
	called := map[string]bool{}
	for i := range chargeRows {
		r := &chargeRows[i]
		for name := range strings.FieldsSeq(r.covers) {
			called[name] = true
			if last := name[strings.LastIndexByte(name, '.')+1:]; !strings.Contains(r.setup+r.body, last) {
				t.Errorf("the row %q does not call %s", r.body, name)
			}
		}
		p, err := code.Compile("row", parse(t, r.setup+" "+r.body))
		if err != nil {
			t.Fatal(err)
		}
		note(p, &ops)
	}
	for op, found := range ops {
		if !found {
			t.Errorf("no row has the instruction %s", code.Op(op))
		}
	}
	vm := lua.New(lua.Limits{})
	functions(stdlib.New(vm, stdlib.Config{}).Globals(), "", map[*lua.Table]bool{}, func(name string) {
		if !called[name] {
			t.Errorf("no row calls %s", name)
		}
		delete(called, name)
	})
	for name := range called {
		t.Errorf("a row calls %s, which does not exist", name)
	}
}

func parse(t *testing.T, source string) *syntax.Function {
	t.Helper()
	main, err := syntax.Parse("row", source)
	if err != nil {
		t.Fatalf("%q: %v", source, err)
	}
	return main
}

// note marks the instructions of a function and of those inside it.
func note(p *code.Proto, ops *[code.Ops]bool) {
	for _, i := range p.Code {
		ops[i.Op()] = true
	}
	for _, inner := range p.Protos {
		note(inner, ops)
	}
}

// functions walks over all functions that can be reached from a table, each by one name.
func functions(t *lua.Table, path string, seen map[*lua.Table]bool, found func(name string)) {
	seen[t] = true
	for k, v := range t.All() {
		key, _ := k.AsString()
		name := path + key
		switch {
		case v.AsFunction() != nil:
			found(name)
		case v.AsTable() != nil:
			if inner := v.AsTable(); !seen[inner] && name != "package" {
				functions(inner, name+".", seen, found)
			}
		case v.AsUserData() != nil && v.AsUserData().Meta != nil && key != "stderr":
			if index := v.AsUserData().Meta.GetString("__index").AsTable(); index != nil {
				functions(index, name+".", seen, found)
			}
		}
	}
}
