package supervise

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/internal/redact"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/hostcall"
	"github.com/hearthhost/hearth/sandbox/link/linktest"
	"github.com/hearthhost/hearth/sandbox/process"
	"github.com/hearthhost/hearth/sandbox/script"
	"github.com/hearthhost/hearth/service/objectcall"
)

// machineWall is the longest run of a call in the machine.
const machineWall = 20 * time.Second

// machineArguments bounds the arguments of a call, in bytes.
const machineArguments = 1000

// machineScript counts the calls of an instance. Each call registers its tag first.
const machineScript = `
local V = %d
local O = hearth.object { instance = %q }
local ledger, gate = hearth.proxy("test.ledger"), hearth.proxy("test.gate")
function O:init(state)
	self.n = state and state.n or 0
	self.id = ledger:born()
end
local function count(self, tag)
	ledger:note(tag)
	self.n = self.n + 1
	return V .. ":" .. self.id .. ":" .. self.n
end
function O.expose:mark(tag) return count(self, tag) end
function O.expose:hold(tag) local r = count(self, tag) gate:pass(tag) return r end
function O.expose:burn(tag) count(self, tag) while true do end end
function O.expose:fail(tag) count(self, tag) error("no") end
function O.expose:secret(tag) count(self, tag) return hearth.secret("x") end
function O.expose:items(tag)
	local from, i = count(self, tag), 0
	return hearth.stream(function() i = i + 1 if i < 4 then return from .. ":" .. i end end)
end
%s
return O`

// machine drives a Tenant whose workers serve in the same process.
type machine struct {
	t *Tenant
	*services
	*locals
	last     int // number of the last version
	versions map[object.ID]int
	number   map[*script.Version]int
	secret   map[object.ID]string
	calls    map[string]*invocation
	stateful bool // a call for an instance that remembers was made since the last Check
	streams  map[uint64]*openStream
}

// invocation is one Invoke.
type invocation struct {
	id      object.ID
	method  object.Method
	conn    uint64
	version int // in use when the call was made; 0: a change of version was concurrent
	cancel  context.CancelFunc
	held    bool

	mu       sync.Mutex // guards the fields below
	returned int
	reply    object.Reply
	err      error
}

// openStream is a stream that is not known to have ended.
type openStream struct {
	id     object.ID
	worker *localWorker
	from   string // which call opened it: version, instance and count
	next   int
}

var machineObjects = map[object.ID]object.InstanceMode{
	"acme.single":  object.Single,
	"acme.session": object.Session,
	"acme.call":    object.PerCall,
}

// TestMachine runs random operations on a Tenant, whose workers end at random. Every Invoke returns once, and its error
// is true about the execution.
func TestMachine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		linktest.Bubble(t, func(*testing.T) {
			m := newMachine()
			defer m.end()
			rt.Repeat(rapid.StateMachineActions(m))
			m.finish(rt)
		})
	})
}

func newMachine() *machine {
	m := &machine{
		services: newServices(),
		locals:   &locals{},
		versions: map[object.ID]int{},
		number:   map[*script.Version]int{},
		secret:   map[object.ID]string{},
		calls:    map[string]*invocation{},
		streams:  map[uint64]*openStream{},
	}
	m.started = m.restart
	var all []*script.Version
	for _, id := range slices.Sorted(maps.Keys(machineObjects)) {
		v := m.newVersion(id)
		m.versions[id] = m.number[v]
		all = append(all, v)
	}
	m.t = New(Config{Tenant: "acme", Services: []hostcall.Service{objectcall.New(m.call)}}, all...)
	m.t.start = m.start
	return m
}

// newVersion returns a version of an object.
func (m *machine) newVersion(id object.ID) *script.Version {
	m.last++
	mode := machineObjects[id]
	handover := ""
	if mode == object.Single {
		handover = "function O:handover() return { n = self.n } end"
	}
	source := fmt.Sprintf(machineScript, m.last, string(mode), handover)
	libs := script.NewLibs(map[string]script.Script{"m": {File: "lib/m.lua", Source: []byte("return {}")}})
	v := script.NewVersion(id, script.Script{File: "x.lua", Source: []byte(source)}, libs, object.Limits{
		Steps:       20_000,
		MaxDuration: machineWall,
		Queue:       4,
		Parallel:    2,
		LogLines:    2,

		ArgumentBytes: machineArguments,
	})
	m.number[v] = m.last
	return v
}

