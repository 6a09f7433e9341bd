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

// live is a host whose files a test changes.
type live struct {
	*testing.T
	h   *host.Host
	dir string
	c   *client.Client
	age time.Duration // age of the next file, so that each has a different time
}

func liveHost(t *testing.T, policy string) *live {
	h, dir := startHost(t, policy)
	return &live{T: t, h: h, dir: dir, c: dial(t, h.Addrs()[0], client.Config{}), age: 1000 * time.Hour}
}

// put writes a file with an old time, so that the host does not treat it as half written.
func (l *live) put(name, text string) {
	l.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		l.Fatal(err)
	}
	aside := path + ".new"
	if err := os.WriteFile(aside, []byte(text), 0o600); err != nil {
		l.Fatal(err)
	}
	l.age -= time.Minute
	at := time.Now().Add(-l.age)
	if err := errors.Join(os.Chtimes(aside, at, at), os.Rename(aside, path)); err != nil {
		l.Fatal(err)
	}
}

// reload waits until all changes are served or refused.
func (l *live) reload() {
	l.Helper()
	if err := l.h.Reload(l.Context()); err != nil {
		l.Fatal(err)
	}
}

// want calls a method without arguments.
func (l *live) want(id object.ID, method string, want any) {
	l.Helper()
	if got, err := l.c.Object(id).Call(l.Context(), method); err != nil || got != want {
		l.Errorf("%s.%s() = %v, %v; want %v", id, method, got, err, want)
	}
}

// unknown calls a method that nobody may know of.
func (l *live) unknown(id object.ID, method string) {
	l.Helper()
	_, err := l.c.Object(id).Call(l.Context(), method)
	wantRemote(l.T, err, "", "unknown object")
}

// version is a script whose only method says which one it is.
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

	// A version that fails changes nothing, and its error has the line.
	l.put("scripts/acme/v.lua", "local V = hearth.object {}\nfunction V.expose:version() return 3")
	l.reload()
	l.want("acme.v", "version", int64(2))
	refused := map[object.ID]string{}
	for _, r := range l.h.Refusals() {
		refused[r.ID] = r.Err
	}
	if !strings.Contains(refused["acme.v"], "acme/v.lua") {
		t.Errorf("refused: %v, want acme.v and where it is wrong", refused)
	}
	l.put("scripts/acme/v.lua", version(4))
	l.reload()
	l.want("acme.v", "version", int64(4))
	for _, r := range l.h.Refusals() {
		if r.ID == "acme.v" {
			t.Errorf("still refused: %v", r)
		}
	}

	if err := os.Rename(filepath.Join(l.dir, "scripts/acme/v.lua"), filepath.Join(l.dir, "scripts/acme/w.lua")); err != nil {
		t.Fatal(err)
	}
	l.reload()
	l.want("acme.w", "version", int64(4))
	l.unknown("acme.v", "version")
}

// TestNewAndWrong: a new script that does not load is told to those who could call it and see
// tracebacks, to nobody else, and no longer than a line.
func TestNewAndWrong(t *testing.T) {
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
	told, err := l.c.Object("Pyro.Daemon").Call(t.Context(), "refused")
	why, _ := told.(map[string]any)
	text, _ := why["acme.wrong"].(string)
	if err != nil || len(why) != 1 || !strings.HasPrefix(text, "acme/wrong.lua:1: xxx") || len(text) > 200 {
		t.Errorf("refused() = %v, %v; want acme.wrong alone, and shortly why", told, err)
	}
	l.put("scripts/acme/wrong.lua", version(1))
	l.reload()
	if told, err = l.c.Object("Pyro.Daemon").Call(t.Context(), "refused"); err != nil || len(told.(map[string]any)) != 0 {
		t.Errorf("refused() = %v, %v, and it serves by now", told, err)
	}
}

// TestClockSetBack: a file from the future is taken, or refused, as any other.
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
		t.Error("nothing is said of the script that is wrong")
	}
	l.put("scripts/acme/v.lua", version(2))
	l.reload()
	l.want("acme.v", "version", int64(2))
}

