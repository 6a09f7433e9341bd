//go:build linux

package sandbox_test

import (
	"context"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
	"github.com/hearthhost/hearth/sandbox/api"
)

// hearthRows are pieces of Lua that use functions of hearth. Each run must be charged at least least steps. A step may
// take at most maxRatio times the time of a step of an empty loop. The last row calls a function that needs a host.
var hearthRows = []struct {
	covers string // functions that are called, separated by blanks
	setup  string // runs once
	body   string
	least  float64
}{
	{"hearth.int", "local s = ('9'):rep(4300)", "hearth.int(s)", 2000},
	{"hearth.int", "local s = (' '):rep(1e6) .. '1'", "hearth.int(s)", 1e6 / 16},
	{"", "local s, one = (' '):rep(1e6) .. '1', hearth.int(1)", "local x = one + s", 1e6 / 16},
	{"", "local a, b = hearth.int(('9'):rep(4000)), hearth.int(('8'):rep(4000))",
		"local x = a + b; x = a - b; x = -a; x = a < b; x = a <= b; x = a == b", 100},
	{"", "local a, b = hearth.int(('9'):rep(2100)), hearth.int(('8'):rep(2100))", "local x = a * b", 1000},
	{"<int>.idiv", "local a, b = hearth.int(('9'):rep(4300)), hearth.int(('8'):rep(2100))",
		"local x = a / b; x = a % b; x = a:idiv(b)", 3000},
	{"<int>.tonumber", "local a = hearth.int(('9'):rep(4300))", "local x = a:tonumber()", 20},
	{"", "local a = hearth.int(('9'):rep(4300))", "local x = tostring(a); x = a .. 'y'", 4000},
	{"hearth.exception", "local a = hearth.int(('9'):rep(4300))", "hearth.exception('ValueError', a)", 2000},
	{"hearth.exception", "", "hearth.exception('ValueError', 'x', 1, nil) tostring(hearth.exception('E', 'm'))", 20},
	{"hearth.bytes", "local s = ('x'):rep(1e6)", "local b = hearth.bytes(s)", 10},
	{"<bytes>.len <bytes>.sub <bytes>.byte", "local b = hearth.bytes(('x'):rep(1e6))",
		"local x = b:len(); x = #b; b:byte(1, 100); b:sub(2)", 1e6 / 64},
	{"<bytes>.base64", "local b = hearth.bytes(('x'):rep(1e6))", "b:base64()", 1e6 / 16},
	{"", "local a, b = hearth.bytes(('x'):rep(1e6)), hearth.bytes(('x'):rep(1e6))",
		"local x = a .. b; x = a == b; x = a < b; x = a <= b; x = tostring(a)", 3e6 / 64},
	{"hearth.float <float>.tonumber", "",
		"local a, b = hearth.float(1.5), hearth.float(2) local x = a + b; x = a - b; " +
			"x = a * b; x = a / b; x = a ^ b; x = a % b; x = -a; x = a < b; x = a <= b; x = a == b; " +
			"x = a:tonumber()", 100},
	{"hearth.float", "local a = hearth.float(1.1e300)", "tostring(a)", 20},
	{"hearth.complex", "", "local a, b = hearth.complex(1, 2), hearth.complex(3.1) local x = a + b; x = a - b; x = " +
		"a * b; " +
		"x = a / b; x = -a; x = a == b; x = a.re; x = a.im; x = tostring(a)", 100},
	{"hearth.datetime <datetime>.date <datetime>.seconds", "",
		"local a = hearth.datetime(1e9) local x = tostring(a); " +
			"x = a:date(); x = a:seconds(); x = a == a; x = a < a; x = a <= a; " +
			"x = hearth.datetime('2026-01-31T12:00:00')",
		100},
	{"hearth.date <date>.day", "", "local a = hearth.date(7e5) local x = tostring(a); x = a:day(); x = a == a; " +
		"x = a < a; x = a <= a; x = hearth.date('2026-01-31')", 100},
	{"hearth.list hearth.tuple hearth.set hearth.dict hearth.kw", "local t = {} for i = 1, 1e4 do t[i] = i end",
		"hearth.list(t) hearth.tuple(t) hearth.set(t) hearth.dict(t) hearth.kw(t)", 5e4 / 64},
	{"hearth.list", "", "hearth.list() hearth.list(1, 2, 3) hearth.list{1, 2, 3}", 30},
	{"hearth.object", "local t = {} for i = 1, 1e5 do t[i] = 1 end for i = 1, 1e5 do t[i] = nil end",
		"pcall(hearth.object, t)", 1e5 / 64},
	{"hearth.object", "local t = {doc = ('x'):rep(1e6)}", "pcall(hearth.object, t)", 1e6 / 64},
	{"hearth.stream", "", "hearth.stream(print)", 10},
	{"hearth.annotate", "", "hearth.annotate('RESP', 'x')", 100},
	{"hearth.call", "", "hearth.call()", 100},
	{"hearth.caller", "", "hearth.caller()", 100},
	{"hearth.proxy", "", "local p = hearth.proxy('demo.x') local f = p.add; tostring(p)", 50},
	{"hearth.proxy", "local p, n = hearth.proxy('demo.x'), 0", "n = n + 1 local f = p['m' .. n]", 30},
	{"hearth.secret", "", "pcall(hearth.secret, 'x')", 100},
	{"hearth.secret", "local s = ('x'):rep(1e6)", "pcall(hearth.secret, s)", 1e6 / 64},
	{"hearth.store.put", "local s = ('x'):rep(1100000)", "pcall(hearth.store.put, 'k', s)", 1.1e6 / 64},
	{"hearth.store.get hearth.store.delete hearth.store.increment", "local s, store = ('x'):rep(1e6), hearth.store",
		"pcall(store.get, s) pcall(store.delete, s) pcall(store.increment, s)", 3e6 / 64},
	{"hearth.store.list hearth.store.transaction", "local s, store = ('x'):rep(1e6), hearth.store",
		"pcall(store.list, { prefix = s }) pcall(store.transaction, print)", 100},
	{"hearth.typeof", "", "hearth.typeof(1) hearth.typeof(hearth.null)", 10},
	{"hearth.log.debug hearth.log.info hearth.log.warn hearth.log.error print", "local s = ('x'):rep(1e6)",
		"hearth.log.debug(s) hearth.log.info(s) hearth.log.warn(s) hearth.log.error(s) print(s)", 5e6 / 64},
	{"hearth.log.info", "", "hearth.log.info('x', 1, {}, nil)", 100},
	{"tonumber", "local a = hearth.int(('9'):rep(4300))", "tonumber(a) tonumber('1.5')", 10},
	{"require", "package.preload.x = function() return 1 end require('x')", "require('x') require('string')", 10},
	{"module package.seeall", "", "local f = function() module('a.b.m', package.seeall) end f() " +
		"package.loaded['a.b.m'] = nil", 30},
	{"module", "local s = ('x'):rep(1e6)", "local f = function() module(s) end f() package.loaded[s] = nil", 1e6 / 64},
	{"package.loaders.1 package.loaders.2", "local one, two = package.loaders[1], package.loaders[2]",
		"one('x') two('x')", 30},
	{"require", "local s = ('x'):rep(1e6)", "pcall(require, s)", 1e6 / 64},
}