// end ends all that a failed check has left.
func (m *machine) end() {
	for _, c := range m.calls {
		c.cancel()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = m.t.Close(ctx)
	time.Sleep(time.Hour) // the limits of scripts that ran in workers that were killed
}

// invoke starts an Invoke.
func (m *machine) invoke(id object.ID, method object.Method, conn uint64, wait time.Duration) *invocation {
	ctx, cancel := context.WithCancel(context.Background())
	tag := fmt.Sprint("call", len(m.calls))
	c := &invocation{
		id:      id,
		method:  method,
		conn:    conn,
		version: m.versions[id],
		cancel:  cancel,
		held:    method == "hold",
	}
	m.calls[tag] = c
	m.stateful = m.stateful || machineObjects[id] != object.PerCall
	call := newMachineCall(id, method, conn, tag)
	if wait > 0 {
		call.Deadline = time.Now().Add(wait)
	}
	go func() {
		r, err := m.t.Invoke(ctx, call)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.returned++
		c.reply, c.err = r, err
	}()
	return c
}

func newMachineCall(id object.ID, method object.Method, conn uint64, args ...any) *object.Call {
	payload, err := pyro.AppendCall(codec.ByID(codec.Serpent), nil, string(id), string(method), args, nil, false)
	if err != nil {
		panic(err)
	}
	return &object.Call{
		ID:      id,
		Kind:    object.Invoke,
		Method:  method,
		Conn:    conn,
		Format:  "pyro5/serpent",
		Payload: payload,
	}
}

func (c *invocation) result() (returned int, r object.Reply, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.returned, c.reply, c.err
}

// pending returns the tags of the calls that have not returned.
func (m *machine) pending() []string {
	var all []string
	for tag, c := range m.calls {
		if n, _, _ := c.result(); n == 0 {
			all = append(all, tag)
		}
	}
	slices.Sort(all)
	return all
}

func drawObject(t *rapid.T) object.ID {
	return rapid.SampledFrom(slices.Sorted(maps.Keys(machineObjects))).Draw(t, "object")
}

func drawConn(t *rapid.T) uint64 { return rapid.Uint64Range(1, 3).Draw(t, "conn") }

// Call calls a method.
func (m *machine) Call(t *rapid.T) {
	method := rapid.SampledFrom([]object.Method{"mark", "mark", "burn", "fail", "none"}).Draw(t, "method")
	m.invoke(drawObject(t), method, drawConn(t), 0)
}

// Hold calls a method that waits at the gate.
func (m *machine) Hold(t *rapid.T) {
	wait := rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(t, "wait")
	m.invoke(drawObject(t), "hold", drawConn(t), wait)
}

// Large calls a method with more arguments than the object takes.
func (m *machine) Large(t *rapid.T) {
	c := newMachineCall(drawObject(t), "mark", 1, strings.Repeat("x", machineArguments))
	_, err := m.t.Invoke(context.Background(), c)
	if m.t.Has(c.ID) && object.CodeOf(err) != object.CodeTooLarge {
		t.Errorf("a call with long arguments: %v", err)
	}
}

// Release opens the gate for a call.
func (m *machine) Release(t *rapid.T) {
	held := slices.Sorted(maps.Keys(m.held()))
	if len(held) == 0 {
		t.Skip("no call is held")
	}
	m.open(rapid.SampledFrom(held).Draw(t, "held"))
}

// Cancel cancels a call, which returns at once.
func (m *machine) Cancel(t *rapid.T) {
	all := m.pending()
	if len(all) == 0 {
		t.Skip("no call is pending")
	}
	c := m.calls[rapid.SampledFrom(all).Draw(t, "call")]
	c.cancel()
	synctest.Wait()
	if n, _, err := c.result(); n != 1 || object.CodeOf(err) != object.CodeCanceled {
		t.Errorf("a call that was cancelled has returned %d times: %v", n, err)
	}
}

// Crash ends the worker.
func (m *machine) Crash(t *rapid.T) {
	w := m.current()
	if w == nil {
		t.Skip("no worker has been started")
	}
	w.Kill()
	synctest.Wait()
	if m.t.Running() == w.PID() {
		t.Error("a worker that has ended is running")
	}
}

// Recover ends the worker, and calls an object of each mode after the back-off. A new worker answers with new
// instances.
func (m *machine) Recover(t *rapid.T) {
	if m.current() == nil {
		t.Skip("no worker has been started")
	}
	m.current().Kill()
	time.Sleep(time.Minute)
	synctest.Wait()
	m.refuse = 0
	before, starts := m.instances(), len(m.all)
	for _, id := range slices.Sorted(maps.Keys(machineObjects)) {
		c := m.invoke(id, "mark", drawConn(t), 0)
		synctest.Wait()
		n, r, err := c.result()
		if n != 1 || err != nil {
			if m.t.Has(id) && !m.t.Status().Quarantined {
				t.Errorf("a call of %s after the back-off has returned %d times: %v", id, n, err)
			}
			continue
		}
		got, _ := text(r)
		var version, instance, count int
		_, err = fmt.Sscanf(got, "%d:%d:%d", &version, &instance, &count)
		if err != nil || instance <= before || count != 1 {
			t.Errorf("a call of %s after the end of its worker returned %q, want a new instance: %v", id, got, err)
		}
		if len(m.all) != starts+1 {
			t.Errorf("%d workers have been started, want %d", len(m.all), starts+1)
		}
	}
}

// Race makes calls while the worker ends, its objects change or callers leave.
func (m *machine) Race(t *rapid.T) {
	w := m.current()
	event := rapid.SampledFrom([]string{"crash", "cancel", "use", "withdraw"}).Draw(t, "event")
	id := drawObject(t)
	after := rapid.IntRange(0, 20).Draw(t, "after")
	for i := range rapid.IntRange(1, 6).Draw(t, "calls") {
		method := object.Method("mark")
		if i%3 == 2 {
			method = "hold"
		}
		c := m.invoke(id, method, uint64(i%2+1), 0)
		c.version = 0
		if event == "cancel" && i%2 == 0 {
			defer c.cancel()
		}
	}
	for range after { // the goroutines of host and worker run meanwhile
		runtime.Gosched()
	}
	switch event {
	case "crash":
		if w != nil {
			w.Kill()
		}
	case "use":
		m.use(m.newVersion(id))
	case "withdraw":
		m.t.Withdraw(func(*object.Call) error { return errWithdrawn })
	}
}

var errWithdrawn = object.Errorf(object.CodeDenied, "no permission any more; not executed")

// Withdraw withdraws the calls of an object that have not begun.
func (m *machine) Withdraw(t *rapid.T) {
	id := drawObject(t)
	m.t.Withdraw(func(c *object.Call) error {
		if c.ID != id {
			return nil
		}
		return errWithdrawn
	})
	synctest.Wait()
	if m.asleep() {
		return
	}
	held := m.held()
	for _, tag := range m.pending() {
		if c := m.calls[tag]; c.id == id && !held[tag] {
			t.Errorf("%s of %s waits, and was withdrawn", tag, id)
		}
	}
}

// asleep reports whether the worker is paused.
func (m *machine) asleep() bool {
	w := m.current()
	return w != nil && w.paused.Load() != nil
}

// Pause stops the worker's reader.
func (m *machine) Pause(t *rapid.T) {
	if m.current() == nil || m.asleep() {
		t.Skip("no worker is reading")
	}
	m.current().pause()
}

// Resume lets the worker read again.
func (m *machine) Resume(t *rapid.T) {
	if !m.asleep() {
		t.Skip("the worker is reading")
	}
	m.current().resume()
}

// Sleep lets time pass: deadlines, limits and the back-off end, and an idle worker is stopped.
func (m *machine) Sleep(t *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{
		100 * time.Millisecond, 2 * time.Second, machineWall + process.Grace + 11*time.Second, 3 * process.DefaultIdle,
	}).Draw(t, "time")
	time.Sleep(d)
	synctest.Wait()
	if d < 3*process.DefaultIdle {
		return
	}
	if all := m.pending(); len(all) > 0 {
		t.Errorf("calls that have not returned after the limit of all before them: %v", all)
	}
	if !m.holdsState() && len(m.streams) == 0 && m.t.Running() != 0 {
		t.Error("an idle worker is running")
	}
}

