//go:build linux

package plugins_test

import (
	"context"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/web"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins"
	"github.com/hearthhost/hearth/service/storecall"
)

// TestOnce executes calls with idempotency keys, and calls of HTTP clients, with both SDKs.
func TestOnce(t *testing.T) {
	t.Parallel()
	for language, executable := range map[string]func(*testing.T) string{
		"go":     func(*testing.T) string { return filepath.Join(built, "misbehave") },
		"python": func(t *testing.T) string { return python(t, pythonBox) },
	} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			cfg, log := prepare(t, "boxes", executable(t))
			box, calls := cfg.ID+".box", cfg.ID+".calls"
			cfg.Objects = append(cfg.Objects, box, calls)
			cfg.Unconfined = true // Python needs files of the system
			e := newEngine()
			cfg.Store = e
			var begun error
			cfg.ObjectCall = func(ctx context.Context, _ object.ID, _ bool, c *object.Call) (object.Reply, error) {
				running := withKey(newCall(box, "relay", "acme.other"), "relay")
				_, _, begun = storecall.Answers(e.Engine).Answer(ctx, running)
				doc, err := codec.Append(codec.ByName(strings.TrimPrefix(string(c.Format), "pyro5/")), nil, "seen")
				return object.Reply{Payload: doc}, err
			}
			p := runs(t, cfg)
			onceOf(t, p, e, box, calls)
			if _, err := p.Invoke(t.Context(), withKey(newCall(box, "relay", "acme.other"), "relay")); err != nil {
				t.Error(err)
			}
			wantCode(t, begun, object.CodeUnavailable, "executed in part")
			webOf(t, p, e, box)
			describedOf(t, p, box)
			if t.Failed() {
				t.Log(log.String())
			}
		})
	}
}

// withKey gives a call an idempotency key.
func withKey(c *object.Call, key string) *object.Call {
	c.Once = object.NewOnce(key, c)
	return c
}

// onceOf executes calls of an object at most once. calls is an object of mode "call".
func onceOf(t *testing.T, p *plugins.Plugin, e *engine, box, calls object.ID) {
	t.Helper()
	stored := storecall.Answers(e.Engine)
	invoke := func(c *object.Call) (object.Reply, error) { return p.Invoke(context.Background(), c) }
	c := withKey(newCall(box, "count"), "first")
	r, err := invoke(c)
	a, found, err2 := stored.Answer(t.Context(), c)
	if err != nil || err2 != nil || !found || a.Exception || string(a.Payload) != string(r.Payload) {
		t.Errorf("count = %q, %v; %q is stored, %v, %v", r.Payload, err, a.Payload, found, err2)
	}
	// The host returns the stored answer. Without it, the commit of a second call fails.
	if _, err = invoke(c); err == nil {
		t.Error("a call was executed twice")
	}
	// An exception is an answer. The writes before it are dropped.
	c = withKey(newCall(box, "fail", "once"), "fails")
	r, err = invoke(c)
	a, found, _ = stored.Answer(t.Context(), c)
	if err != nil || !r.Exception || !found || !a.Exception || string(a.Payload) != string(r.Payload) {
		t.Errorf("fail = %q, %v; %q is stored", r.Payload, err, a.Payload)
	}
	if v, _ := e.Get(t.Context(), box, "once"); v.Version != 0 {
		t.Errorf("a failed call has written %s", v.Value)
	}
	// A call that is not executed has no answer.
	c = withKey(newCall(box, "put"), "wrong")
	_, err = invoke(c)
	wantCode(t, err, object.CodeInvalid, "put: key: expected ")
	_, found, _ = stored.Answer(t.Context(), c)
	if found {
		t.Error("a call with wrong arguments has an answer")
	}
	_, err = invoke(withKey(newCall(calls, "count"), "x"))
	wantCode(t, err, object.CodeInvalid, "an object with one instance; not executed")
	_, err = invoke(withKey(newCall(box, "items", 2), "items"))
	wantCode(t, err, object.CodeInvalid, "cannot return an item stream")
	// The process ends between the commit and the reply. The retry gets the answer, and the effect exists once.
	before, _ := e.Get(t.Context(), box, "count")
	kill := func() { _ = syscall.Kill(p.Status().PID, syscall.SIGKILL) }
	e.answers.Store(&kill)
	c = withKey(newCall(box, "count"), "killed")
	_, err = invoke(c)
	e.answers.Store(nil)
	wantCode(t, err, object.CodeUnavailable, "is unknown")
	a, found, err = stored.Answer(t.Context(), c)
	after, _ := e.Get(t.Context(), box, "count")
	if !found || err != nil || len(a.Payload) == 0 || string(before.Value) == string(after.Value) {
		t.Errorf("after the kill %q is stored, %v, %v; count was %s and is %s", a.Payload, found, err, before.Value,
			after.Value)
	}
}