// maxRatio limits the time of a step, as a multiple of the time of a step of an empty loop.
const maxRatio = 20

// measureRow returns the steps and the time of one run of a piece of Lua.
func measureRow(t *testing.T, setup, body string) (steps, ns float64) {
	t.Helper()
	source := "local O = hearth.object{} " + setup + "\nfunction O.expose:attack(n) for _ = 1, n do " + body +
		"\nend end return O"
	p, err := sandbox.Load(context.Background(), sandbox.Config{ID: "demo.row", Source: []byte(source),
		Limits: object.Limits{Steps: 1 << 40}})
	if err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	s, err := p.NewState(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	if err := s.NewInstance(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	call := func(n int) (int64, time.Duration) {
		s.Spent()
		begin := threadTime()
		_, err := s.Call(context.Background(), &sandbox.Request{
			Kind: object.Invoke, Method: "attack", Result: nothing{},
			Args: func(to object.Sink) error {
				return first(to.Begin(object.TupleKind, 1), to.Int(int64(n)), to.End(), to.Null())
			},
		})
		took := threadTime() - begin
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		return s.Spent(), took
	}
	call(1) // hashes are computed, caches filled
	for n := 1; ; n *= 4 {
		taken, took := call(n)
		if took > 2*time.Millisecond {
			return float64(taken) / float64(n), float64(took) / float64(n)
		}
	}
}

func TestHearthIsCharged(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	steps, ns := measureRow(t, "", "for i = 1, 1000 do end")
	step := ns / steps
	for _, r := range hearthRows {
		steps, ns := measureRow(t, r.setup, r.body)
		ratio := ns / steps / step
		t.Logf("%6.1f %9.0f steps %9.0f ns  %s", ratio, steps, ns, r.body)
		for tries := 0; ratio > maxRatio/2 && tries < 3; tries++ { // the garbage collector took part of the time
			steps, ns := measureRow(t, r.setup, r.body)
			ratio = min(ratio, ns/steps/step)
		}
		if steps < r.least {
			t.Errorf("%q: %.0f steps, want at least %.0f", r.body, steps, r.least)
		}
		if ratio > maxRatio {
			t.Errorf("%q: a step takes %.0f times that of an empty loop", r.body, ratio)
		}
	}
}

// TestHearthRowsAreComplete requires a row for every function that a script can reach and package lua does not make.
func TestHearthRowsAreComplete(t *testing.T) {
	covered := map[string]bool{"hearth.null": true}
	for _, r := range hearthRows {
		for name := range strings.FieldsSeq(r.covers) {
			covered[name] = true
			if last := name[strings.LastIndexByte(name, '.')+1:]; !strings.Contains(r.setup+r.body, last) {
				t.Errorf("the row %q does not use %s", r.body, name)
			}
		}
	}
	for _, e := range api.Entries() {
		ours := strings.HasPrefix(e.Name, "hearth.") || strings.HasPrefix(e.Name, "<") ||
			strings.HasPrefix(e.Name, "package.") || e.Name == "require" || e.Name == "module"
		if ours && e.Kind == "function" && !covered[e.Name] {
			t.Errorf("no row uses %s", e.Name)
		}
	}
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