// RefuseStart has the next start of a worker fail.
func (m *machine) RefuseStart(*rapid.T) { m.refuse = 1 }

// use puts versions into use.
func (m *machine) use(v *script.Version) {
	if !m.t.Has(v.ID) {
		m.forget(v.ID)
	}
	m.t.Activate(v)
	m.versions[v.ID] = m.number[v]
}

// Use puts a version into use that was not tried.
func (m *machine) Use(t *rapid.T) { m.use(m.newVersion(drawObject(t))) }

// Try tries a version, and uses it or forgets it.
func (m *machine) Try(t *rapid.T) {
	v := m.newVersion(drawObject(t))
	d, err := m.t.Stage(context.Background(), v)
	if err != nil {
		if code := object.CodeOf(err); code != object.CodeUnavailable && !m.mayEnd(err) {
			t.Errorf("trying a version: %v", err)
		}
		return
	}
	if d.Instance != machineObjects[v.ID] {
		t.Errorf("a version of %s is described as %q", v.ID, d.Instance)
	}
	if rapid.Bool().Draw(t, "use") {
		m.use(v)
	} else {
		m.t.Discard(v)
	}
}

// mayEnd reports whether an error is due to the end of a worker, which is not the fault of the version.
func (m *machine) mayEnd(err error) bool {
	var load *script.LoadError
	return errors.As(err, &load) &&
		(strings.Contains(load.Msg, "the worker ended") || strings.Contains(load.Msg, "not done after"))
}

