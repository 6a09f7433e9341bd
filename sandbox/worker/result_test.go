package worker

import (
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

const resultScript = `
local O = hearth.object { instance = "single" }
function O:init() self.n = 0 end
function O.get:total() return self.n end
function O.set:total(v) self.n = v end
function O.expose:add(k) self.n = self.n + k return self.n end
function O.expose:fail() error("no") end
function O.expose:text(s, n) return s:rep(n) end
function O.expose:bytes(s, n) return hearth.bytes(s:rep(n)) end
function O.expose:pass(s, n) return hearth.proxy("test.gate"):pass(s:rep(n)) end
function O.expose:log(level, n) for i = 1, n do hearth.log[level]("line " .. i) end end
return O`

// TestAttributesAndBatches calls an object in each kind of call.
func TestAttributesAndBatches(t *testing.T) {
	withPeer(t, 0, func(t *testing.T, p *peer) {
		p.serve("acme.x", resultScript, object.Limits{})
		ask := func(kind object.CallKind, method string, args ...any) result {
			t.Helper()
			c := newCall("acme.x", object.Method(method), codec.Serpent, args...)
			c.Kind = kind
			if kind == object.Batch {
				c.Batch, c.Method = []object.Method{"add", "add", "fail", "add"}, ""
			}
			r, _ := p.reply(p.call(c), codec.Serpent)
			return r
		}
		if r := ask(object.Set, "total", "total", 5); r.err != nil || r.exception {
			t.Errorf("setting an attribute: %+v", r)
		}
		if r := ask(object.Get, "total", "total"); r.text != "5" {
			t.Errorf("reading an attribute: %+v", r)
		}
		entry := func(name string, args ...any) any { return codec.Tuple{name, codec.Tuple(args), map[string]any{}} }
		r := ask(object.Batch, "<batch>", entry("add", 1), entry("add", 2), entry("fail"), entry("add", 4))
		if r.exception || !strings.HasPrefix(r.text, "[6 8 ") {
			t.Errorf("a batch whose third call fails: %+v", r)
		}
		if r := ask(object.Get, "total", "total"); r.text != "8" {
			t.Errorf("after the batch: %+v", r)
		}
	})
}

// TestResultsAreBounded requests results around the limit, in each serializer. A result that is too long is an
// error, and the next call of the instance succeeds.
func TestResultsAreBounded(t *testing.T) {
	const most = 1 << 20
	withPeer(t, 0, func(t *testing.T, p *peer) {
		p.serve("acme.x", resultScript, object.Limits{ResultBytes: most})
		for _, tc := range []struct {
			name    string
			format  codec.ID
			method  object.Method
			text    string
			n       int
			tooLong bool
		}{
			{"small", codec.Serpent, "text", "x", 10, false},
			{"borrowed text", codec.Serpent, "text", "x", most - 1000, false},
			{"borrowed bytes", codec.Msgpack, "bytes", "x", most - 1000, false},
			{"borrowed text", codec.JSON, "text", "x", link.Large + 1, false},
			{"control characters", codec.Serpent, "text", "\x01", most - 1000, true},
			{"control characters", codec.JSON, "text", "\x01", most - 1000, true},
			{"newlines", codec.JSON, "text", "\n", most - 1000, false},
			{"control characters that are not escaped", codec.Msgpack, "text", "\x01", most - 1000, false},
			{"beyond the limit", codec.Msgpack, "text", "x", most + 1, true},
		} {
			r, _ := p.reply(p.call(newCall("acme.x", tc.method, tc.format, tc.text, tc.n)), tc.format)
			if failed := r.err != nil || r.exception; failed != tc.tooLong {
				t.Errorf("%s in %d: %.200v, %.100s", tc.name, tc.format, r.err, r.text)
			}
			if r := p.invoke("acme.x", "text", "x", 1); r.text != "x" {
				t.Errorf("after %s: %.100v", tc.name, r)
			}
		}
		c := newCall("acme.x", "text", codec.Serpent, "x", 1)
		c.Format = "pyro5/marshal"
		if r, _ := p.reply(p.call(c), codec.Serpent); r.err == nil || r.err.Code != object.CodeInternal {
			t.Errorf("an unknown format: %+v", r)
		}
		c = newCall("acme.x", "text", codec.Serpent)
		c.Payload = []byte("no serpent")
		if r, _ := p.reply(p.call(c), codec.Serpent); r.err == nil {
			t.Errorf("a payload that is not in the format: %+v", r)
		}
		if r := p.invoke("acme.x", "text", strings.Repeat("y", link.Large), 1); len(r.text) != link.Large {
			t.Errorf("a large argument: %.100v", r)
		}
	})
}

// TestArgumentsAreBounded passes arguments to another object that are too long for a frame.
func TestArgumentsAreBounded(t *testing.T) {
	withPeer(t, 0, func(t *testing.T, p *peer) {
		p.serve("acme.x", resultScript, object.Limits{Memory: 200 << 20, Steps: 1 << 40})
		// Each character takes six bytes in serpent.
		if r := p.invoke("acme.x", "pass", "\x01", 3<<20); !r.exception || !strings.Contains(r.text, "not executed") {
			t.Errorf("%.200v", r)
		}
		n := p.call(newCall("acme.x", "pass", codec.Serpent, "x", 10))
		p.answer(p.take()[0].id, "ok")
		if r, _ := p.reply(n, codec.Serpent); r.text != "ok" {
			t.Errorf("afterwards: %+v", r)
		}
	})
}

// TestLogFrames has a script log more lines than it may: the host receives as many as the limit, and the number
// of the others a second later.
func TestLogFrames(t *testing.T) {
	withPeer(t, 0, func(t *testing.T, p *peer) {
		p.serve("acme.x", resultScript, object.Limits{LogLines: 3})
		_, rest := p.reply(p.call(newCall("acme.x", "log", codec.Serpent, "warn", 10)), codec.Serpent)
		lines := 0
		for _, f := range rest {
			if f.hostCallHead().Op == link.LogLine && strings.Contains(string(f.body), "line") {
				lines++
			}
		}
		time.Sleep(2 * time.Second)
		rest = p.take()
		if lines != 3 || len(rest) != 1 {
			t.Fatalf("%d lines, then %v; want 3, then one frame", lines, rest)
		}
		d := link.Decoder{B: rest[0].body}
		if ask, n := d.HostCallFields(), d.Dropped(); ask.Object != "acme.x" || ask.Op != link.LogDropped || n != 7 {
			t.Errorf("then %+v of %d lines; want LogDropped of 7", ask, n)
		}
	})
}

// TestAnswersThatWait fills a worker that may hold little with answers that its host does not read.
func TestAnswersThatWait(t *testing.T) {
	withPeer(t, 0, func(t *testing.T, p *peer) {
		p.w.out.Limit(1<<20, 2<<20)
		p.serve("acme.x", resultScript, object.Limits{})
		p.mu.Lock() // the host does not read
		var ids []uint64
		for range 20 {
			ids = append(ids, p.call(newCall("acme.x", "text", codec.Msgpack, "x", 300_000)))
		}
		p.mu.Unlock()
		refused := 0
		answered := map[uint64]bool{}
		for _, f := range p.take() {
			if f.typ != link.Reply {
				continue
			}
			answered[f.id] = true
			if r := decodeReply(t, f, codec.Msgpack); r.err != nil {
				refused++
			}
		}
		if len(answered) != len(ids) {
			t.Errorf("%d of %d calls are answered, %d of them refused", len(answered), len(ids), refused)
		}
	})
}
