package host_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/object"
)

// A tenant attacks the host, its operator and other tenants with its files and the timing of their changes.

// refusals returns the refusals, one per line.
func (l *fixture) refusals() string {
	var out []string
	for _, r := range l.h.Refusals() {
		out = append(out, r.Path+": "+r.Err)
	}
	return strings.Join(out, "\n")
}

// TestEndlessWrites has a tenant rewrite an invalid script continuously. Reload still returns, the script is refused
// eventually, and another tenant's change is served.
func TestEndlessWrites(t *testing.T) {
	l := liveHost(t, everything+`
permit "owner may call other" {
  principals = ["owner"]
  objects    = ["other.*"]
}`)
	path := filepath.Join(l.dir, "scripts/acme/never.lua")
	var stopped atomic.Bool
	done := make(chan error, 1)
	go func() { // ends with stopped; the test waits for it
		for n := 0; !stopped.Load(); n++ {
			if err := os.WriteFile(path, fmt.Appendf(nil, "this is not Lua %d", n), 0o600); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	l.put("scripts/other/v.lua", version(7))
	for got := any(nil); got != int64(7) && ctx.Err() == nil; {
		got, _ = l.c.Object("other.v").Call(ctx, "version")
	}
	if err := l.h.Reload(ctx); err != nil {
		t.Errorf("Reload() = %v", err)
	}
	for !strings.Contains(l.refusals(), "acme/never.lua") && ctx.Err() == nil {
		if err := l.h.Reload(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if ctx.Err() != nil {
		t.Error("the script is never refused, or the other tenant's change is never served")
	}
	stopped.Store(true)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestSlowScripts has as many tenants as the host loads scripts for at a time add scripts that use all their steps.
// Another tenant's script is served before theirs have failed.
func TestSlowScripts(t *testing.T) {
	const attackers = 8
	policy := everything + `
permit "owner may call other" {
  principals = ["owner"]
  objects    = ["other.*"]
}`
	for n := range attackers {
		policy += fmt.Sprintf("\ntenant \"slow%d\" {\n limits { steps = 5000000000 }\n}", n)
	}
	l := liveHost(t, policy)
	for n := range attackers {
		for i := range 90 { // at least a minute of work
			l.put(fmt.Sprintf("scripts/slow%d/s%d.lua", n, i), "while true do end")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	await := func(event string, done func() bool) {
		t.Helper()
		for tick := time.NewTicker(10 * time.Millisecond); !done(); {
			select {
			case <-tick.C: // the host does not report the scripts that it loads
			case <-ctx.Done():
				t.Fatal("did not happen: " + event)
			}
		}
	}
	await("each attacker has a worker", func() bool {
		running := 0
		for tenant, pid := range l.h.Workers() {
			if pid != 0 && strings.HasPrefix(tenant, "slow") {
				running++
			}
		}
		return running == attackers
	})
	l.put("scripts/other/v.lua", version(7))
	await("the other tenant's script serves", func() bool {
		got, _ := l.c.Object("other.v").Call(ctx, "version")
		return got == int64(7)
	})
	if wrong := l.refusals(); strings.Contains(wrong, "slow") {
		t.Errorf("the other tenant's script was served after some attackers' scripts:\n%.300s", wrong)
	}
}

// TestManyInvalidFiles checks that the refusals of a tenant with very many invalid files are bounded, and that its
// valid file is served.
func TestManyInvalidFiles(t *testing.T) {
	l := liveHost(t, everything)
	for n := range 3000 {
		path := filepath.Join(l.dir, "scripts/acme", fmt.Sprintf("wrong.%d.lua", n))
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.put("scripts/acme/v.lua", version(1))
	l.reload()
	l.want("acme.v", "version", int64(1))
	const more = "more than 100 files of this tenant cannot be served"
	if n := len(l.h.Refusals()); n > 110 || !strings.Contains(l.refusals(), more) {
		t.Errorf("%d refusals, want at most 110, with %q", n, more)
	}
}

// TestNestedFolders checks that deeply nested folders cost a bounded scan. Files outside them are served.
func TestNestedFolders(t *testing.T) {
	l := liveHost(t, everything)
	l.put("scripts/acme/a.lua", version(1))
	if err := os.MkdirAll(filepath.Join(l.dir, "scripts/acme", strings.Repeat("d/", 200)), 0o755); err != nil {
		t.Fatal(err)
	}
	l.put("scripts/acme/"+strings.Repeat("d/", 100)+"v.lua", version(1))
	l.reload()
	l.want("acme.a", "version", int64(1))
	l.unknown(object.ID("acme."+strings.Repeat("d.", 100)+"v"), "version")
	if !strings.Contains(l.refusals(), "more than 32 nested folders") {
		t.Errorf("refusals:\n%s\nwant one about nested folders", l.refusals())
	}
}

// TestModuleCycle checks that cycles of many modules are detected in bounded time. Served objects stay served.
func TestModuleCycle(t *testing.T) {
	l := liveHost(t, everything)
	l.put("scripts/acme/v.lua", `local a = require "a"`+"\n"+version(1))
	l.put("scripts/acme/lib/a.lua", `local b = require "b"; return b`)
	l.put("scripts/acme/lib/b.lua", `local a = require "a"; return a`)
	l.reload()
	l.unknown("acme.v", "version")
	if !strings.Contains(l.refusals(), "acme/v.lua") {
		t.Errorf("refusals:\n%s\nwant one of acme.v for its module cycle", l.refusals())
	}
	// Each of 100 modules requires all: 10,000 edges are reachable from each of 30 objects.
	var all strings.Builder
	for n := range 100 {
		fmt.Fprintf(&all, "-- require \"m%d\"\n", n)
	}
	l.put("scripts/acme/v.lua", version(2))
	for n := range 100 {
		l.put(fmt.Sprintf("scripts/acme/lib/m%d.lua", n), all.String()+"return 1")
	}
	for n := range 30 {
		l.put(fmt.Sprintf("scripts/acme/o%d.lua", n), `local m = require "m0"`+"\n"+version(1))
	}
	l.reload()
	for n := 2; n <= 4; n++ {
		l.put("scripts/acme/lib/m99.lua", all.String()+fmt.Sprintf("return %d", n))
		l.reload()
	}
	l.want("acme.v", "version", int64(2))
	l.want("acme.o7", "version", int64(1))
}

// TestHistoryIsBounded has a tenant change many objects with large modules. The history keeps the newest versions and
// is bounded, because the audit log needs space in the state folder too.
func TestHistoryIsBounded(t *testing.T) {
	const most, objects, libs = 2 << 20, 12, 7
	l := liveHost(t, everything)
	host.SetMaxHistoryBytes(l.h, most)
	uses := ""
	for n := range libs {
		l.put(fmt.Sprintf("scripts/acme/lib/m%d.lua", n), "--"+strings.Repeat("x", 6<<10)+"\nreturn 1")
		uses += fmt.Sprintf("require \"m%d\"\n", n)
	}
	for v := range 6 { // about 4 MB in total
		for n := range objects {
			l.put(fmt.Sprintf("scripts/acme/o%d.lua", n), uses+version(v))
		}
		l.reload()
	}
	total := int64(0)
	err := filepath.Walk(filepath.Join(l.dir, "state/history"), func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
		return err
	})
	if err != nil || total > most || total < most/2 {
		t.Errorf("the history holds %d bytes (%v), want at most %d and at least half of that", total, err, most)
	}
	restored := 0
	for n := range objects {
		id := object.ID(fmt.Sprintf("acme.o%d", n))
		if _, err := l.h.Rollback(t.Context(), id, ""); err == nil {
			restored++
			l.want(id, "version", int64(4))
		}
	}
	if restored == 0 {
		t.Error("no object can be rolled back: the newest versions are not kept")
	}
}

// TestTenantRemovedDuringCalls checks that calls that run when the policy removes a tenant finish normally. Later calls
// are rejected, and the tenant can be added again.
func TestTenantRemovedDuringCalls(t *testing.T) {
	with := everything + `
tenant "third" {}
permit "owner may call third" {
  principals = ["owner"]
  objects    = ["third.*"]
}
permit "third reaches the gate" {
  principals      = ["object:third.s"]
  objects         = ["acme.gate"]
  crosses_tenants = true
}`
	l := liveHost(t, with)
	l.put("scripts/third/s.lua", `local S = hearth.object { instance = "call" }
function S.expose:slow() hearth.proxy("acme.gate"):come(); for i = 1, 5000000 do end; return 1 end
return S`)
	l.reload()
	slow := make(chan any, 1)
	go func() { // ends with its call
		got, err := l.c.Object("third.s").Call(t.Context(), "slow")
		if err != nil {
			got = err
		}
		slow <- got
	}()
	gate := l.c.Object("acme.gate")
	for n := any(int64(0)); n == int64(0); { // until the call runs
		var err error
		if n, err = gate.Call(t.Context(), "count"); err != nil {
			t.Fatal(err)
		}
	}
	l.put("policy.hcl", everything)
	l.reload()
	l.unknown("third.s", "slow")
	if _, err := l.h.Rollback(t.Context(), "third.s", ""); object.CodeOf(err) != object.CodeNotFound {
		t.Errorf("a rollback of a removed object: %v", err)
	}
	if got := <-slow; got != int64(1) {
		t.Errorf("the call that ran during the reload: %v, want 1", got)
	}
	l.put("policy.hcl", with)
	l.put("scripts/third/s.lua", version(3))
	l.reload()
	l.want("third.s", "version", int64(3))
}

// TestNamesOfFiles checks that a file whose name is not a valid object name is not served.
func TestNamesOfFiles(t *testing.T) {
	l := liveHost(t, everything)
	for _, name := range []string{
		"a\nb.lua", "\x1b[2J.lua", "ob\u202ejects.lua", "é.lua", "x y.lua", "..lua", "a..b.lua", "\xff.lua",
		strings.Repeat("n", 250) + ".lua",
	} {
		if err := os.WriteFile(filepath.Join(l.dir, "scripts/acme", name), []byte(version(1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.put("scripts/acme/V.lua", version(2)) // names are case-sensitive
	l.put("scripts/acme/v.lua", version(1))
	l.put("scripts/acme/w.LUA", version(1))
	l.reload()
	l.want("acme.v", "version", int64(1))
	l.want("acme.V", "version", int64(2))
	for _, id := range []object.ID{"acme.w", "acme.", "acme.a.b", "acme.a"} {
		l.unknown(id, "version")
	}
	registered, err := dial(t, l.h.Addrs()[0], client.Config{}).Object("Pyro.Daemon").Call(t.Context(), "registered")
	text := fmt.Sprint(registered)
	if err != nil || !strings.Contains(text, "acme.V") || strings.ContainsAny(text, "\n\x1b\u202e") {
		t.Errorf("registered() = %v, %v", registered, err)
	}
}