// TryBroken tries a script that does not compile. The worker continues.
func (m *machine) TryBroken(t *rapid.T) {
	broken := script.Script{File: "x.lua", Source: []byte("return = 1")}
	v := script.NewVersion(drawObject(t), broken, script.NewLibs(nil), object.Limits{})
	running := m.t.Running()
	asleep := m.asleep()
	_, err := m.t.Stage(context.Background(), v)
	var load *script.LoadError
	if !errors.As(err, &load) && object.CodeOf(err) != object.CodeUnavailable {
		t.Errorf("trying a script that does not compile: %v", err)
	}
	if running != 0 && !asleep && m.t.Running() != running {
		t.Error("a script that does not compile has ended the worker")
	}
}

// Test runs the tests of a version.
func (m *machine) Test(t *rapid.T) {
	v := m.newVersion(drawObject(t))
	tests := script.Script{File: "x_test.lua", Source: []byte(`return { bad = function() error("wrong") end }`)}
	results, err := m.t.Test(context.Background(), v, tests)
	switch {
	case err != nil && object.CodeOf(err) != object.CodeUnavailable && !m.mayEnd(err):
		t.Errorf("testing a version: %v", err)
	case err == nil && (len(results) != 1 || !strings.Contains(results[0].Err, "wrong")):
		t.Errorf("results: %v", results)
	}
}

// Describe describes an object.
func (m *machine) Describe(t *rapid.T) {
	id := drawObject(t)
	d, err := m.t.Describe(context.Background(), id)
	switch {
	case !m.t.Has(id):
		if object.CodeOf(err) != object.CodeNotFound {
			t.Errorf("describing an unknown object: %v", err)
		}
	case err != nil:
		if code := object.CodeOf(err); code != object.CodeUnavailable && code != object.CodeDeadline {
			t.Errorf("describing %s: %v", id, err)
		}
	case d.Instance != machineObjects[id]:
		t.Errorf("%s is described as %q", id, d.Instance)
	}
}

// Remove removes an object.
func (m *machine) Remove(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "rarely") > 0 {
		t.Skip("rarely")
	}
	id := drawObject(t)
	m.t.Remove(id)
	m.versions[id] = 0
}

// EndConn ends a connection.
func (m *machine) EndConn(t *rapid.T) { m.t.EndConn(drawConn(t)) }

