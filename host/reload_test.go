package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/object"
)

// fixture is a host whose files a test changes.
type fixture struct {
	*testing.T
	h   *host.Host
	dir string
	c   *client.Client
	age time.Duration // age of the next file; each file has a different age
}

func liveHost(t *testing.T, policy string) *fixture {
	h, dir := startHost(t, policy)
	return &fixture{T: t, h: h, dir: dir, c: dial(t, h.Addrs()[0], client.Config{}), age: 1000 * time.Hour}
}

// put writes a file with an old modification time. The host treats a new one as possibly incomplete.
func (l *fixture) put(name, text string) {
	l.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		l.Fatal(err)
	}
	temp := path + ".new"
	if err := os.WriteFile(temp, []byte(text), 0o600); err != nil {
		l.Fatal(err)
	}
	l.age -= time.Minute
	modified := time.Now().Add(-l.age)
	if err := errors.Join(os.Chtimes(temp, modified, modified), os.Rename(temp, path)); err != nil {
		l.Fatal(err)
	}
}

// reload waits until all changes are served or rejected.
func (l *fixture) reload() {
	l.Helper()
	if err := l.h.Reload(l.Context()); err != nil {
		l.Fatal(err)
	}
}

// `want` calls a method without arguments and compares its result.
func (l *fixture) want(id object.ID, method string, want any) {
	l.Helper()
	if got, err := l.c.Object(id).Call(l.Context(), method); err != nil || got != want {
		l.Errorf("%s.%s() = %v, %v; want %v", id, method, got, err, want)
	}
}

// unknown requires the error "unknown object" from a call.
func (l *fixture) unknown(id object.ID, method string) {
	l.Helper()
	_, err := l.c.Object(id).Call(l.Context(), method)
	wantRemote(l.T, err, "", "unknown object")
}

// version returns a script whose only method returns n.
func version(n int) string {
	return fmt.Sprintf(`local V = hearth.object { instance = "call" }
function V.expose:version() return %d end
return V`, n)
}

func TestReloadScripts(t *testing.T) {
	l := liveHost(t, everything)
	l.unknown("acme.v", "version")
	l.put("scripts/acme/v.lua", version(1))
	l.reload()
	l.want("acme.v", "version", int64(1))
	l.put("scripts/acme/v.lua", version(2))
	l.reload()
	l.want("acme.v", "version", int64(2))

	// A version that fails to load is not served. Its refusal names the file.
	l.put("scripts/acme/v.lua", "local V = hearth.object {}\nfunction V.expose:version() return 3")
	l.reload()
	l.want("acme.v", "version", int64(2))
	refused := map[object.ID]string{}
	for _, r := range l.h.Refusals() {
		refused[r.ID] = r.Err
	}
	if !strings.Contains(refused["acme.v"], "acme/v.lua") {
		t.Errorf("refused: %v, want acme.v with the path of its file", refused)
	}
	l.put("scripts/acme/v.lua", version(4))
	l.reload()
	l.want("acme.v", "version", int64(4))
	for _, r := range l.h.Refusals() {
		if r.ID == "acme.v" {
			t.Errorf("still refused: %v", r)
		}
	}

	folder := filepath.Join(l.dir, "scripts/acme")
	if err := os.Rename(filepath.Join(folder, "v.lua"), filepath.Join(folder, "w.lua")); err != nil {
		t.Fatal(err)
	}
	l.reload()
	l.want("acme.w", "version", int64(4))
	l.unknown("acme.v", "version")
}

