package dispatch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/route"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile"
)

// starter is a backend that completes calls in the goroutine of Start, and by Invoke.
type starter struct {
	object.Backend
	err              error // of Start's calls
	cold             bool  // Start begins nothing
	started, invoked []object.Method
}

func (b *starter) Start(c *object.Call, later func(func()), done func(any, object.Reply, error)) bool {
	if b.cold {
		return false
	}
	b.started = append(b.started, c.Method)
	later(func() {})
	done(nil, object.Reply{Payload: []byte("started")}, b.err)
	return true
}

func (b *starter) Cancel(*object.Call, error) {}

func (b *starter) Invoke(_ context.Context, c *object.Call) (object.Reply, error) {
	b.invoked = append(b.invoked, c.Method)
	return object.Reply{Payload: []byte("invoked")}, nil
}

func (b *starter) EndConn(uint64) {}

// testLoop is a loop whose Block runs its function at once, or leaves the loop if lose is set.
type testLoop struct {
	lose   bool
	before func() // called in Block
	posted []func()
}

func (l *testLoop) Post(f func()) { l.posted = append(l.posted, f) }

func (l *testLoop) Block(f func()) bool {
	l.before()
	f()
	return !l.lose
}

// asyncFixture is a round with one connection's calls.
type asyncFixture struct {
	d       *Dispatcher
	loop    testLoop
	round   *Round
	async   *Async
	file    string
	results chan string
	turns   int // calls of turn
	snap    *snapshot.Snapshot
	ctx     context.Context // of the connection
	cancel  func()
}

