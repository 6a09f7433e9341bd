package worker

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
	durable "github.com/hearthhost/hearth/service/store"
	store "github.com/hearthhost/hearth/service/store/memory"
	"github.com/hearthhost/hearth/service/store/message"
)

// budget is the memory of a worker in bytes. Its instances may hold 48 MiB, together with the heap of the test.
const budget = 128 << 20

// hoarder is a script whose instances hold as many MiB as they are given.
const hoarder = `
local O = hearth.object { instance = "MODE" }
function O:init() self.held, self.n = {}, 0 end
local function keep(self, mib) for i = 1, mib do self.held[#self.held + 1] = ("x"):rep(2^20 - i) end end
function O.expose:keep(mib) keep(self, mib) self.n = self.n + 1 return self.n end
function O.expose:keeps(mib) keep(self, mib) return hearth.stream(function() return "item" end) end
function O.expose:wait(mib) keep(self, mib) return hearth.proxy("test.gate"):pass() end
return O`

// withBudget runs a test against a worker with a budget and an object of each mode.
func withBudget(t *testing.T, f func(t *testing.T, p *peer)) {
	t.Helper()
	old := debug.SetGCPercent(100) // the worker changes it
	t.Cleanup(func() { debug.SetGCPercent(old) })
	runtime.GC()
	withPeer(t, budget, func(t *testing.T, p *peer) {
		for _, mode := range []object.InstanceMode{object.Single, object.Session, object.PerCall} {
			p.serve(object.ID("acme."+string(mode)), strings.Replace(hoarder, "MODE", string(mode), 1), object.Limits{
				Memory:      100 << 20,
				MaxDuration: time.Hour,
			})
		}
		f(t, p)
	})
}

// on calls a method on a connection and returns its result.
func (p *peer) on(conn uint64, id object.ID, method object.Method, mib int) result {
	p.t.Helper()
	c := newCall(id, method, codec.Serpent, mib)
	c.Conn = conn
	r, _ := p.reply(p.call(c), codec.Serpent)
	return r
}

// wantEvicted checks that a result reports the end of its instance.
func wantEvicted(t *testing.T, r result, id object.ID, end string) {
	t.Helper()
	want := fmt.Sprintf("limit exceeded: the memory of the tenant's worker: an instance of %s held ", id)
	if r.err == nil || r.err.Code != object.CodeExhausted ||
		!strings.HasPrefix(r.err.Msg, want) || !strings.HasSuffix(r.err.Msg, end) {
		t.Errorf("result %+v, want an error %q … %q", r, want, end)
	}
}

// TestLargestInstanceIsEvicted exceeds the budget by several instances. The largest one ends, whose next call
// reports it, and the others keep their state.
func TestLargestInstanceIsEvicted(t *testing.T) {
	withBudget(t, func(t *testing.T, p *peer) {
		p.on(1, "acme.session", "keep", 30)
		p.on(2, "acme.session", "keep", 4)
		if r := p.on(3, "acme.session", "keep", 25); r.text != "1" {
			t.Errorf("the call that exceeds the budget: %+v", r)
		}
		wantEvicted(t, p.on(1, "acme.session", "keep", 1), "acme.session", "; not executed")
		for conn := range uint64(3) {
			want := map[uint64]string{0: "1", 1: "2", 2: "2"}[conn]
			if r := p.on(conn+1, "acme.session", "keep", 0); r.text != want {
				t.Errorf("session %d: %+v, want %s", conn+1, r, want)
			}
		}
	})
}

// TestOwnInstanceIsEvicted exceeds the budget by one instance, which ends after its call.
func TestOwnInstanceIsEvicted(t *testing.T) {
	withBudget(t, func(t *testing.T, p *peer) {
		r, rest := p.reply(p.call(newCall("acme.single", "keep", codec.Serpent, 60)), codec.Serpent)
		lost := link.HostCallHead{Object: "acme.single", Service: link.Log, Op: link.LogLost}
		if r.text != "1" || len(rest) != 1 || rest[0].hostCallHead() != lost {
			t.Errorf("the call: %+v, then %v", r, rest)
		}
		wantEvicted(t, p.invoke("acme.single", "keep", 0), "acme.single", "; not executed")
	})
}