// TestNewInvalidScript checks that refused() lists a new script that does not load. Only callers that may call it and
// see tracebacks receive its entry, which is one short line.
func TestNewInvalidScript(t *testing.T) {
	l := liveHost(t, everything+`
permit "owner may call other, without tracebacks" {
  principals = ["owner"]
  objects    = ["other.*"]
}`)
	for _, name := range []string{"acme", "other"} {
		l.put("scripts/"+name+"/wrong.lua", "error(string.rep('x', 5000))")
	}
	l.put("scripts/acme/v.lua", version(1))
	l.reload()
	result, err := l.c.Object("Pyro.Daemon").Call(t.Context(), "refused")
	refused, _ := result.(map[string]any)
	text, _ := refused["acme.wrong"].(string)
	if err != nil || len(refused) != 1 || !strings.HasPrefix(text, "acme/wrong.lua:1: xxx") || len(text) > 200 {
		t.Errorf("refused() = %v, %v; want acme.wrong alone, with a short error", result, err)
	}
	l.put("scripts/acme/wrong.lua", version(1))
	l.reload()
	result, err = l.c.Object("Pyro.Daemon").Call(t.Context(), "refused")
	if err != nil || len(result.(map[string]any)) != 0 {
		t.Errorf("refused() = %v, %v after the script was corrected, want none", result, err)
	}
}

// TestClockSetBack checks that a file with a future modification time is served or rejected as usual.
func TestClockSetBack(t *testing.T) {
	l := liveHost(t, everything)
	l.age = -24 * time.Hour
	l.put("scripts/acme/v.lua", version(1))
	l.reload()
	l.want("acme.v", "version", int64(1))
	l.put("scripts/acme/v.lua", "this is not Lua")
	l.reload()
	l.want("acme.v", "version", int64(1))
	if len(l.h.Refusals()) == 0 {
		t.Error("the invalid script is not among the refusals")
	}
	l.put("scripts/acme/v.lua", version(2))
	l.reload()
	l.want("acme.v", "version", int64(2))
}