func newAsyncFixture(t *testing.T, b object.Backend) *asyncFixture {
	t.Helper()
	snap := flowSnapshot(t)
	snap.Routes = route.New(map[object.ID]route.Route{"acme.counter": {Backend: b}})
	var counters usage.Registry
	counters.Init()
	queue := new(admit.FairQueue)
	queue.Init(8)
	f := &asyncFixture{
		snap:    snap,
		file:    filepath.Join(t.TempDir(), "audit", "audit.jsonl"),
		results: make(chan string, 8),
	}
	f.d = New(Config{Snapshot: func() *snapshot.Snapshot { return f.snap }, Queue: queue, Usage: &counters})
	if err := os.Mkdir(filepath.Dir(f.file), 0o700); err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(audit.Config{Path: f.file, Permits: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	f.d.SetAudit(log)
	f.loop.before = func() {}
	f.round = NewRound(&f.loop, func(g func()) { g() })
	f.ctx, f.cancel = context.WithCancel(t.Context())
	t.Cleanup(f.cancel)
	f.async = f.d.NewAsync(f.ctx, func() { f.turns++ }, func(_ any, r object.Reply, err error) {
		if err != nil {
			f.results <- err.Error()
			return
		}
		f.results <- string(r.Payload)
	})
	return f
}

// request returns a call of a principal.
func (f *asyncFixture) request(id object.ID, who object.Principal) *Request {
	s := f.d.NewSession()
	s.SetPrincipal(who)
	r := &Request{Session: s, Slot: new(admit.Slot)}
	r.ID, r.Kind, r.Method, r.Caller = id, object.Get, "total", object.Caller{Principal: who}
	return r
}

// start starts a call of a principal.
func (f *asyncFixture) start(t *testing.T, id object.ID, who object.Principal) bool {
	t.Helper()
	progress, err := f.async.Start(f.request(id, who), time.Now(), f.round)
	if err != nil {
		t.Fatal(err)
	}
	return progress == Started
}

func (f *asyncFixture) records(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile(f.file)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(b, []byte(`"method":"total"`))
}

// lines returns the records without their time, number and hash.
func (f *asyncFixture) lines(t *testing.T) (records []string) {
	t.Helper()
	b, err := os.ReadFile(f.file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		if !bytes.Contains(line, []byte(`"method":"total"`)) {
			continue
		}
		var r map[string]any
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		for _, changing := range []string{"time", "seq", "prev", "hash"} {
			delete(r, changing)
		}
		records = append(records, fmt.Sprint(r))
	}
	return records
}

// TestRoundWritesFirst checks that a staged call begins after Commit has written its record, and not before.
func TestRoundWritesFirst(t *testing.T) {
	b := &starter{}
	f := newAsyncFixture(t, b)
	f.loop.before = func() {
		if len(b.started) > 0 {
			t.Error("a call began before its record was written")
		}
	}
	if !f.start(t, "acme.counter", "alice") {
		t.Fatal("Start started nothing")
	}
	if len(b.started) > 0 || f.records(t) > 0 {
		t.Errorf("before Commit %d calls began, %d records were written", len(b.started), f.records(t))
	}
	if !f.round.Commit() {
		t.Error("Commit lost the loop")
	}
	if got := <-f.results; got != "started" || f.records(t) != 1 {
		t.Errorf("the call ended with %s and has %d records, want started and 1", got, f.records(t))
	}
}

// TestRoundTakenOver checks that the calls of a write that took long begin in the loop's next goroutine.
func TestRoundTakenOver(t *testing.T) {
	b := &starter{}
	f := newAsyncFixture(t, b)
	f.loop.lose = true
	f.start(t, "acme.counter", "alice")
	if f.round.Commit() {
		t.Error("Commit kept the loop")
	}
	if len(b.started) > 0 || len(f.loop.posted) != 1 {
		t.Fatalf("%d calls began outside of the loop, %d functions were posted", len(b.started), len(f.loop.posted))
	}
	f.round.Abandon()
	f.loop.posted[0]()
	if got := <-f.results; got != "started" {
		t.Errorf("the call ended with %s, want started", got)
	}
}

// TestUnwrittenRound checks that no call of a round begins whose records cannot be written.
func TestUnwrittenRound(t *testing.T) {
	b := &starter{}
	f := newAsyncFixture(t, b)
	f.start(t, "acme.counter", "alice")
	if err := f.d.audit.Load().Close(); err != nil {
		t.Fatal(err)
	}
	f.round.Commit()
	if got := <-f.results; got != audit.ErrUnwritten.Error() || len(b.started) > 0 {
		t.Errorf("the call ended with %s and %d began, want %v", got, len(b.started), audit.ErrUnwritten)
	}
}

// TestAsyncDenies checks that a denied call gets the error of Do, and that RecordDenial writes the record of Do. The
// calls are of an object that the caller may not call and of a missing one, also with a backend that cannot start
// calls.
func TestAsyncDenies(t *testing.T) {
	for name, b := range map[string]object.Backend{"starter": &starter{}, "other": &instant{}} {
		for id, who := range map[object.ID]object.Principal{"acme.counter": "mallory", "acme.missing": "alice"} {
			f := newAsyncFixture(t, b)
			progress, err := f.async.Start(f.request(id, who), time.Now(), f.round)
			if progress != Refused || !errors.Is(err, ErrUnknown) {
				t.Fatalf("%s, %s of %s: Start() = %v, %v; want ErrUnknown", name, id, who, progress, err)
			}
			if f.round.Commit(); f.records(t) != 0 {
				t.Errorf("%s, %s of %s: a record was written in the loop", name, id, who)
			}
			f.async.RecordDenial()
			if _, err := f.d.Do(t.Context(), f.request(id, who)); !errors.Is(err, ErrUnknown) {
				t.Errorf("%s, %s of %s: Do() = %v", name, id, who, err)
			}
			records := f.lines(t)
			if len(records) != 2 || records[0] != records[1] {
				t.Errorf("%s, %s of %s: the records differ:\n%s", name, id, who, strings.Join(records, "\n"))
			}
		}
	}
}

// TestAsyncLeavesToDo checks that a permitted call that the loop cannot start is left to Do, and that nothing is
// recorded about it.
func TestAsyncLeavesToDo(t *testing.T) {
	f := newAsyncFixture(t, &instant{})
	if f.start(t, "acme.counter", "alice") {
		t.Error("Start started a call of a backend that cannot start calls")
	}
	if f.round.Commit(); f.records(t) != 0 {
		t.Errorf("%d records were written", f.records(t))
	}
}

// TestAsyncWaits checks that a call waits for its slot without a decision, a record or a goroutine, and that the state
// at its turn counts.
func TestAsyncWaits(t *testing.T) {
	for name, tc := range map[string]struct {
		meanwhile func(*asyncFixture, *Request)
		want      Progress
		err       error
	}{
		"nothing changes": {func(*asyncFixture, *Request) {}, Started, nil},
		"client gone":     {func(f *asyncFixture, _ *Request) { f.cancel() }, Left, nil},
		"caller revoked": {func(_ *asyncFixture, r *Request) {
			r.Recheck = func(bool) bool { return false }
		}, Refused, ErrRevoked},
		"denied by a new policy": {func(f *asyncFixture, _ *Request) {
			denies := *f.snap
			denies.Policy = denyAll(t)
			f.snap = &denies
		}, Refused, ErrUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			f := newAsyncFixture(t, &starter{})
			slots := f.contend(t)
			r := f.request("acme.counter", "alice")
			if progress, err := f.async.Start(r, time.Now(), f.round); progress != Waiting || err != nil {
				t.Fatalf("Start() = %v, %v while no slot is free, want Waiting", progress, err)
			}
			tc.meanwhile(f, r)
			f.d.cfg.Queue.Release(slots[0], true)
			if f.turns != 1 {
				t.Fatalf("turn was called %d times, want once", f.turns)
			}
			progress, err := f.async.Start(r, time.Now(), f.round)
			if progress != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("Start() = %v, %v at its turn, want %v, %v", progress, err, tc.want, tc.err)
			}
			if f.round.Commit(); progress == Started != (f.records(t) == 1) {
				t.Errorf("%d records after Start() = %v", f.records(t), progress)
			}
			if progress == Left {
				if _, err := f.d.Do(f.ctx, r); !errors.Is(err, errCancelled) {
					t.Errorf("Do() = %v, want %v", err, errCancelled)
				}
			}
		})
	}
}

