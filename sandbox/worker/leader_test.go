package worker

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/link/linktest"
	"github.com/hearthhost/hearth/sandbox/services"
)

// busyScript is an object whose methods return at once, compute, wait for another object, or return an item stream.
const busyScript = `
local O = hearth.object { instance = "MODE" }
function O:init() self.n = 0 end
function O.expose:inc() self.n = self.n + 1 return self.n end
function O.expose:compute() for i = 1, 20000 do end self.n = self.n + 1 return self.n end
function O.expose:forever() while true do end end
function O.expose:wait() hearth.proxy("test.gate"):pass() self.n = self.n + 1 return self.n end
function O.expose:log() hearth.log.info("line") end
return O`

func busyObject(mode object.InstanceMode) string {
	return strings.Replace(busyScript, "MODE", string(mode), 1)
}

// patient are limits that no call of these tests exceeds.
var patient = object.Limits{MaxDuration: time.Hour, Steps: 1 << 50, Queue: 4000, Parallel: 8, Sessions: 100}

// collect appends the frames that f sends, so that the worker receives them together.
func (c *client) collect(f func(c *client)) {
	socket := c.out
	var frames frameCollector
	c.out = link.NewWriter(&frames)
	f(c)
	c.out = socket
	if err := c.out.Write(frames); err != nil {
		c.t.Error(err)
	}
}

type frameCollector []byte

func (f *frameCollector) Write(p []byte) (int, error) {
	*f = append(*f, p...)
	return len(p), nil
}

// TestLongCallDelaysNoReply sends a short call, a call that does not end and another short call together. The short
// calls and a ping are answered. The long call can then be cancelled.
func TestLongCallDelaysNoReply(t *testing.T) {
	for _, mode := range []object.InstanceMode{object.PerCall, object.Single, object.Session} {
		for _, method := range []object.Method{"forever", "wait"} {
			t.Run(fmt.Sprintf("%s/%s", mode, method), func(t *testing.T) {
				c := serve(t)
				c.load("acme.long", busyObject(mode), patient)
				c.load("acme.short", busyObject(mode), patient)
				c.call("acme.short", "inc", 1)
				c.call("acme.long", "inc", 1)
				c.read(2, nil) // both are loaded
				var long uint64
				c.collect(func(c *client) {
					c.call("acme.short", "inc", 1)
					long = c.call("acme.long", method, 1)
					c.call("acme.short", "inc", 2)
					c.send(link.Ping, 1, nil)
				})
				cancel := func(ready bool) {
					if ready {
						c.send(link.Cancel, long, nil)
					}
				}
				answered, pong, pings := 0, false, uint64(1)
				c.answered = func(n int) {
					answered = n
					cancel(n == 2 && pong)
				}
				answers := c.read(3, func(typ link.Type, _ uint64, body []byte) {
					d := link.Decoder{B: body}
					if typ != link.Pong {
						return
					}
					runs := false
					d.RunningFields(func(r link.Running) { runs = runs || r.ID == long })
					if pings++; !runs && pings < 1000 { // another goroutine may begin it later than the ping is read
						c.send(link.Ping, pings, nil)
						return
					}
					if !runs {
						t.Errorf("request %d is not running", long)
					}
					pong = true
					cancel(answered == 2)
				})
				c.answered = nil
				for id, a := range answers {
					if id != long && a.err || id == long && !strings.Contains(a.text, "the call was cancelled") {
						t.Errorf("request %d: %+v", id, a)
					}
				}
				c.call("acme.long", "inc", 2)
				if got := slices.Collect(maps.Values(c.read(1, nil))); got[0].err && mode != object.Single {
					t.Errorf("a call after that: %+v", got)
				}
			})
		}
	}
}

// TestWatchdog blocks the leader in a call for a reason that the worker is not told of. Other calls are answered
// meanwhile.
func TestWatchdog(t *testing.T) {
	c := serve(t)
	c.load("acme.blocked", busyObject(object.Single), patient)
	c.call("acme.blocked", "inc", 1)
	c.read(1, nil)
	a := c.w.memory.All()[0]
	for !a.TryLock() { // the reply comes before the actor is idle
		runtime.Gosched()
	}
	c.load("acme.other", busyObject(object.PerCall), patient)
	var blocked, other uint64
	c.collect(func(c *client) {
		blocked = c.call("acme.blocked", "inc", 1)
		other = c.call("acme.other", "inc", 1)
	})
	if got := c.read(1, nil); got[other].err || text(got[other]) != "1" {
		t.Errorf("answers while a call is blocked: %v", got)
	}
	a.Unlock()
	if got := c.read(1, nil); text(got[blocked]) != "2" {
		t.Errorf("the call that was blocked: %v", got)
	}
}

