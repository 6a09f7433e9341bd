package host_test

import (
	"bytes"
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

// Attacks of a tenant on the host, its operator and other tenants by the files in its folder
// and the time of their changes.

// refusals returns the refusals, one a line.
func (l *live) refusals() string {
	var out []string
	for _, r := range l.h.Refusals() {
		out = append(out, r.Path+": "+r.Err)
	}
	return strings.Join(out, "\n")
}

// TestFileThatIsWrittenAllTheTime has a tenant rewrite a script that is wrong without end: it
// is refused in the end, whoever asks for a reload is answered, and a neighbour's change arrives.
func TestFileThatIsWrittenAllTheTime(t *testing.T) {
	l := liveHost(t, everything+`
permit "owner may call other" {
  principals = ["owner"]
  objects    = ["other.*"]
}`)
	path := filepath.Join(l.dir, "scripts/acme/never.lua")
	var over atomic.Bool
	done := make(chan error, 1)
	go func() { // ends with over, and is waited for
		for n := 0; !over.Load(); n++ {
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
		t.Errorf("who asks for a reload is not answered: %v", err)
	}
	for !strings.Contains(l.refusals(), "acme/never.lua") && ctx.Err() == nil {
		if err := l.h.Reload(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if ctx.Err() != nil {
		t.Error("it is never refused, or the neighbour's change never arrives")
	}
	over.Store(true)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestScriptsThatTakeLong has as many tenants as are tried at a time put scripts into their
// folders that spin until their steps are spent: a neighbour's is taken before they are done.
func TestScriptsThatTakeLong(t *testing.T) {
	const attackers = 8
	policy := everything + `
permit "owner may call other" {
  principals = ["owner"]
  objects    = ["other.*"]
}`
	for n := range attackers {
		policy += fmt.Sprintf("\ntenant \"slow%d\" {}", n)
	}
	l := liveHost(t, policy)
	for n := range attackers {
		for i := range 90 { // a minute's work at the least
			l.put(fmt.Sprintf("scripts/slow%d/s%d.lua", n, i), "while true do end")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	await := func(what string, is func() bool) {
		t.Helper()
		for tick := time.NewTicker(10 * time.Millisecond); !is(); {
			select {
			case <-tick.C: // a host tells nobody what it tries
			case <-ctx.Done():
				t.Fatal("in vain: " + what)
			}
		}
	}
	await("each of them is tried", func() bool {
		running := 0
		for tenant, pid := range l.h.Workers() {
			if pid != 0 && strings.HasPrefix(tenant, "slow") {
				running++
			}
		}
		return running == attackers
	})
	l.put("scripts/other/v.lua", version(7))
	await("the neighbour's script serves", func() bool {
		got, _ := l.c.Object("other.v").Call(ctx, "version")
		return got == int64(7)
	})
	if wrong := l.refusals(); strings.Contains(wrong, "slow") {
		t.Errorf("the neighbour's script was taken after some of theirs:\n%.300s", wrong)
	}
}

// TestFilesWithoutNumber: of very many files that are wrong so many are told, and one that is
// right serves.
func TestFilesWithoutNumber(t *testing.T) {
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
	if n := len(l.h.Refusals()); n > 110 || !strings.Contains(l.refusals(), "more than 100 files of this tenant cannot be served") {
		t.Errorf("%d refusals, want some hundred and that there are more", n)
	}
}

// TestFolderWithoutEnd: folders in each other, and in number, cost a bounded look, and do not
// hide what lies before them.
func TestFolderWithoutEnd(t *testing.T) {
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

// TestModulesInACircle: modules that ask for each other, by very many, are found out about in
// bounded time, and what serves goes on.
func TestModulesInACircle(t *testing.T) {
	l := liveHost(t, everything)
	l.put("scripts/acme/v.lua", `local a = require "a"`+"\n"+version(1))
	l.put("scripts/acme/lib/a.lua", `local b = require "b"; return b`)
	l.put("scripts/acme/lib/b.lua", `local a = require "a"; return a`)
	l.reload()
	l.unknown("acme.v", "version")
	if !strings.Contains(l.refusals(), "acme/v.lua") {
		t.Errorf("refusals:\n%s\nwant that acme.v asks in a circle", l.refusals())
	}
	// Each of 100 asks for all: 10,000 ways to go from each of 30 objects.
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

// TestHistoryIsBounded has a tenant change many objects with much to keep: the state folder,
// which the audit log needs too, holds so much of it and no more, and the newest.
func TestHistoryIsBounded(t *testing.T) {
	const most, objects, libs = 2 << 20, 12, 7
	l := liveHost(t, everything)
	host.BoundHistory(l.h, most)
	uses := ""
	for n := range libs {
		l.put(fmt.Sprintf("scripts/acme/lib/m%d.lua", n), "--"+strings.Repeat("x", 6<<10)+"\nreturn 1")
		uses += fmt.Sprintf("require \"m%d\"\n", n)
	}
	for v := range 6 { // some 4 MB in all
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
		t.Errorf("the history holds %d bytes (%v), want %d at most and not much less", total, err, most)
	}
	back := 0
	for n := range objects {
		id := object.ID(fmt.Sprintf("acme.o%d", n))
		if _, err := l.h.Rollback(t.Context(), id, ""); err == nil {
			back++
			l.want(id, "version", int64(4))
		}
	}
	if back == 0 {
		t.Error("no object can be rolled back: the newest versions are not kept")
	}
}

// TestTenantTakenAwayDuringCalls: calls that are under way when the policy takes a tenant away
// end well, those after find nothing, and it may come back.
func TestTenantTakenAwayDuringCalls(t *testing.T) {
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
	for n := any(int64(0)); n == int64(0); { // until the call is under way
		var err error
		if n, err = gate.Call(t.Context(), "count"); err != nil {
			t.Fatal(err)
		}
	}
	l.put("policy.hcl", everything)
	l.reload()
	l.unknown("third.s", "slow")
	if _, err := l.h.Rollback(t.Context(), "third.s", ""); object.CodeOf(err) != object.CodeNotFound {
		t.Errorf("a rollback of what is gone: %v", err)
	}
	if got := <-slow; got != int64(1) {
		t.Errorf("the call that was under way: %v, want 1", got)
	}
	l.put("policy.hcl", with)
	l.put("scripts/third/s.lua", version(3))
	l.reload()
	l.want("third.s", "version", int64(3))
}

// TestNamesOfFiles: a file whose name is not a valid object name is not served.
func TestNamesOfFiles(t *testing.T) {
	l := liveHost(t, everything)
	for _, name := range []string{"a\nb.lua", "\x1b[2J.lua", "ob\u202ejects.lua", "é.lua", "x y.lua", "..lua", "a..b.lua", "\xff.lua", strings.Repeat("n", 250) + ".lua"} {
		if err := os.WriteFile(filepath.Join(l.dir, "scripts/acme", name), []byte(version(1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.put("scripts/acme/V.lua", version(2)) // another than v
	l.put("scripts/acme/v.lua", version(1))
	l.put("scripts/acme/w.LUA", version(1))
	l.reload()
	l.want("acme.v", "version", int64(1))
	l.want("acme.V", "version", int64(2))
	for _, id := range []object.ID{"acme.w", "acme.", "acme.a.b", "acme.a"} {
		l.unknown(id, "version")
	}
	known, err := dial(t, l.h.Addrs()[0], client.Config{}).Object("Pyro.Daemon").Call(t.Context(), "registered")
	if err != nil || !bytes.Contains(fmt.Append(nil, known), []byte("acme.V")) || strings.ContainsAny(fmt.Sprint(known), "\n\x1b\u202e") {
		t.Errorf("registered() = %v, %v", known, err)
	}
}