// TestRefusedAndRemoved checks that the refusal of a script ends when its file is removed, whether or not an earlier
// version was served.
func TestRefusedAndRemoved(t *testing.T) {
	l := liveHost(t, everything)
	l.put("scripts/acme/v.lua", version(1))
	l.reload()
	for _, name := range []string{"scripts/acme/v.lua", "scripts/acme/w.lua"} {
		l.put(name, "local V = = 1")
	}
	l.reload()
	if got := l.h.Refusals(); len(got) != 2 {
		t.Fatalf("refused: %v, want two", got)
	}
	for _, name := range []string{"scripts/acme/v.lua", "scripts/acme/w.lua"} {
		if err := os.Remove(filepath.Join(l.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	l.reload()
	if got := l.h.Refusals(); len(got) != 0 {
		t.Errorf("still refused: %v", got)
	}
	l.unknown("acme.v", "version")
}

// TestAutomaticReload checks that file system events are enough to reload a script: Reload is not called.
func TestAutomaticReload(t *testing.T) {
	l := liveHost(t, everything)
	l.put("scripts/acme/deep/down/v.lua", version(1))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for n := 1; n <= 5; n++ {
		l.put("scripts/acme/deep/down/v.lua", version(n))
		for got := any(nil); got != int64(n); {
			var err error
			if got, err = l.c.Object("acme.deep.down.v").Call(ctx, "version"); ctx.Err() != nil {
				t.Fatalf("version %d: %v, %v", n, got, err)
			}
		}
	}
}

func TestReloadModules(t *testing.T) {
	l := liveHost(t, everything)
	uses := func(lib string) string {
		return `local S = hearth.object { instance = "single" }
local lib = ` + lib + `
function S:init() self.n = 0 end
function S.expose:lib() self.n = self.n + 1; return lib.version end
function S.expose:calls() return self.n end
return S`
	}
	l.put("scripts/acme/lib/a.lua", `return { version = require("b").version }`)
	l.put("scripts/acme/lib/b.lua", `return { version = 1 }`)
	l.put("scripts/acme/user.lua", uses(`require "a"`))
	l.put("scripts/acme/late.lua", uses(`{ version = require(("%s"):format("b")).version }`))
	l.put("scripts/acme/other.lua", uses(`{ version = 0 }`))
	l.reload()
	l.want("acme.user", "lib", int64(1))
	l.want("acme.late", "lib", int64(1))
	l.want("acme.other", "lib", int64(0))

	l.put("scripts/acme/lib/b.lua", `return { version = 2 }`)
	l.reload()
	l.want("acme.user", "lib", int64(2))
	l.want("acme.late", "lib", int64(2))
	l.want("acme.other", "lib", int64(0))
	l.want("acme.other", "calls", int64(2)) // it uses no changed file

	// A module that does not compile changes no object that uses it.
	l.put("scripts/acme/lib/b.lua", `return {`)
	l.reload()
	l.want("acme.user", "lib", int64(2))
	l.want("acme.user", "calls", int64(2))
}

// TestReloadDuringUse changes an object while a session, a stream and a call use it. They continue with the old
// version.
func TestReloadDuringUse(t *testing.T) {
	l := liveHost(t, everything)
	script := func(v int) string {
		return fmt.Sprintf(`local S = hearth.object { instance = "session" }
function S.expose:version() return %[1]d end
function S.expose:slow()
  hearth.proxy("acme.gate"):come()
  while hearth.proxy("acme.gate"):count() < 2 do end
  return %[1]d
end
function S.expose:items()
  local i = 0
  return hearth.stream(function() i = i + 1; if i <= 3 then return %[1]d end end)
end
return S`, v)
	}
	l.put("policy.hcl", everything+`
permit "s reaches the gate" {
  principals = ["object:acme.s"]
  objects    = ["acme.gate"]
}`)
	l.put("scripts/acme/s.lua", script(1))
	l.reload()
	session, err := l.c.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	old := session.Object("acme.s")
	want := func(o *client.Object, want int64) {
		t.Helper()
		if got, err := o.Call(t.Context(), "version"); err != nil || got != want {
			t.Errorf("version() = %v, %v; want %d", got, err, want)
		}
	}
	want(old, 1)
	slow := make(chan any, 1)
	go func() {
		got, err := l.c.Object("acme.s").Call(t.Context(), "slow")
		if err != nil {
			got = err
		}
		slow <- got
	}()
	for n := any(int64(0)); n == int64(0); { // until the call runs
		if n, err = l.c.Object("acme.gate").Call(t.Context(), "count"); err != nil {
			t.Fatal(err)
		}
	}
	for v, err := range l.c.Object("acme.s").Stream(t.Context(), "items") {
		if err != nil || v != int64(1) {
			t.Errorf("item = %v, %v; want 1", v, err)
		}
		l.put("scripts/acme/s.lua", script(2))
		l.reload()
	}
	want(l.newSession().Object("acme.s"), 2)
	want(old, 1)
	if _, err := l.c.Object("acme.gate").Call(t.Context(), "come"); err != nil {
		t.Fatal(err)
	}
	if got := <-slow; got != int64(1) {
		t.Errorf("the call that ran during the reload returned %v, want 1", got)
	}
}

func (l *fixture) newSession() *client.Session {
	l.Helper()
	s, err := l.c.Session(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { s.Close() })
	return s
}

func TestHandover(t *testing.T) {
	l := liveHost(t, everything)
	script := func(init, handover string) string {
		return `local S = hearth.object { instance = "single" }
function S:init(state) ` + init + ` end
function S.expose:add(k) self.n = self.n + k; return self.n end
function S.expose:n() return self.n end
function S.expose:spin() while true do end end
` + handover + `
return S`
	}
	const keeps = `function S:handover() return { n = self.n, tags = { "a", "b" } } end`
	l.put("scripts/acme/s.lua", script("self.n = state and state.n or 0", keeps))
	l.reload()
	if _, err := l.c.Object("acme.s").Call(t.Context(), "add", 40); err != nil {
		t.Fatal(err)
	}
	l.put("scripts/acme/s.lua", script("self.n = state.n + #state.tags", keeps))
	l.reload()
	l.want("acme.s", "n", int64(42))

	// An instance that a limit discards hands its state over too.
	_, err := l.c.Object("acme.s").Call(t.Context(), "spin")
	wantRemote(t, err, "", "limit exceeded")
	l.want("acme.s", "n", int64(44))

	// If init rejects the state, the call returns its error and the state is kept for the next version.
	l.put("scripts/acme/s.lua", script(`error("no: " .. state.n)`, keeps))
	l.reload()
	_, err = l.c.Object("acme.s").Call(t.Context(), "n")
	wantRemote(t, err, "", "no: 44")
	l.put("scripts/acme/s.lua", script("self.n = state.n", keeps))
	l.reload()
	l.want("acme.s", "n", int64(44))

	// If handover fails or its result cannot be encoded, the next instance starts without state.
	l.put("scripts/acme/s.lua", script("self.n = state and state.n or 7", `function S:handover() return print end`))
	l.reload()
	l.want("acme.s", "n", int64(44))
	l.put("scripts/acme/s.lua", script("self.n = state and state.n or 8", ""))
	l.reload()
	l.want("acme.s", "n", int64(8))

	// A change of limits starts a new version too.
	l.put("scripts/acme/s.lua", script("self.n = state and state.n or 0", keeps))
	l.reload()
	if _, err := l.c.Object("acme.s").Call(t.Context(), "add", 5); err != nil {
		t.Fatal(err)
	}
	for _, duration := range []string{"3s", "4s"} { // no call reaches the first version
		l.put("policy.hcl", limited("object \"s\" {\n limits {\n max_duration = \""+duration+"\"\n}\n}"))
		l.reload()
	}
	l.want("acme.s", "n", int64(5))

	l.put("scripts/acme/s.lua", strings.Replace(script("self.n = 0", keeps), `"single"`, `"call"`, 1))
	l.reload()
	l.want("acme.s", "n", int64(5))
}

func TestReloadPolicy(t *testing.T) {
	l := liveHost(t, everything)
	l.put("scripts/third/v.lua", version(1))
	l.reload()
	l.unknown("third.v", "version")
	more := everything + `
tenant "third" {
  limits { steps = 100000 }
}
permit "owner may call third" {
  principals = ["owner"]
  objects    = ["third.*"]
}`
	l.put("policy.hcl", more)
	l.reload()
	l.want("third.v", "version", int64(1))

	// An invalid policy, or one that a running host cannot apply, is rejected: the last good one stays in force.
	for _, bad := range []string{
		`tenant "acme" { nonsense = 1 }`,
		strings.Replace(everything, "127.0.0.1:0", "127.0.0.1:1", 1),
		"state = \"elsewhere\"\n" + everything,
	} {
		l.put("policy.hcl", bad)
		l.reload()
		l.want("third.v", "version", int64(1))
		refused := ""
		for _, r := range l.h.Refusals() {
			if strings.HasSuffix(r.Path, "policy.hcl") {
				refused = r.Err
			}
		}
		if refused == "" {
			t.Errorf("the policy %q is not among the refusals", bad)
		}
	}

	// A tenant or permit that was deleted from the policy has no effect after the reload.
	l.put("policy.hcl", strings.Replace(everything, `"acme.*"`, `"acme.relay"`, 1))
	l.reload()
	l.unknown("third.v", "version")
	l.unknown("acme.echo", "echo")
	l.put("policy.hcl", everything)
	l.reload()
	l.want("acme.echo", "echo", nil)
}

// TestReloadPolicyCloses checks that a connection is closed if the new policy has no principal, or another one, for its
// peer. Other connections stay open.
func TestReloadPolicyCloses(t *testing.T) {
	l := liveHost(t, everything)
	open := l.newSession()
	call := func() error {
		_, err := open.Object("acme.echo").Call(t.Context(), "echo", 1)
		return err
	}
	if err := call(); err != nil {
		t.Fatal(err)
	}
	l.put("policy.hcl", everything+"# another")
	l.reload()
	if err := call(); err != nil {
		t.Errorf("a connection of an unchanged principal: %v", err)
	}
	rename := strings.NewReplacer(`principal "owner"`, `principal "renamed"`, `["owner"]`, `["renamed"]`)
	l.put("policy.hcl", rename.Replace(everything))
	l.reload()
	if err := call(); err == nil || object.CodeOf(err) == object.CodeNotFound {
		t.Errorf("a connection whose principal has another name now: %v, want it closed", err)
	}
	l.want("acme.echo", "echo", nil) // over a new connection, which is authenticated
}

// TestReloadIsolation changes the isolation of a tenant's objects during calls. Every call must succeed.
func TestReloadIsolation(t *testing.T) {
	l := liveHost(t, everything)
	stop := l.hammer("acme.echo", 4)
	for range 3 {
		l.put("policy.hcl", limited(`isolation = "object"`))
		l.reload()
		l.put("policy.hcl", everything)
		l.reload()
	}
	stop()
}

// hammer calls echo over several connections until stop is called. Every call must succeed.
func (l *fixture) hammer(id object.ID, callers int) (stop func()) {
	var wg sync.WaitGroup
	var stopped atomic.Bool
	for n := range callers {
		c := dial(l.T, l.h.Addrs()[0], client.Config{})
		wg.Go(func() {
			for i := 0; !stopped.Load(); i++ {
				want := fmt.Sprintf("%d/%d", n, i)
				if got, err := c.Object(id).Call(l.Context(), "echo", want); err != nil || got != want {
					l.Errorf("echo(%s) = %v, %v", want, got, err)
					return
				}
			}
		})
	}
	return func() { stopped.Store(true); wg.Wait() }
}

// TestSaveMethods replaces a file during calls with the file operations of editors and of mounted volumes.
func TestSaveMethods(t *testing.T) {
	l := liveHost(t, everything)
	path := func(name string) string { return filepath.Join(l.dir, "scripts/acme", name) }
	script := func(n int) string {
		return fmt.Sprintf(`local E = hearth.object { instance = "call" }
function E.expose:echo(v) return v end
function E.expose:version() return %d end
return E
`, n)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	l.put("scripts/acme/e.lua", script(0))
	l.reload()
	stop := l.hammer("acme.e", 2)
	for n, save := range []func(text string){
		func(text string) { must(os.WriteFile(path("e.lua"), []byte(text), 0o600)) },
		func(text string) { // write a temporary file, then rename it over the old one
			must(os.WriteFile(path("e.lua.tmp"), []byte(text), 0o600))
			must(os.Rename(path("e.lua.tmp"), path("e.lua")))
		},
		func(text string) { // rename the old file, then write a new one
			must(os.Rename(path("e.lua"), path("e.lua~")))
			must(os.WriteFile(path("e.lua"), []byte(text), 0o600))
		},
		func(text string) { // write the file in two parts, with a reload between them
			f, err := os.Create(path("e.lua"))
			must(err)
			_, err = f.WriteString(text[:len(text)/2])
			must(err)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			_ = l.h.Reload(ctx) // it may wait for the rest until the timeout
			cancel()
			_, err = f.WriteString(text[len(text)/2:])
			must(errors.Join(err, f.Close()))
		},
		func(text string) { // replace the folder that a link points into
			for _, v := range []string{script(-1), text} {
				data, err := os.MkdirTemp(filepath.Dir(path("x")), "..v") //nolint:usetesting // in the tenant's folder
				must(err)
				must(os.WriteFile(filepath.Join(data, "e.lua"), []byte(v), 0o600))
				must(os.Symlink(filepath.Base(data), path("..data_tmp")))
				must(os.Rename(path("..data_tmp"), path("..data")))
				must(os.Symlink("..data/e.lua", path("e.lua.tmp")))
				must(os.Rename(path("e.lua.tmp"), path("e.lua")))
			}
		},
	} {
		save(script(n + 1))
		l.reload()
		l.want("acme.e", "version", int64(n+1))
	}
	// The whole folder is moved and moved back.
	must(os.Rename(filepath.Dir(path("x")), filepath.Join(l.dir, "away")))
	must(os.Rename(filepath.Join(l.dir, "away"), filepath.Dir(path("x"))))
	l.reload()
	l.want("acme.e", "version", int64(5))
	stop()
}

// TestHistorySince checks that the history marks versions that already served when the host started. The time since
// which they serve is unknown.
func TestHistorySince(t *testing.T) {
	l := &fixture{T: t, age: 1000 * time.Hour}
	l.h, l.dir = makeHost(t, everything)
	serve := func(h *host.Host) (stop func()) {
		if err := h.Listen(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.Serve(ctx) }()
		return sync.OnceFunc(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Serve() = %v", err)
			}
		})
	}
	first := l.h
	began := time.Now()
	stop := serve(first)
	defer stop()
	want := func(id object.ID, event string, starts ...bool) {
		t.Helper()
		all, err := l.h.History(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		var got []bool
		for i, p := range all {
			got = append(got, p.AtStart)
			if last := i == len(all)-1; p.Serving != last || p.InFile != last || !p.AtStart && p.Taken.Before(began) {
				t.Errorf("%s: %s: version %d is %+v", id, event, i+1, p)
			}
		}
		if !slices.Equal(got, starts) {
			t.Errorf("%s: %s: at start %v, want %v", id, event, got, starts)
		}
	}
	want("acme.echo", "unchanged", true)
	l.put("scripts/acme/v.lua", version(1))
	l.put("scripts/acme/echo.lua", version(1))
	l.reload()
	want("acme.echo", "changed", true, false)
	want("acme.v", "new", false)
	l.put("scripts/acme/v.lua", version(2))
	l.reload()
	want("acme.v", "changed", false, false)
	stop()

	// The file changes while no host runs.
	l.put("scripts/acme/v.lua", version(3))
	var err error
	l.h, err = host.New(host.Config{Policy: host.PolicyOf(first), Worker: []string{os.Args[0], "worker"}})
	if err != nil {
		t.Fatal(err)
	}
	began = time.Time{}
	defer serve(l.h)()
	want("acme.v", "changed between two hosts", false, false, true)
	l.put("scripts/acme/v.lua", version(4))
	l.reload()
	want("acme.v", "changed after that", false, false, true, false)
	if _, err := l.h.Rollback(t.Context(), "acme.v", ""); err != nil || host.SourceOf(l.h, "acme.v") != version(3) {
		t.Errorf("rolled back to %q, %v; want version 3", host.SourceOf(l.h, "acme.v"), err)
	}
}

func TestRollback(t *testing.T) {
	l := liveHost(t, everything)
	ctx := t.Context()
	l.put("scripts/acme/lib/a.lua", "return {}")
	l.put("scripts/acme/v.lua", version(1))
	l.reload()
	if _, err := l.h.Rollback(ctx, "acme.v", ""); err == nil || !strings.Contains(err.Error(), "no version before") {
		t.Errorf("rollback of an object that never changed: %v", err)
	}
	for n := 2; n <= 3; n++ {
		l.put("scripts/acme/v.lua", version(n))
		l.reload()
	}
	serving := func() (number, total int, inFile bool) {
		t.Helper()
		all, err := l.h.History(ctx, "acme.v")
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range all {
			if p.Serving {
				number, inFile = i+1, p.InFile
			}
		}
		return number, len(all), inFile
	}
	if number, total, inFile := serving(); number != 3 || total != 3 || !inFile {
		t.Errorf("version %d of %d serves, in the file: %v; want 3 of 3, true", number, total, inFile)
	}
	all, err := l.h.History(ctx, "acme.v")
	if err != nil {
		t.Fatal(err)
	}
	rollback := func(version string, want int64) {
		t.Helper()
		if _, err := l.h.Rollback(ctx, "acme.v", version); err != nil {
			t.Fatal(err)
		}
		l.want("acme.v", "version", want)
	}
	rollback("", 2)
	rollback("", 1)
	if number, _, inFile := serving(); number != 1 || inFile {
		t.Errorf("version %d serves, in the file: %v; want 1, false", number, inFile)
	}
	// A rollback lasts until the file changes. A reload, a changed module or a restart does not end it.
	l.put("scripts/acme/lib/a.lua", "return { 1 }")
	l.reload()
	l.want("acme.v", "version", int64(1))
	again, err := host.New(host.Config{Policy: host.PolicyOf(l.h), Worker: []string{os.Args[0], "worker"}})
	if err != nil {
		t.Fatal(err)
	}
	if source := host.SourceOf(again, "acme.v"); source != version(1) {
		t.Errorf("after a restart %q serves, want version 1", source)
	}
	rollback(all[2].Version[:4], 3)
	rollback(all[0].Version, 1)
	l.put("scripts/acme/v.lua", version(4))
	l.reload()
	l.want("acme.v", "version", int64(4))

	_, err = l.h.Rollback(ctx, "acme.v", "nonsense")
	if err == nil || !strings.Contains(err.Error(), "no version nonsense") {
		t.Errorf("rollback to an unknown version: %v", err)
	}
	_, err = l.h.Rollback(ctx, "acme.none", "")
	if err == nil || !strings.Contains(err.Error(), "object acme.none not found") {
		t.Errorf("rollback of an unknown object: %v", err)
	}
	for n := 10; n < 30; n++ {
		l.put("scripts/acme/v.lua", version(n))
		l.reload()
	}
	if _, total, _ := serving(); total != 10 {
		t.Errorf("%d versions are kept, want 10", total)
	}
}

// TestGate checks that, with gate = "tests", a version serves only after the tests of its script pass.
func TestGate(t *testing.T) {
	for name, block := range map[string]string{
		"one worker":          `gate = "tests"`,
		"a worker per object": "gate = \"tests\"\n isolation = \"object\"",
	} {
		t.Run(name, func(t *testing.T) {
			l := liveHost(t, limited(block))
			refused := func() string {
				for _, r := range l.h.Refusals() {
					if r.ID == "acme.v" {
						return r.Err
					}
				}
				return ""
			}
			small := func(bound int) string {
				return fmt.Sprintf(`return { small = function() assert(new():version() < %d, "too large") end }`, bound)
			}
			l.put("scripts/acme/v_test.lua", small(3))
			l.put("scripts/acme/v.lua", version(7))
			l.reload()
			l.unknown("acme.v", "version")
			got := refused()
			for _, want := range []string{"acme/v_test.lua: test small failed", "too large"} {
				if !strings.Contains(got, want) {
					t.Errorf("refused: %q, want %q in it", got, want)
				}
			}
			l.put("scripts/acme/v.lua", version(1))
			l.reload()
			l.want("acme.v", "version", int64(1))
			l.put("scripts/acme/v.lua", version(9))
			l.reload()
			l.want("acme.v", "version", int64(1))
			// A rejected version is tested again when its tests change.
			l.put("scripts/acme/v_test.lua", small(10))
			l.reload()
			l.want("acme.v", "version", int64(9))
			if got := refused(); got != "" {
				t.Errorf("still refused: %s", got)
			}
			l.put("scripts/acme/v_test.lua", "this is not Lua")
			l.put("scripts/acme/v.lua", version(2))
			l.reload()
			l.want("acme.v", "version", int64(9))
		})
	}
}