// TestIdleCallInstancesAreEvictedFirst exceeds the budget by an idle instance of mode "call". It ends, and an instance
// that holds state does not.
func TestIdleCallInstancesAreEvictedFirst(t *testing.T) {
	withBudget(t, func(t *testing.T, p *peer) {
		p.on(1, "acme.session", "keep", 30)
		if r := p.invoke("acme.call", "keep", 25); r.text != "1" {
			t.Errorf("the call that exceeds the budget: %+v", r)
		}
		if r := p.on(1, "acme.session", "keep", 0); r.text != "2" {
			t.Errorf("the session: %+v", r)
		}
	})
}

// TestStreamOfEvictedInstance requests items of a stream whose instance was evicted. The first answer is the reason.
func TestStreamOfEvictedInstance(t *testing.T) {
	for _, id := range []object.ID{"acme.single", "acme.call"} {
		withBudget(t, func(t *testing.T, p *peer) {
			stream := p.invoke(id, "keeps", 30).stream
			if stream == 0 {
				t.Fatal("no stream is open")
			}
			p.on(1, "acme.session", "keep", 25)
			next := func() result {
				n := p.request()
				p.send(link.Next, n, func(e *link.Encoder) {
					e.Uint(stream)
					e.PutCall(newCall(id, "keeps", codec.Serpent))
				})
				r, _ := p.reply(n, codec.Serpent)
				return r
			}
			wantEvicted(t, next(), id, "; not executed")
			if r := next(); r.err == nil || r.err.Msg != object.ErrStreamGone.Msg {
				t.Errorf("the item after that: %+v", r)
			}
		})
	}
}

// TestRunningInstanceIsEnded exceeds the budget by a running call, which ends. It waits for another object and cannot
// report its memory, so that the worker attributes the rest of the heap to it.
func TestRunningInstanceIsEnded(t *testing.T) {
	withBudget(t, func(t *testing.T, p *peer) {
		p.on(1, "acme.session", "keep", 5)
		n := p.call(newCall("acme.single", "wait", codec.Serpent, 60))
		p.take()
		p.w.longCall() // as a script does that runs for long
		p.w.longCall()
		runtime.GC()
		time.Sleep(time.Second) // longer than the count may take
		r, _ := p.reply(n, codec.Serpent)
		wantEvicted(t, r, "acme.single", "; the call was executed in part")
		if r := p.on(1, "acme.session", "keep", 0); r.text != "2" {
			t.Errorf("the session: %+v", r)
		}
	})
}

// filling is a keyed object whose instances hold 60 KB, and log their close. SAVE is the rest of close.
const filling = `
local O = hearth.object { instance = "keyed" }
function O:init(key) self.key, self.n = key, 0 end
function O:close() SAVE hearth.log.info("close") end
function O.expose:fill() self.n, self.data = self.n + 1, self.data or ("x"):rep(60000) .. self.key return self.n end
function O.expose:saved() return hearth.store.get("n") or 0 end
function O.expose:wait() return hearth.proxy("test.gate"):pass(self.key) end
return O`

// withStore takes the frames of the worker until it is at rest, and answers the requests of its store.
func (p *peer) withStore(st *store.Engine) (rest []frame) {
	p.t.Helper()
	for {
		all, served := p.take(), false
		for _, f := range all {
			head := f.hostCallHead()
			if f.typ != link.HostCall || head.Service != link.Store {
				rest = append(rest, f)
				continue
			}
			served = true
			d := link.Decoder{B: f.body}
			d.HostCallFields()
			var e link.Encoder
			var err error
			switch head.Op {
			case link.StoreGet:
				var it durable.Item
				it, err = st.Get(context.Background(), head.Object, d.Text())
				message.PutItem(&e, &it)
			case link.StoreCommit:
				b := message.BatchFields(&d)
				b.Object = head.Object
				var r durable.Result
				r, err = st.Commit(context.Background(), b)
				message.PutResult(&e, &r)
			case link.StoreSettle:
			default:
				p.t.Errorf("the store has no op %d", head.Op)
			}
			if err != nil || d.Err != nil {
				p.t.Errorf("op %d of %s: %v, %v", head.Op, head.Object, err, d.Err)
			}
			p.send(link.HostReply, f.id, func(to *link.Encoder) {
				to.PutServiceReply(link.ServiceReply{Payload: e.B}, nil)
			})
		}
		if !served {
			return rest
		}
	}
}