// Secret changes the secret of an object, and reads it if the object is idle.
func (m *machine) Secret(t *rapid.T) {
	id := drawObject(t)
	value := rapid.SampledFrom([]string{"", "first-value", "second-value"}).Draw(t, "secret")
	all := &Secrets{ByObject: map[object.ID]map[string]string{}, Known: (*redact.Set)(nil).With("x", "first-value")}
	if m.secret[id] = value; value == "" {
		delete(m.secret, id)
	}
	for id, value := range m.secret {
		all.ByObject[id] = map[string]string{"x": value}
	}
	if len(m.secret) == 0 && rapid.Bool().Draw(t, "nil") {
		all = nil
	}
	m.t.SetSecrets(all)
	c := m.invoke(id, "secret", drawConn(t), 0)
	synctest.Wait()
	n, r, err := c.result()
	if n == 0 || err != nil {
		return
	}
	if got, ok := text(r); value != "" && (!ok || got != value) || value == "" && ok {
		t.Errorf("the secret of %s is %q, want %q", id, got, value)
	}
}

// text returns the text of a result, false if it is an exception.
func text(r object.Reply) (string, bool) {
	v, err := codec.Unmarshal(codec.ByID(codec.Serpent), r.Payload, codec.Limits{})
	s, ok := v.(string)
	return s, ok && err == nil && !r.Exception
}

// OpenStream opens a stream if its object is idle.
func (m *machine) OpenStream(t *rapid.T) {
	id := drawObject(t)
	c := m.invoke(id, "items", drawConn(t), 0)
	synctest.Wait()
	n, r, err := c.result()
	if n == 1 && err == nil && !r.Exception && r.Stream != 0 {
		if m.streams[r.Stream] != nil {
			t.Errorf("two streams have the number %d", r.Stream)
		}
		m.streams[r.Stream] = &openStream{id: id, worker: m.current()}
	}
}

// NextItem requests the next item of a stream. A stream of a worker that has ended is gone.
func (m *machine) NextItem(t *rapid.T) {
	n, s := m.drawStream(t)
	if m.asleep() || len(m.pending()) > 0 {
		t.Skip("the item may have to wait")
	}
	alive := m.current() == s.worker && m.t.Running() == s.worker.PID()
	r, more, err := m.t.Next(context.Background(), newMachineCall(s.id, "items", 1), n)
	if err != nil || !more || r.Exception {
		delete(m.streams, n)
	}
	if err != nil {
		if object.CodeOf(err) != object.ErrStreamGone.Code {
			t.Errorf("the next item: %v", err)
		}
		return
	}
	if !alive {
		t.Errorf("a stream of a worker that has ended has an item: %q", r.Payload)
	}
	s.next++
	if !more {
		if s.next != 4 {
			t.Errorf("the stream ends before item %d", s.next)
		}
		return
	}
	got, _ := text(r)
	i := strings.LastIndexByte(got, ':')
	if i < 0 || got[i+1:] != fmt.Sprint(s.next) || s.from != "" && s.from != got[:i] {
		t.Errorf("item %d of the stream %q is %q", s.next, s.from, got)
		return
	}
	s.from = got[:i]
}

// CloseStream closes a stream.
func (m *machine) CloseStream(t *rapid.T) {
	n, _ := m.drawStream(t)
	m.t.CloseStream(n)
	delete(m.streams, n)
}

func (m *machine) drawStream(t *rapid.T) (uint64, *openStream) {
	if len(m.streams) == 0 {
		t.Skip("no stream is open")
	}
	n := rapid.SampledFrom(slices.Sorted(maps.Keys(m.streams))).Draw(t, "stream")
	return n, m.streams[n]
}

// Check compares the results of calls with their executions. A call without a result waits at the gate, behind a call
// at the gate, or for a paused worker.
func (m *machine) Check(t *rapid.T) {
	t.Helper()
	synctest.Wait()
	if m.stateful {
		m.setStateful() // also by a call that was cancelled before its instance was made
		m.stateful = false
	}
	held := m.held()
	waiting := map[object.ID]bool{}
	for tag := range held {
		waiting[m.calls[tag].id] = true
	}
	for tag, c := range m.calls {
		m.checkCall(t, tag, c)
		if n, _, _ := c.result(); n == 0 && !held[tag] && !waiting[c.id] && !m.asleep() {
			t.Errorf("%s of %s has not returned, and nothing holds it", tag, c.id)
		}
	}
	for w := range slices.Values(m.all) {
		if w != m.current() && w.PID() == m.t.Running() {
			t.Errorf("worker %d is running after its successor was started", w.number)
		}
	}
}