// contend makes other flows hold all slots, and returns these.
func (f *asyncFixture) contend(t *testing.T) []*admit.Slot {
	t.Helper()
	var slots []*admit.Slot
	for i := range 9 { // the first call has no slot: it comes before the contention
		s := new(admit.Slot)
		flow := admit.Flow([]string{"other", "another"}[i%2])
		if !f.d.cfg.Queue.Request(s, flow, 1, time.Now(), nil) {
			t.Fatalf("slot %d is not free", i)
		}
		slots = append(slots, s)
	}
	return slots[1:]
}

// denyAll returns the policy of flowSnapshot without its permit.
func denyAll(t *testing.T) *policy.Policy {
	t.Helper()
	p, err := policyfile.Parse("policy.hcl", []byte(`
		tenant "acme" {}
		listener "l" { address = "127.0.0.1:0" }
		principal "alice" { uid = 1 }`), "", 0, func(string) (uint32, error) { return 0, nil })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestAsyncUsesInvoke checks that a goroutine runs the calls that the backend does not begin.
func TestAsyncUsesInvoke(t *testing.T) {
	for name, b := range map[string]*starter{"cold": {cold: true}, "retired": {err: object.ErrRetired}} {
		f := newAsyncFixture(t, b)
		f.start(t, "acme.counter", "alice")
		f.round.Commit()
		if got := <-f.results; got != "invoked" || len(b.invoked) != 1 {
			t.Errorf("%s: the call ended with %s, want invoked", name, got)
		}
	}
	failing := &starter{err: errors.New("failed")}
	f := newAsyncFixture(t, failing)
	f.start(t, "acme.counter", "alice")
	f.round.Commit()
	if got := <-f.results; got != "failed" || len(failing.invoked) > 0 {
		t.Errorf("a call that failed ended with %s and ran %d times more", got, len(failing.invoked))
	}
}

// retiring is a backend whose calls end unbegun after the loop has reused its memory.
type retiring struct {
	starter
	done    func(any, object.Reply, error)
	payload chan string
}

func (b *retiring) Start(_ *object.Call, later func(func()), done func(any, object.Reply, error)) bool {
	later(func() {})
	b.done = done
	return true
}

func (b *retiring) Invoke(_ context.Context, c *object.Call) (object.Reply, error) {
	b.payload <- string(c.Payload)
	return object.Reply{Payload: []byte("invoked")}, nil
}

// TestRetiredCallKeepsItsArguments ends the worker of a started call after the loop has read other messages into the
// memory of the call. The call runs in the next worker with its own arguments.
func TestRetiredCallKeepsItsArguments(t *testing.T) {
	b := &retiring{payload: make(chan string, 1)}
	f := newAsyncFixture(t, b)
	memory := []byte("arguments of alice")
	r := f.request("acme.counter", "alice")
	r.Payload = memory
	if progress, err := f.async.Start(r, time.Now(), f.round); progress != Started || err != nil {
		t.Fatalf("Start: %v, %v", progress, err)
	}
	f.round.Commit()
	copy(memory, "arguments of bob  ")
	b.done(nil, object.Reply{}, object.ErrRetired)
	if got := <-f.results; got != "invoked" {
		t.Errorf("the call ended with %s, want invoked", got)
	}
	if got := <-b.payload; got != "arguments of alice" {
		t.Errorf("the call ran with the %s", got)
	}
}
