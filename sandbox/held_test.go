package sandbox_test

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
	"github.com/hearthhost/hearth/sandbox/services"
)

// attackOnce calls the method attack of a script and returns its open state.
func attackOnce(t *testing.T, source string, limits object.Limits, to object.Sink) (*sandbox.State, error) {
	t.Helper()
	p, err := sandbox.Load(context.Background(), sandbox.Config{ID: "demo.x", Source: []byte(source), Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.NewState(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.NewInstance(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	_, err = s.Call(context.Background(), &sandbox.Request{
		Kind: object.Invoke, Method: "attack", Result: to, ResetResult: func() {},
		Args: func(to object.Sink) error { return first(to.Begin(object.TupleKind, 0), to.End(), to.Null()) },
	})
	return s, err
}

// TestStatesAtRestHoldWhatIsCounted compares the memory of a state after a call with its count. Uncounted memory would
// hide the largest instance.
func TestStatesAtRestHoldWhatIsCounted(t *testing.T) {
	for name, body := range map[string]string{
		"a dict":       "local t = {} for i = 1, 1e5 do t['k' .. i] = i end return t",
		"a list":       "local t = {} for i = 1, 1e5 do t[i] = {i} end return t",
		"nested":       "local t = {('x'):rep(1e6)} for i = 1, 60 do t = {t, ('x'):rep(1e5) .. i} end return t",
		"an exception": "error(hearth.exception('ValueError', hearth.list{('x'):rep(4e6)}))",
		"an error":     "local big = ('x'):rep(8e6) local function f() local _ = big error('x') end f()",
		"deep": "local function d(n) local s = ('x'):rep(1e5) .. n if n == 0 then error(s) end d(n - 1) " +
			"return s end d(60)",
		"a wrong one": "local t = {} for i = 1, 1e5 do t['k' .. i] = {i} end t.z = print return t",
	} {
		t.Run(name, func(t *testing.T) {
			source := "local O = hearth.object{instance = 'session'} function O.expose:attack() " + body +
				" end return O"
			s, err := attackOnce(t, "local O = hearth.object{instance = 'session'} function O.expose:attack() end "+
				"return O", object.Limits{}, nothing{})
			if err != nil {
				t.Fatal(err)
			}
			empty := heap()
			s.Close(context.Background())
			without := heap()
			s, err = attackOnce(t, source, object.Limits{}, nothing{})
			if err != nil {
				t.Fatal(err)
			}
			kept := heap() - without - (empty - without)
			if counted := s.Held(); kept > counted+1<<20 {
				t.Errorf("the state keeps %d KiB and counts %d KiB", kept>>10, counted>>10)
			}
			runtime.KeepAlive(s)
		})
	}
}

// counting is a sink that counts the bytes it is given.
type counting struct {
	nothing
	n int
}

func (c *counting) Text(b []byte) error   { c.n += len(b); return nil }
func (c *counting) Bytes(b []byte) error  { c.n += len(b); return nil }
func (c *counting) BigInt(b []byte) error { c.n += len(b); return nil }

// TestResultsAreBoundedBeforeTheyAreWritten gives many references to one value as a result.
func TestResultsAreBoundedBeforeTheyAreWritten(t *testing.T) {
	for name, value := range map[string]string{
		"integer":   "hearth.int(('9'):rep(4300))",
		"text":      "('x'):rep(4000)",
		"bytes":     "hearth.bytes(('x'):rep(4000))",
		"exception": "hearth.exception('ValueError', ('x'):rep(4000))",
	} {
		source := "local O = hearth.object{} function O.expose:attack() local v, t = " + value +
			", {} for i = 1, 1e5 do t[i] = v end return t end return O"
		var c counting
		s, err := attackOnce(t, source, object.Limits{ResultBytes: 1 << 20}, &c)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.n > 2<<20 {
			t.Errorf("%s: %d bytes were written", name, c.n)
		}
		s.Close(context.Background())
	}
}

// TestBuffersOfFunctionsCount nests functions that build a text while they call the script.
func TestBuffersOfFunctionsCount(t *testing.T) {
	for name, body := range map[string]string{
		"format": "getmetatable(p).__tostring = function() go() return ('%s%s'):format(big, p) end return " +
			"('%s'):format(p)",
		"gsub":  "local function f() go() return (big:gsub('.', f, 1)) end return f()",
		"bytes": "local b = hearth.bytes(big) while true do go() b = b .. b end",
	} {
		source := "local O = hearth.object{} function O.expose:attack() local big, d, p = ('x'):rep(2^20), 0, " +
			"newproxy(true) " +
			"local function go() d = d + 1 if d > 90 then error('deep') end end " + body + " end return O"
		s, err := attackOnce(t, source, object.Limits{Memory: 16 << 20}, nothing{})
		if err == nil || !strings.Contains(err.Error(), "16 MiB of memory") {
			t.Errorf("%s: %v, want the limit of memory", name, err)
		}
		s.Close(context.Background())
	}
}

// TestManyMembersAreRefused checks the limit of members: descriptions are made outside any budget.
func TestManyMembersAreRefused(t *testing.T) {
	source := "local O = hearth.object{}\n" + strings.Repeat("-- x\n", 2000) +
		"local f = function() end for i = 1, N do O.expose['m' .. i] = f end return O"
	for n, want := range map[int]bool{sandbox.MaxMembers: true, sandbox.MaxMembers + 1: false} {
		_, err := sandbox.Load(context.Background(),
			sandbox.Config{ID: "demo.x", Source: []byte(strings.Replace(source, "N", fmt.Sprint(n), 1))})
		if (err == nil) != want {
			t.Errorf("%d members: %v", n, err)
		}
	}
}

// TestBatchesMeetLimits checks that the results of a batch count as memory, and that a limit exceeded by them is the
// error of the batch.
func TestBatchesMeetLimits(t *testing.T) {
	names, calls := make([]object.Method, 20), make([]any, 20)
	for i := range calls {
		names[i], calls[i] = "f", triple("f")
	}
	for want, body := range map[string]string{
		"16 MiB of memory": "local t = {} for i = 1, 100000 do t[i] = i end return t",
		"1000000 steps while the result was written": "local t, u = {}, {} for i = 1, 1e4 do u[i] = i end for i = " +
			"1, 1e4 do u[i] = nil end " +
			"for i = 1, 1e4 do t[i] = u end return t",
	} {
		limits := object.Limits{Memory: 16 << 20}
		if strings.Contains(want, "steps") {
			limits.Steps = 1_000_000
		}
		h := startLimited(t, method(body), limits)
		if _, v, err := h.batch(names, calls); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100v, %v; want an error of %s", v, err, want)
		}
	}
}

// TestGarbageIsCollectedEarly runs a script that makes strings of megabytes. It outruns the collector, which alone
// would let the heap grow to the limit of the process.
func TestGarbageIsCollectedEarly(t *testing.T) {
	const soft = 256 << 20
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(soft))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	h := startLimited(t, method("local p = hearth.proxy('acme.other') for i = 1, 100 do local s = ('x'):rep(8e6) .. "+
		"i p:look() end"), object.Limits{Steps: 1 << 40, MaxDuration: 10 * time.Minute})
	var most uint64
	h.e.proxy = func(r *services.ObjectCall) error {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(s)
		most = max(most, s[0].Value.Uint64())
		return r.Result.Null()
	}
	h.call("f").want(t, nil)
	if most == 0 || most > soft*3/4 {
		t.Errorf("the heap grew to %d MiB of %d", most>>20, soft>>20)
	}
}