// TestIdleKeysAreUnloaded exceeds the budget by a thousand small instances of a keyed object. Those that have been idle
// longest end with their close. A running call continues, and no call fails.
func TestIdleKeysAreUnloaded(t *testing.T) {
	const keys = 1000
	for name, save := range map[string]string{"without state": "", "with state": `hearth.store.put("n", self.n)`} {
		t.Run(name, func(t *testing.T) {
			withBudget(t, func(t *testing.T, p *peer) {
				p.serve("acme.cart", strings.Replace(filling, "SAVE", save, 1), object.Limits{
					MaxDuration: time.Hour, InstanceIdle: 24 * time.Hour, LogLines: 10 * keys,
				})
				var st store.Engine
				var closed, reported []string
				key := func(i int) object.ID { return object.ID("acme.cart").WithKey(fmt.Sprintf("user%04d", i)) }
				call := func(id object.ID, method object.Method) string {
					t.Helper()
					n := p.call(newCall(id, method, codec.Serpent))
					text := ""
					for _, f := range p.withStore(&st) {
						switch {
						case f.typ == link.Reply && f.id == n:
							r := decodeReply(t, f, codec.Serpent)
							if text = r.text; r.err != nil || r.exception {
								t.Fatalf("%s of %s: %+v", method, id, r)
							}
						case f.hostCallHead().Op == link.LogLine:
							closed = append(closed, string(f.hostCallHead().Object))
						case f.hostCallHead().Op == link.LogUnload:
							reported = append(reported, string(f.hostCallHead().Object))
						default:
							t.Fatalf("%s of %s: frame %+v", method, id, f)
						}
					}
					return text
				}
				defer func() { // the instances that remain
					p.sendText(link.Remove, 0, "acme.cart")
					p.withStore(&st)
				}()
				running := p.call(newCall(key(keys), "wait", codec.Serpent))
				asked := p.withStore(&st)
				for i := range keys {
					time.Sleep(time.Millisecond) // the order of the calls is also the order of their times
					if got := call(key(i), "fill"); got != "1" {
						t.Fatalf("the first call of %s returns %s", key(i), got)
					}
				}
				if len(closed) < keys/10 || len(closed) > keys*9/10 {
					t.Fatalf("%d of %d instances were unloaded", len(closed), keys)
				}
				t.Logf("%d of %d instances were unloaded", len(closed), keys)
				slices.Sort(closed) // their closes run at once
				slices.Sort(reported)
				if !slices.Equal(closed, reported) {
					t.Errorf("%d unloaded instances are reported, and %d have ended", len(reported), len(closed))
				}
				for i, id := range closed {
					if id != string(key(i)) {
						t.Fatalf("unloaded: %s, want %s, which has been idle longer", id, key(i))
					}
				}
				unloaded := len(closed)
				if got := call(key(keys-1), "fill"); got != "2" {
					t.Errorf("the last key returns %s, want its state", got)
				}
				want := "0"
				if save != "" {
					want = "1"
				}
				if got := call(key(unloaded/2), "saved"); got != want {
					t.Errorf("an unloaded key has %s in the store, want %s", got, want)
				}
				if got := call(key(unloaded/2), "fill"); got != "1" {
					t.Errorf("an unloaded key returns %s, want a new instance", got)
				}
				p.answer(asked[0].id, "ok")
				for _, f := range p.withStore(&st) {
					if f.id == running && decodeReply(t, f, codec.Serpent).text == "ok" {
						return
					}
				}
				t.Error("the running call has no result")
			})
		})
	}
}