// TestRefusedAndRemoved: a script that was never served, as it does not load, is no longer
// refused once its file is gone; nor is one that was.
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

// TestReloadByItself waits for nothing but calls: the events of the file system do.
func TestReloadByItself(t *testing.T) {
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
	l.want("acme.other", "calls", int64(2)) // nothing that it runs on has changed

	// A module that does not compile leaves its users as they are.
	l.put("scripts/acme/lib/b.lua", `return {`)
	l.reload()
	l.want("acme.user", "lib", int64(2))
	l.want("acme.user", "calls", int64(2))
}

// TestReloadKeepsWhatHasBegun changes an object under a session, a stream and a call.
func TestReloadKeepsWhatHasBegun(t *testing.T) {
	l := liveHost(t, everything)
	script := func(v int) string {
		return fmt.Sprintf(`local S = hearth.object { instance = "session" }
function S.expose:version() return %[1]d end
function S.expose:slow() hearth.proxy("acme.gate"):come(); while hearth.proxy("acme.gate"):count() < 2 do end; return %[1]d end
function S.expose:items() local i = 0; return hearth.stream(function() i = i + 1; if i <= 3 then return %[1]d end end) end
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
	for n := any(int64(0)); n == int64(0); { // until the call is under way
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
		t.Errorf("a call that had begun returned %v, want 1", got)
	}
}

func (l *live) newSession() *client.Session {
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

	// State that a limit discarded is handed over too.
	_, err := l.c.Object("acme.s").Call(t.Context(), "spin")
	wantRemote(t, err, "", "limit exceeded")
	l.want("acme.s", "n", int64(44))

	// A version whose init cannot take the state says so, and loses nothing.
	l.put("scripts/acme/s.lua", script(`error("no: " .. state.n)`, keeps))
	l.reload()
	_, err = l.c.Object("acme.s").Call(t.Context(), "n")
	wantRemote(t, err, "", "no: 44")
	l.put("scripts/acme/s.lua", script("self.n = state.n", keeps))
	l.reload()
	l.want("acme.s", "n", int64(44))

	// What raises, or cannot travel, is told; the next instance starts afresh.
	l.put("scripts/acme/s.lua", script("self.n = state and state.n or 7", `function S:handover() return print end`))
	l.reload()
	l.want("acme.s", "n", int64(44))
	l.put("scripts/acme/s.lua", script("self.n = state and state.n or 8", ""))
	l.reload()
	l.want("acme.s", "n", int64(8))

	// Other limits are another version, too.
	l.put("scripts/acme/s.lua", script("self.n = state and state.n or 0", keeps))
	l.reload()
	if _, err := l.c.Object("acme.s").Call(t.Context(), "add", 5); err != nil {
		t.Fatal(err)
	}
	for _, wall := range []string{"3s", "4s"} { // the first is called never
		l.put("policy.hcl", limited("object \"s\" {\n limits {\n max_duration = \""+wall+"\"\n}\n}"))
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

	// An invalid policy, or one that a running host cannot apply, leaves the last good one in force.
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
			t.Errorf("the policy %q was taken, or nobody says why not", bad)
		}
	}

	// A tenant that the policy no longer has is gone at once, and so is a permit.
	l.put("policy.hcl", strings.Replace(everything, `"acme.*"`, `"acme.relay"`, 1))
	l.reload()
	l.unknown("third.v", "version")
	l.unknown("acme.echo", "echo")
	l.put("policy.hcl", everything)
	l.reload()
	l.want("acme.echo", "echo", nil)
}

// TestReloadPolicyCutsOff: a connection is closed if the new policy has no principal, or
// another one, for its peer. Other connections continue.
func TestReloadPolicyCutsOff(t *testing.T) {
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
		t.Errorf("a connection that the new policy does not concern: %v", err)
	}
	renamed := strings.NewReplacer(`principal "owner"`, `principal "somebody"`, `["owner"]`, `["somebody"]`).Replace(everything)
	l.put("policy.hcl", renamed)
	l.reload()
	if err := call(); err == nil || object.CodeOf(err) == object.CodeNotFound {
		t.Errorf("a connection of somebody else now: %v, want it closed", err)
	}
	l.want("acme.echo", "echo", nil) // a new connection is authenticated
}

// TestReloadWalls gives a tenant another kind of worker while it is called.
func TestReloadWalls(t *testing.T) {
	l := liveHost(t, everything)
	stop := l.hammer("acme.echo", 4)
	for range 3 {
		l.put("policy.hcl", strings.Replace(everything, `tenant "acme" {}`, `tenant "acme" { isolation = "object" }`, 1))
		l.reload()
		l.put("policy.hcl", everything)
		l.reload()
	}
	stop()
}

// hammer calls echo from several connections until the function is called that it returns.
// Every call must succeed.
func (l *live) hammer(id object.ID, callers int) (stop func()) {
	var wg sync.WaitGroup
	var over atomic.Bool
	for n := range callers {
		c := dial(l.T, l.h.Addrs()[0], client.Config{})
		wg.Go(func() {
			for i := 0; !over.Load(); i++ {
				want := fmt.Sprintf("%d/%d", n, i)
				if got, err := c.Object(id).Call(l.Context(), "echo", want); err != nil || got != want {
					l.Errorf("echo(%s) = %v, %v", want, got, err)
					return
				}
			}
		})
	}
	return func() { over.Store(true); wg.Wait() }
}

// TestSaveDances replaces a file in the ways of editors and of mounted volumes, under calls.
func TestSaveDances(t *testing.T) {
	l := liveHost(t, everything)
	path := func(name string) string { return filepath.Join(l.dir, "scripts/acme", name) }
	script := func(n int) string {
		return fmt.Sprintf("local E = hearth.object { instance = \"call\" }\nfunction E.expose:echo(v) return v end\nfunction E.expose:version() return %d end\nreturn E\n", n)
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
	for n, dance := range []func(text string){
		func(text string) { must(os.WriteFile(path("e.lua"), []byte(text), 0o600)) },
		func(text string) { // aside, then over it
			must(os.WriteFile(path("e.lua.tmp"), []byte(text), 0o600))
			must(os.Rename(path("e.lua.tmp"), path("e.lua")))
		},
		func(text string) { // the old one away, then a new one
			must(os.Rename(path("e.lua"), path("e.lua~")))
			must(os.WriteFile(path("e.lua"), []byte(text), 0o600))
		},
		func(text string) { // in halves
			f, err := os.Create(path("e.lua"))
			must(err)
			_, err = f.WriteString(text[:len(text)/2])
			must(err)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			_ = l.h.Reload(ctx) // which waits for the rest, and we do not
			cancel()
			_, err = f.WriteString(text[len(text)/2:])
			must(errors.Join(err, f.Close()))
		},
		func(text string) { // a link into a folder that is swapped as a whole
			for _, v := range []string{script(-1), text} {
				data, err := os.MkdirTemp(filepath.Dir(path("x")), "..v") //nolint:usetesting // inside of the folder
				must(err)
				must(os.WriteFile(filepath.Join(data, "e.lua"), []byte(v), 0o600))
				must(os.Symlink(filepath.Base(data), path("..data_tmp")))
				must(os.Rename(path("..data_tmp"), path("..data")))
				must(os.Symlink("..data/e.lua", path("e.lua.tmp")))
				must(os.Rename(path("e.lua.tmp"), path("e.lua")))
			}
		},
	} {
		dance(script(n + 1))
		l.reload()
		l.want("acme.e", "version", int64(n+1))
	}
	// The whole folder goes away and comes back.
	must(os.Rename(filepath.Dir(path("x")), filepath.Join(l.dir, "away")))
	must(os.Rename(filepath.Join(l.dir, "away"), filepath.Dir(path("x"))))
	l.reload()
	l.want("acme.e", "version", int64(5))
	stop()
}

// TestHistorySince has versions that served when a host started, and others: the first are told apart, as
// nobody knows since when they serve.
func TestHistorySince(t *testing.T) {
	l := &live{T: t, age: 1000 * time.Hour}
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
	want := func(id object.ID, what string, starts ...bool) {
		t.Helper()
		all, err := l.h.History(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		var got []bool
		for i, p := range all {
			got = append(got, p.AtStart)
			if last := i == len(all)-1; p.Serving != last || p.InFile != last || !p.AtStart && p.Taken.Before(began) {
				t.Errorf("%s of %s: version %d is %+v", what, id, i+1, p)
			}
		}
		if !slices.Equal(got, starts) {
			t.Errorf("%s of %s: at start %v, want %v", what, id, got, starts)
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
	if l.h, err = host.New(host.Config{Policy: host.PolicyOf(first), Worker: []string{os.Args[0], "worker"}}); err != nil {
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
		t.Errorf("an object that never changed: %v", err)
	}
	for n := 2; n <= 3; n++ {
		l.put("scripts/acme/v.lua", version(n))
		l.reload()
	}
	serving := func() (at, of int, inFile bool) {
		t.Helper()
		all, err := l.h.History(ctx, "acme.v")
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range all {
			if p.Serving {
				at, inFile = i+1, p.InFile
			}
		}
		return at, len(all), inFile
	}
	if at, of, inFile := serving(); at != 3 || of != 3 || !inFile {
		t.Errorf("version %d of %d serves, in the file: %v; want 3 of 3, true", at, of, inFile)
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
	if at, _, inFile := serving(); at != 1 || inFile {
		t.Errorf("version %d serves, in the file: %v; want 1, false", at, inFile)
	}
	// It stays until the file changes: over a reload, another module, and a restart.
	l.put("scripts/acme/lib/a.lua", "return { 1 }")
	l.reload()
	l.want("acme.v", "version", int64(1))
	again, err := host.New(host.Config{Policy: host.PolicyOf(l.h), Worker: []string{os.Args[0], "worker"}})
	if err != nil {
		t.Fatal(err)
	}
	if source := host.SourceOf(again, "acme.v"); source != version(1) {
		t.Errorf("after a restart serves %q, want version 1", source)
	}
	rollback(all[2].Version[:4], 3)
	rollback(all[0].Version, 1)
	l.put("scripts/acme/v.lua", version(4))
	l.reload()
	l.want("acme.v", "version", int64(4))

	if _, err := l.h.Rollback(ctx, "acme.v", "nonsense"); err == nil || !strings.Contains(err.Error(), "no version nonsense") {
		t.Errorf("a version that is not there: %v", err)
	}
	if _, err := l.h.Rollback(ctx, "acme.none", ""); err == nil || !strings.Contains(err.Error(), "object acme.none not found") {
		t.Errorf("an object that is not there: %v", err)
	}
	for n := 10; n < 30; n++ {
		l.put("scripts/acme/v.lua", version(n))
		l.reload()
	}
	if _, of, _ := serving(); of != 10 {
		t.Errorf("%d versions are kept, want 10", of)
	}
}

// TestGate: with gate = "tests" a version serves once it has passed the tests beside it.
func TestGate(t *testing.T) {
	for name, block := range map[string]string{"one worker": `gate = "tests"`, "a worker each": "gate = \"tests\"\n isolation = \"object\""} {
		t.Run(name, func(t *testing.T) {
			l := liveHost(t, strings.Replace(everything, `tenant "acme" {}`, "tenant \"acme\" {\n"+block+"\n}", 1))
			refused := func() string {
				for _, r := range l.h.Refusals() {
					if r.ID == "acme.v" {
						return r.Err
					}
				}
				return ""
			}
			small := func(most int) string {
				return fmt.Sprintf("return { small = function() assert(new():version() < %d, \"too large\") end }", most)
			}
			l.put("scripts/acme/v_test.lua", small(3))
			l.put("scripts/acme/v.lua", version(7))
			l.reload()
			l.unknown("acme.v", "version")
			if got := refused(); !strings.Contains(got, "acme/v_test.lua: test small failed") || !strings.Contains(got, "too large") {
				t.Errorf("refused: %q", got)
			}
			l.put("scripts/acme/v.lua", version(1))
			l.reload()
			l.want("acme.v", "version", int64(1))
			l.put("scripts/acme/v.lua", version(9))
			l.reload()
			l.want("acme.v", "version", int64(1))
			// Other tests are another chance.
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
