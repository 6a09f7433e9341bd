package worker

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// TestInvalidFrames sends frames that no host sends. Each ends the worker with an error.
func TestInvalidFrames(t *testing.T) {
	for _, tc := range []struct {
		name string
		typ  link.Type
		body string
		want string
	}{
		{"unknown type", 200, "", "the host sent a frame of type 200"},
		{"version that is not loaded", link.Use, "\x07", "version 7"},
		{"call without fields", link.Call, "", "malformed frame body"},
		{"item without fields", link.Next, "\x01", "malformed frame body"},
		{"version without fields", link.Load, "\x01", "malformed frame body"},
		{"limits that are no JSON", link.Load, "\x01\x01\x01x\x01f\x01{", "the limits of x"},
		{"tests without fields", link.Test, "\x01t\x01", "malformed frame body"},
		{"modules without fields", link.Libs, "", "malformed frame body"},
		{"set of modules that is cut", link.Libs, "\x01\x05\x01", "malformed frame body"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPeer(t, 0)
				p.send(tc.typ, 1, func(e *link.Encoder) { e.Raw([]byte(tc.body)) })
				synctest.Wait()
				if err := p.close(); err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("the worker ended with %v, want %q", err, tc.want)
				}
			})
		})
	}
}

// TestStop has the host send Stop while a call waits for another object. The worker answers that call, refuses
// a later one and then ends.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, 0)
		p.serve("acme.x", gateScript, object.Limits{})
		held := p.call(newCall("acme.x", "pass", codec.Serpent))
		asked := p.take()
		p.send(link.Stop, 0, nil)
		p.send(link.Stop, 0, nil)
		p.send(link.Ping, 1, nil)
		late := p.call(newCall("acme.x", "pass", codec.Serpent))
		r, rest := p.reply(late, codec.Serpent)
		if r.err == nil || r.err.Code != object.CodeUnavailable || !strings.HasSuffix(r.err.Msg, "not executed") {
			t.Errorf("a call after Stop: %+v", r)
		}
		if len(rest) != 1 || rest[0].typ != link.Pong {
			t.Errorf("a ping after Stop: %v", rest)
		}
		p.answer(asked[0].id, "ok")
		if r, _ := p.reply(held, codec.Serpent); r.text != "ok" {
			t.Errorf("the call that was running: %+v", r)
		}
		<-p.read
		if err := p.close(); err != nil {
			t.Errorf("the worker ended with %v", err)
		}
	})
}

// gateScript is an object whose method returns the result of another object's method.
const gateScript = `
local O = hearth.object { instance = "single" }
function O:init() self.n = 0 end
function O.expose:pass(...) self.n = self.n + 1 return hearth.proxy("test.gate"):pass(...) end
function O.expose:count() return self.n end
return O`

// answer answers a script's call of another object with a value.
func (p *peer) answer(request uint64, value any) {
	b, err := codec.Append(codec.ByID(codec.Serpent), nil, value)
	if err != nil {
		p.t.Fatalf("%v", err)
	}
	p.send(link.HostReply, request, func(e *link.Encoder) { e.PutServiceReply(link.ServiceReply{Payload: b}, nil) })
}

// TestScriptTests runs the tests of a version, which requires a module, and tests that do not compile.
func TestScriptTests(t *testing.T) {
	withPeer(t, 0, func(t *testing.T, p *peer) {
		run := func(tests string) result {
			n := p.request()
			v := &link.Version{Number: n, Libs: n, ID: "acme.x", File: "x.lua", Source: []byte(`
				local m = require "m"
				local O = hearth.object { instance = "single" }
				function O.expose:twice(x) return m.twice(x) end
				return O`)}
			p.load(0, v, map[string]string{"m": "return { twice = function(x) return 2 * x end }"})
			p.send(link.Test, n, func(e *link.Encoder) {
				e.Text("x_test.lua")
				e.Text(tests)
				e.PutVersion(v)
			})
			r, _ := p.reply(n, codec.Serpent)
			return r
		}
		r := run(`return { good = function() assert(new():twice(2) == 4) end, bad = function() error("wrong") end }`)
		if r.exception || !strings.Contains(r.text, `{"name":"good"}`) || !strings.Contains(r.text, `wrong`) {
			t.Errorf("results: %+v", r)
		}
		if r := run("return = 1"); !r.exception || !strings.Contains(r.text, "x_test.lua") {
			t.Errorf("tests that do not compile: %+v", r)
		}
		long := run(`local t = {} for i = 1, 200 do t["t" .. i] = function() error(("x"):rep(8000)) end end return t`)
		if !long.exception || !strings.Contains(long.text, "the results of the tests take") {
			t.Errorf("results that are too long: %.200s", long.text)
		}
	})
}

// TestDescriptionIsBounded loads a script whose comments are longer than a description may be.
func TestDescriptionIsBounded(t *testing.T) {
	withPeer(t, 0, func(t *testing.T, p *peer) {
		var source strings.Builder
		source.WriteString("local O = hearth.object { instance = \"call\" }\n")
		for i := range 100 { // JSON escapes the quotes
			fmt.Fprintf(&source, "-- %s\nfunction O.expose:m%d() end\n", strings.Repeat(`"`, 8000), i)
		}
		source.WriteString("return O")
		n := p.request()
		v := &link.Version{
			Number: n, Libs: n, ID: "acme.x", File: "x.lua",
			Limits: object.Limits{SourceBytes: object.MaxSourceBytes},
			Source: []byte(source.String()),
		}
		p.load(n, v, nil)
		r, _ := p.reply(n, codec.Serpent)
		if !r.exception || !strings.Contains(r.text, "its description takes 15") {
			t.Errorf("a description that is too long: %.200s", r.text)
		}
	})
}

// TestEndedLink has a script call another object when the host is gone: the call ends.
func TestEndedLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, 0)
		p.serve("acme.x", gateScript, object.Limits{MaxDuration: time.Hour})
		p.call(newCall("acme.x", "pass", codec.Serpent))
		p.call(newCall("acme.x", "count", codec.Serpent))
		p.take()
		if err := p.close(); err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("the worker ended with %v", err)
		}
	}) // the bubble fails if a goroutine of the worker remains
}