// checkCall checks the result of one call.
func (m *machine) checkCall(t *rapid.T, tag string, c *invocation) {
	t.Helper()
	n, r, err := c.result()
	if n > 1 {
		t.Errorf("%s has returned %d times", tag, n)
	}
	m.mu.Lock()
	executed, position := m.executed[tag], m.position[tag]
	m.mu.Unlock()
	if executed > 1 {
		t.Errorf("%s was executed %d times", tag, executed)
	}
	if n == 0 {
		return
	}
	if least, most := executions(c, err); executed < least || executed > most {
		t.Errorf("%s of %s was executed %d times and returned %v", tag, c.id, executed, err)
	}
	got, ok := text(r)
	if err != nil || !ok || c.method != "mark" && c.method != "hold" {
		return
	}
	var version, instance, count int
	if _, err := fmt.Sscanf(got, "%d:%d:%d", &version, &instance, &count); err != nil {
		t.Errorf("%s returned %q: %v", tag, got, err)
	}
	// A call that ended while it registered itself may not have been counted by the instance.
	least := position - m.aborted(c.id)
	if c.id == "acme.single" && (count > position || count < least) || c.id == "acme.call" && count != 1 {
		t.Errorf("%s of %s returned the count %d, and was the call number %d of its object", tag, c.id, count, position)
	}
	if version < c.version && c.id != "acme.session" {
		t.Errorf("%s was answered by version %d, and version %d was in use when it was made", tag, version, c.version)
	}
}

// aborted returns how many calls of an object have ended before their script did.
func (m *machine) aborted(id object.ID) (n int) {
	for _, c := range m.calls {
		if returned, _, err := c.result(); returned > 0 && c.id == id && err != nil {
			n++
		}
	}
	return n
}

// executions returns how often a call may have been executed, given its error.
func executions(c *invocation, err error) (least, most int) {
	switch {
	case err == nil:
		return 1, 1
	case strings.Contains(err.Error(), "not executed"):
		return 0, 0
	case strings.Contains(err.Error(), "executed in part"):
		return 0, 1
	case strings.Contains(err.Error(), "whether it was executed is unknown"):
		return 0, 1
	case object.CodeOf(err) == object.CodeNotFound, object.CodeOf(err) == object.CodeRetired:
		return 0, 0
	}
	return -1, -1 // the error reports nothing about the execution
}

// finish ends the tenant. Calls that can end before the deadline of Close do so.
func (m *machine) finish(t *rapid.T) {
	if w := m.current(); w != nil {
		w.resume()
	}
	way := rapid.SampledFrom([]string{"retire", "drain", "deadline"}).Draw(t, "end")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		if way == "retire" {
			m.t.Retire(ctx)
		}
		_ = m.t.Close(ctx)
	}()
	synctest.Wait()
	if way == "deadline" {
		cancel()
		synctest.Wait()
	}
	pending := m.pending()
	crashes := m.t.Status().Crashes
	for len(m.held()) > 0 {
		for tag := range m.held() {
			m.open(tag)
		}
		synctest.Wait()
	}
	for _, c := range m.calls {
		if _, r, _ := c.result(); r.Stream != 0 {
			m.t.CloseStream(r.Stream) // Retire waits for the end of streams
		}
	}
	<-closed
	synctest.Wait()
	m.Check(t)
	if all := m.pending(); len(all) > 0 {
		t.Errorf("calls that have not returned after the end: %v", all)
	}
	for _, tag := range pending {
		if _, _, err := m.calls[tag].result(); way != "deadline" && err != nil && m.t.Status().Crashes == crashes {
			if object.CodeOf(err) == object.CodeUnavailable {
				t.Errorf("%s of a tenant that drains: %v", tag, err)
			}
		}
	}
	for _, w := range m.all {
		if !w.waited {
			t.Errorf("worker %d has not been waited for", w.number)
		}
	}
	if _, err := m.t.Invoke(context.Background(), newMachineCall("acme.call", "mark", 1, "late")); err == nil {
		t.Error("a call of a closed tenant succeeds")
	}
}
