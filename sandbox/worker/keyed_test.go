package worker

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// cart is a keyed object that logs the ends of its instances.
const cart = `
local Cart = hearth.object { instance = "keyed" }
function Cart:init(key, state) self.key, self.items = key, state and state.items or {} end
function Cart:close() hearth.log.info("close " .. self.key) end
function Cart.expose:add(item) self.items[#self.items + 1] = item return #self.items end
function Cart.expose:key() return self.key end
function Cart.expose:wait() return hearth.proxy("test.gate"):pass(self.key) end
function Cart.expose:burn() while true do end end
return Cart`

// handingOver is cart with a handover.
var handingOver = strings.Replace(cart, "return Cart",
	"function Cart:handover() return { items = self.items } end\nreturn Cart", 1)

// logged returns the texts of the log lines among frames, each with its object.
func logged(frames []frame) (lines []string) {
	for _, f := range frames {
		d := link.Decoder{B: f.body}
		if f.typ != link.HostCall {
			continue
		}
		if head := d.HostCallFields(); head.Service == link.Log && head.Op == link.LogLine {
			_, text := d.LogLineFields()
			lines = append(lines, fmt.Sprintf("%s: %s", head.Object, text))
		}
	}
	slices.Sort(lines)
	return lines
}

// TestKeys calls a keyed object: each key has an instance, whose init got the key.
func TestKeys(t *testing.T) {
	withPeer(t, 0, func(t *testing.T, p *peer) {
		p.serve("acme.cart", cart, object.Limits{})
		for i, key := range []string{"alice", "bob", "alice", "alice"} {
			id := object.ID("acme.cart").WithKey(key)
			if r := p.invoke(id, "key"); r.text != key {
				t.Errorf("%s has the key %v", id, r)
			}
			if r, want := p.invoke(id, "add", "x"), []string{"1", "1", "2", "3"}[i]; r.text != want {
				t.Errorf("%s holds %v items, want %s", id, r, want)
			}
		}
		p.serve("acme.plain", counter, object.Limits{})
		for _, id := range []object.ID{"acme.cart", "acme.plain:alice", "acme.none:alice"} {
			if r := p.invoke(id, "key"); r.err == nil || r.err.Msg != "unknown object" ||
				r.err.Reason != object.ReasonObject {
				t.Errorf("%s: %+v, want an unknown object", id, r)
			}
		}
	})
}

// TestKeysRunInParallel has the call of one key wait. A call of another key runs meanwhile, a second one of that key
// does not. The waiting call requests the service in the name of its instance.
func TestKeysRunInParallel(t *testing.T) {
	withPeer(t, 0, func(t *testing.T, p *peer) {
		p.serve("acme.cart", cart, object.Limits{})
		held := p.call(newCall("acme.cart:alice", "wait", codec.Serpent))
		second := p.call(newCall("acme.cart:alice", "add", codec.Serpent, "x"))
		asked := p.take()
		if len(asked) != 1 || asked[0].hostCallHead().Object != "acme.cart:alice" {
			t.Fatalf("frames %v, want one call of the gate by acme.cart:alice", asked)
		}
		r, rest := p.reply(p.call(newCall("acme.cart:bob", "add", codec.Serpent, "x")), codec.Serpent)
		if r.text != "1" || len(rest) > 0 {
			t.Errorf("another key: %+v, %v", r, rest)
		}
		p.answer(asked[0].id, "ok")
		r, rest = p.reply(held, codec.Serpent)
		if r.text != "ok" || len(rest) != 1 || rest[0].id != second {
			t.Errorf("the held call: %+v, then %v", r, rest)
		}
	})
}