// webOf makes the calls of an HTTP client.
func webOf(t *testing.T, p *plugins.Plugin, e *engine, box object.ID) {
	t.Helper()
	call := func(method, body string) *object.Call {
		c := newCall(box, method)
		c.Format, c.Payload = web.JSON, []byte(body)
		return c
	}
	for _, tc := range []struct{ method, body, want string }{
		{"put", `{"key": "web", "v": {"a": [1, 2.5, "ä", null, true], "n": 123456789012345678901234567890}}`, "true"},
		{"put", `["web2", {"data": "AAE=", "encoding": "base64"}]`, "true"},
		{"get", `["web2"]`, `{"data":"AAE=","encoding":"base64"}`},
		{"get", ` `, "! invalid: get: "},
		{"put", `{"key": "k"}`, "! invalid: put: v: expected any, got nothing"},
		{"put", `{"key": 5, "v": 1}`, "! invalid: put: key: expected string, got number 5"},
		{"put", `{"key": "k", "v": 1, "x": 1}`, "! invalid: put: no parameter x; the parameters are key, v"},
		{"put", `{"key": "k", "key": "l", "v": 1}`, "! invalid"},
		{"put", `["k", NaN]`, "! invalid"},
		{"put", `["k", 1e999]`, "! invalid"},
		{"put", `["k", "\ud800"]`, "! invalid"},
		{"put", "[\"k\", \"\xff\"]", "! invalid"},
		{"put", `["k", 1] x`, "! invalid"},
		{"put", `"k"`, "! invalid"},
		{"put", strings.Repeat("[", 70) + strings.Repeat("]", 70), "! "},
		{"fail", `["k"]`, "!! ValueError: no"},
		{"missing", `[]`, "! not_found"},
	} {
		r, err := p.Invoke(t.Context(), call(tc.method, tc.body))
		got := strings.ReplaceAll(string(r.Payload), `": "`, `":"`)
		got = strings.ReplaceAll(got, `, "`, `,"`)
		if r.Exception {
			x, err := web.ScanException(r.Payload)
			if err != nil {
				t.Fatal(err)
			}
			got = "!! " + x.Class + ": " + x.Message
		}
		if err != nil {
			got = "! " + err.Error()
		}
		if got != tc.want && !(strings.HasPrefix(tc.want, "! ") && strings.HasPrefix(got, tc.want)) {
			t.Errorf("%s(%s) = %s, want %s", tc.method, tc.body, got, tc.want)
		}
	}
	if v, _ := e.Get(t.Context(), box, "web"); !strings.Contains(string(v.Value), "123456789012345678901234567890") {
		t.Errorf("the store has %s", v.Value)
	}
	r, err := p.Invoke(t.Context(), call("items", "[2]"))
	if err != nil {
		t.Fatal(err)
	}
	item, more, err := p.Next(t.Context(), call("items", ""), r.Stream)
	if err != nil || !more || len(item.Payload) == 0 || strings.Trim(string(item.Payload), "0123456789") != "" {
		t.Errorf("an item is %q, %v, %v", item.Payload, more, err)
	}
	p.CloseStream(r.Stream)
}

// describedOf reads the signatures that the plugin has sent.
func describedOf(t *testing.T, p *plugins.Plugin, box object.ID) {
	t.Helper()
	d, err := p.Describe(t.Context(), box)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range d.Members {
		if m.Name == "put" && m.Signature != "(key: string, v: any): boolean" || m.Function == nil {
			t.Errorf("%s has the signature %q", m.Name, m.Signature)
		}
	}
	if len(d.Warnings) > 0 {
		t.Error(d.Warnings)
	}
}