// TestTakeOverRace makes calls of all kinds, in all modes, while another goroutine takes over at any time. Each call
// is answered once, and each instance has counted its calls.
func TestTakeOverRace(t *testing.T) {
	c := serve(t)
	modes := []object.InstanceMode{object.PerCall, object.Single, object.Session}
	for _, mode := range modes {
		c.load(object.ID("acme."+string(mode)), busyObject(mode), patient)
	}
	const calls = 600
	progress := make(chan struct{}, 10*calls) // holds a token for each frame in either direction
	var all sync.WaitGroup
	all.Go(func() {
		for range progress {
			c.w.leader.TakeOver()
		}
	})
	sent := make(chan map[uint64]object.ID, 1)
	sender := sync.WaitGroup{}
	sender.Go(func() {
		random := rand.New(rand.NewPCG(1, 2))
		ids := map[uint64]object.ID{}
		for range calls {
			id := object.ID("acme." + string(modes[random.IntN(len(modes))]))
			method := []object.Method{"inc", "inc", "inc", "compute", "wait"}[random.IntN(5)]
			ids[c.call(id, method, uint64(random.IntN(3)))] = id
			progress <- struct{}{}
		}
		sent <- ids
	})
	c.answered = func(int) { progress <- struct{}{} }
	answers := c.read(calls, func(typ link.Type, id uint64, _ []byte) {
		progress <- struct{}{}
		if typ == link.HostCall {
			c.send(link.HostReply, id, func(e *link.Encoder) {
				e.PutServiceReply(link.ServiceReply{Payload: []byte("# serpent utf-8 python3.2\n1")}, nil)
			})
		}
	})
	sender.Wait()
	close(progress)
	all.Wait()
	counts := map[object.ID]map[string]int{}
	for request, id := range <-sent {
		a, ok := answers[request]
		if !ok || a.err {
			t.Fatalf("request %d of %s: %+v", request, id, a)
		}
		if counts[id] == nil {
			counts[id] = map[string]int{}
		}
		counts[id][text(a)]++
	}
	if n := counts["acme.call"]; len(n) != 1 {
		t.Errorf("instances of mode call returned %v, want 1 alone", n)
	}
	for n, times := range counts["acme.single"] {
		if times != 1 {
			t.Errorf("the single instance returned %s %d times", n, times)
		}
	}
	for n, times := range counts["acme.session"] {
		if times > 3 {
			t.Errorf("three sessions returned %s %d times", n, times)
		}
	}
}

// panicker is a service that panics.
type panicker struct{}

func (panicker) Line(object.ID, string, string) { panic("out of order") }

// TestPanicOfLeader has a service panic while the leader runs a call. The call fails, and the worker continues.
func TestPanicOfLeader(t *testing.T) {
	c := serve(t, func(w *process) {
		w.pool.Load(1000, sandbox.Config{
			ID:       "acme.panics",
			Source:   []byte(busyObject(object.Session)),
			Services: services.Set{Log: panicker{}},
			Limits:   patient,
		})
		if err := w.pool.Use(1000); err != nil {
			t.Fatal(err)
		}
	})
	for range 3 {
		c.collect(func(c *client) {
			before := c.call("acme.panics", "inc", 1)
			failed := c.call("acme.panics", "log", 2)
			after := c.call("acme.panics", "inc", 3)
			c.last = max(before, failed, after)
		})
		got := c.read(3, nil)
		if a := got[c.last-1]; !a.err {
			t.Errorf("the call that panics: %+v", a)
		}
		if got[c.last-2].err || got[c.last].err {
			t.Errorf("calls before and after it: %+v, %+v", got[c.last-2], got[c.last])
		}
	}
}

// writeCounter counts the writes to a connection.
type writeCounter struct {
	*linktest.End
	mu sync.Mutex // guards n
	n  int
}

func (w *writeCounter) count(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n += n
}

func (w *writeCounter) Write(p []byte) (int, error) {
	w.count(1)
	return w.End.Write(p)
}

func (w *writeCounter) TryWrite(p []byte) (int, error) {
	w.count(1)
	return w.End.TryWrite(p)
}

// TestRepliesInOneWrite sends calls together. Their replies leave in one write, and a lone reply leaves at once.
func TestRepliesInOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs, err := linktest.Pair()
		if err != nil {
			t.Fatal(err)
		}
		conn := &writeCounter{End: theirs}
		p := &peer{
			t:      t,
			w:      newProcess(conn, 0),
			out:    link.NewWriter(ours),
			end:    ours,
			served: make(chan error, 1),
			read:   make(chan struct{}),
		}
		p.start()
		defer p.close()
		p.serve("acme.o", busyObject(object.PerCall), object.Limits{})
		p.invoke("acme.o", "inc")
		for _, calls := range []int{1, 10, maxQueuedReplies} {
			conn.n = 0
			for range calls {
				var e link.Encoder
				e.Begin(link.Call, p.request())
				e.PutCall(newCall("acme.o", "inc", codec.Serpent))
				if err := p.out.Append(e.Frame()); err != nil {
					t.Fatal(err)
				}
			}
			p.out.Flush()
			if got := p.take(); len(got) != calls || conn.n != 1 {
				t.Errorf("%d calls have %d replies in %d writes, want one write", calls, len(got), conn.n)
			}
		}
	})
}

// maxQueuedReplies is the number of replies that the link writes together.
const maxQueuedReplies = 32