// TestIdleInstancesEnd lets instances rest. They end with close, and the next call makes a new one. A busy one does
// not end.
func TestIdleInstancesEnd(t *testing.T) {
	withPeer(t, 0, func(t *testing.T, p *peer) {
		p.serve("acme.cart", cart, object.Limits{InstanceIdle: time.Minute, MaxDuration: time.Hour})
		p.invoke("acme.cart:alice", "add", "x")
		held := p.call(newCall("acme.cart:bob", "wait", codec.Serpent))
		asked := p.take()
		time.Sleep(50 * time.Second)
		r, rest := p.reply(p.call(newCall("acme.cart:carol", "add", codec.Serpent, 1)), codec.Serpent)
		if r.text != "1" || len(rest) > 0 {
			t.Errorf("after 50 s: %+v, %v", r, rest)
		}
		time.Sleep(30 * time.Second)
		if got, want := logged(p.take()), []string{"acme.cart:alice: close alice"}; !slices.Equal(got, want) {
			t.Errorf("after 80 s the log has %q, want %q", got, want)
		}
		if r := p.invoke("acme.cart:alice", "add", "x"); r.text != "1" {
			t.Errorf("the next call: %+v, want a new instance", r)
		}
		time.Sleep(10 * time.Minute)
		want := []string{"acme.cart:alice: close alice", "acme.cart:carol: close carol"}
		if got := logged(p.take()); !slices.Equal(got, want) {
			t.Errorf("later the log has %q, want %q", got, want)
		}
		p.answer(asked[0].id, "ok")
		if r, _ := p.reply(held, codec.Serpent); r.text != "ok" {
			t.Errorf("the busy instance: %+v", r)
		}
		time.Sleep(2 * time.Minute)
		if got := logged(p.take()); !slices.Equal(got, []string{"acme.cart:bob: close bob"}) {
			t.Errorf("at last the log has %q", got)
		}
		if holds := p.w.idle(); holds != 2 { // the leader waits for frames meanwhile
			t.Errorf("the worker holds something: %d", holds)
		}
	})
}

// TestIdlestInstanceMakesRoom calls more keys than there may be instances. The instance that has been idle longest
// ends, and without an idle one the call is refused.
func TestIdlestInstanceMakesRoom(t *testing.T) {
	withPeer(t, 0, func(t *testing.T, p *peer) {
		p.serve("acme.cart", cart, object.Limits{Instances: 2, MaxDuration: time.Hour})
		p.invoke("acme.cart:alice", "add", "x")
		p.invoke("acme.cart:bob", "add", "x")
		p.invoke("acme.cart:alice", "add", "x")
		r, rest := p.reply(p.call(newCall("acme.cart:carol", "add", codec.Serpent, "x")), codec.Serpent)
		if got := logged(rest); r.text != "1" || !slices.Equal(got, []string{"acme.cart:bob: close bob"}) {
			t.Errorf("a third key: %+v, log %q", r, got)
		}
		p.call(newCall("acme.cart:alice", "wait", codec.Serpent))
		p.call(newCall("acme.cart:carol", "wait", codec.Serpent))
		p.take()
		r = p.invoke("acme.cart:bob", "key")
		const want = "limit exceeded: 2 instances of acme.cart, none of them idle; not executed"
		if r.err == nil || r.err.Code != object.CodeExhausted || r.err.Msg != want {
			t.Errorf("no instance is idle: %+v, want %q", r, want)
		}
	})
}

// TestCloseEndsBeforeTheNextInstance calls a key while close of its unloaded instance waits. The new instance begins
// when close has ended.
func TestCloseEndsBeforeTheNextInstance(t *testing.T) {
	waiting := strings.Replace(cart, `hearth.log.info("close " .. self.key)`,
		`if #self.items == 1 then hearth.proxy("test.gate"):pass("close") end`, 1)
	withPeer(t, 0, func(t *testing.T, p *peer) {
		p.serve("acme.cart", waiting, object.Limits{InstanceIdle: time.Minute, MaxDuration: time.Hour})
		p.invoke("acme.cart:alice", "add", "x")
		time.Sleep(2 * time.Minute)
		asked := p.take()
		if len(asked) != 1 || asked[0].hostCallHead().Request != 0 {
			t.Fatalf("frames %v, want the call of close", asked)
		}
		next := p.call(newCall("acme.cart:alice", "key", codec.Serpent))
		if r := p.invoke("acme.cart:bob", "key"); r.text != "bob" {
			t.Errorf("another key meanwhile: %+v", r)
		}
		if got := p.take(); len(got) > 0 {
			t.Fatalf("frames while close runs: %v", got)
		}
		p.answer(asked[0].id, "ok")
		if r, _ := p.reply(next, codec.Serpent); r.text != "alice" {
			t.Errorf("after close: %+v", r)
		}
	})
}

// TestReloadOfKeys replaces the version of a keyed object. With handover each key keeps its state, without it a new
// instance begins. The state of a key that is not called is dropped after the idle time.
func TestReloadOfKeys(t *testing.T) {
	withPeer(t, 0, func(t *testing.T, p *peer) {
		limits := object.Limits{InstanceIdle: time.Minute}
		p.serve("acme.cart", handingOver, limits)
		for _, key := range []string{"alice", "bob"} {
			p.invoke(object.ID("acme.cart").WithKey(key), "add", key)
		}
		p.serve("acme.cart", cart, limits)
		if r := p.invoke("acme.cart:alice", "add", "x"); r.text != "2" {
			t.Errorf("the handed over state: %+v", r)
		}
		time.Sleep(5 * time.Minute)
		if r := p.invoke("acme.cart:bob", "add", "x"); r.text != "1" {
			t.Errorf("a state that was not taken for 5 min: %+v", r)
		}
		p.serve("acme.cart", cart, limits) // has no handover
		if r := p.invoke("acme.cart:bob", "add", "x"); r.text != "1" {
			t.Errorf("after a version without handover: %+v", r)
		}
		p.sendText(link.Remove, 0, "acme.cart")
		if r := p.invoke("acme.cart:bob", "add", "x"); r.err == nil || r.err.Code != object.CodeNotFound {
			t.Errorf("after the removal: %+v", r)
		}
	})
}

// TestLimitEndsOneKey has a call exceed its steps. Its instance ends, and others keep their state.
func TestLimitEndsOneKey(t *testing.T) {
	withPeer(t, 0, func(t *testing.T, p *peer) {
		p.serve("acme.cart", cart, object.Limits{Steps: 100_000})
		p.invoke("acme.cart:alice", "add", "x")
		p.invoke("acme.cart:bob", "add", "x")
		r, rest := p.reply(p.call(newCall("acme.cart:alice", "burn", codec.Serpent)), codec.Serpent)
		lost := link.HostCallHead{Object: "acme.cart:alice", Service: link.Log, Op: link.LogLost}
		if r.err == nil || r.err.Code != object.CodeExhausted || len(rest) != 1 || rest[0].hostCallHead() != lost {
			t.Errorf("the call: %+v, %v", r, rest)
		}
		if r := p.invoke("acme.cart:alice", "add", "x"); r.text != "1" {
			t.Errorf("its next instance: %+v", r)
		}
		if r := p.invoke("acme.cart:bob", "add", "x"); r.text != "2" {
			t.Errorf("another key: %+v", r)
		}
	})
}

// TestMemoryOfKeys makes many instances, which take little memory each.
func TestMemoryOfKeys(t *testing.T) {
	const keys, most = 500, 28 << 10
	withPeer(t, 0, func(t *testing.T, p *peer) {
		p.serve("acme.cart", cart, object.Limits{})
		heap := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		before := heap()
		for i := range keys {
			p.call(newCall(object.ID("acme.cart").WithKey(fmt.Sprint("user", i)), "add", codec.Serpent, "x"))
			if i%100 == 99 {
				p.take()
			}
		}
		if used := (heap() - before) / keys; used > most {
			t.Errorf("an instance takes %d bytes, want at most %d", used, most)
		} else {
			t.Logf("an instance takes %d bytes", used)
		}
		if r := p.invoke("acme.cart:user0", "add", "x"); r.text != "2" {
			t.Errorf("the first instance: %+v", r)
		}
	})
}
