//go:build linux

package main_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	hearth "github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/object"
)

// kills are the processes that TestKillsUnderLoad kills, in order. A worker is quarantined after ten consecutive
// crashes, and a plugin after five.
var kills = []string{"worker", "plugin", "worker", "worker", "plugin", "worker", "plugin", "worker", "worker"}

// faulty is the policy of the tests of faults: one tenant that suffers, one that must not.
const faulty = `
listener "tcp" { address = "127.0.0.1:0" }
principal "me" { host_user = true }
tenant "demo" {
  plugin "table" { unpinned = true }
}
tenant "other" {}
permit "the tests may call" {
  principals = ["me"]
  objects    = ["*.*"]
}
`

const echoing = `local E = hearth.object { instance = "call" }
function E.expose:echo(v) return v end
return E
`

// executedSaid reports whether an error states whether the call was executed.
func executedSaid(err error) bool {
	return strings.Contains(err.Error(), "not executed") ||
		strings.Contains(err.Error(), "whether it was executed is unknown")
}

// TestKillsUnderLoad kills a tenant's worker and its plugin repeatedly during calls of our client and of a real Pyro4
// client. Each call ends with the right result, or with an error that states whether it was executed. Another tenant
// is not affected, and no process or file is left.
func TestKillsUnderLoad(t *testing.T) {
	needPyro4(t)
	built := t.TempDir()
	buildPlugins(t, built)
	plugin, err := os.ReadFile(filepath.Join(built, "plugins", "demo", "table"))
	check(t, err)
	h := startHostWith(t, faulty, func(dir string) {
		for name, text := range map[string]string{"scripts/demo/e.lua": echoing, "scripts/other/e.lua": echoing,
			"plugins/demo/table": string(plugin)} {
			check(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
			check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755))
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()

	var over atomic.Bool
	var load sync.WaitGroup
	var answers, failures atomic.Int64
	caller := func(suffers bool, call func(c *hearth.Client, n int) error) {
		c, err := hearth.New(hearth.Config{Address: h.tcp})
		check(t, err)
		t.Cleanup(func() { c.Close() })
		load.Go(func() {
			for n := 0; !over.Load() && ctx.Err() == nil; n++ {
				switch err := call(c, n); {
				case err == nil:
					answers.Add(1)
				case suffers && executedSaid(err):
					failures.Add(1)
				default:
					t.Error(err)
					return
				}
			}
		})
	}
	echo := func(id string) func(c *hearth.Client, n int) error {
		return func(c *hearth.Client, n int) error {
			got, err := c.Object(object.ID(id)).Call(ctx, "echo", n)
			if err == nil && got != int64(n) {
				return fmt.Errorf("%s.echo(%d) = %v", id, n, got)
			}
			return err
		}
	}
	for range 3 {
		caller(true, echo("demo.e"))
	}
	caller(false, echo("other.e"))
	caller(true, func(c *hearth.Client, _ int) error {
		_, err := c.Object("demo.table").Call(ctx, "keys")
		return err
	})
	python := pyro(t, h, "faults.py")
	var said lockedBuffer
	python.Stdout, python.Stderr = &said, &said
	stop, err := python.StdinPipe()
	check(t, err)
	check(t, python.Start())

	random := rand.New(rand.NewPCG(3, 4))
	started := map[string]*regexp.Regexp{
		"worker": regexp.MustCompile(`msg="worker started" tenant=demo pid=(\d+)`),
		"plugin": regexp.MustCompile(`msg="plugin started" tenant=demo object=demo.table pid=(\d+)`),
	}
	killed := map[string]int{}
	for _, what := range kills {
		// The next of them, once it runs; then some calls more, so that it is amid some.
		var pid int
		await(ctx, t, what+" to run", func() bool {
			all := started[what].FindAllStringSubmatch(h.log.String(), -1)
			if len(all) <= killed[what] {
				return false
			}
			pid, _ = strconv.Atoi(all[len(all)-1][1])
			return slices.Contains(children(t, h.pid), pid)
		})
		enough := answers.Load() + random.Int64N(300)
		await(ctx, t, "calls to be answered", func() bool { return answers.Load() >= enough })
		check(t, syscall.Kill(pid, syscall.SIGKILL))
		killed[what]++
		if t.Failed() {
			break
		}
	}
	// Both come back.
	for _, call := range []func() error{
		func() error { _, err := h.callOnce(ctx, "demo.e", "echo", 1); return err },
		func() error { _, err := h.callOnce(ctx, "demo.table", "keys"); return err },
	} {
		await(ctx, t, "an answer after all that", func() bool { return call() == nil })
	}
	over.Store(true)
	load.Wait()
	check(t, stop.Close())
	if err := python.Wait(); err != nil {
		t.Errorf("testdata/pyro/faults.py: %v\n%s", err, said.String())
	}
	t.Logf("%d answers, %d errors; the Pyro4 client had %s", answers.Load(), failures.Load(),
		strings.TrimSpace(said.String()))
	await(ctx, t, "the killed processes to end", func() bool {
		return len(children(t,
			h.pid)) == 5
	}) // two workers, a plugin, two prewarmed workers
}

// callOnce makes a call on a new connection.
func (h *liveHost) callOnce(ctx context.Context, id, method string, args ...any) (any, error) {
	addr := h.tcp
	if addr == "" {
		addr = "unix:" + h.unix
	}
	c, err := hearth.New(hearth.Config{Address: addr})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Object(object.ID(id)).Call(ctx, method, args...)
}

// echoHost prepares a host that serves demo.e on a socket, with more in its policy, and does
// not start it.
func echoHost(t *testing.T, more string) *liveHost {
	t.Helper()
	dir, err := os.MkdirTemp("", "hearth") //nolint:usetesting // a socket's path is short
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	h := &liveHost{dir: dir, bin: filepath.Join(dir, "hearth"), unix: filepath.Join(dir, "h.sock")}
	buildHearth(t, h.bin)
	check(t, os.MkdirAll(filepath.Join(dir, "scripts/demo"), 0o755))
	check(t, os.WriteFile(filepath.Join(dir, "scripts/demo/e.lua"), []byte(echoing), 0o644))
	check(t, os.WriteFile(filepath.Join(dir, "policy.hcl"), []byte(more+`
listener "unix" { address = "unix:h.sock" }
principal "me" { host_user = true }
tenant "demo" {}
permit "the tests may call" {
  principals = ["me"]
  objects    = ["demo.*"]
}
`), 0o600))
	return h
}

// verifyAudit runs hearth audit verify.
func (h *liveHost) verifyAudit(ctx context.Context, t *testing.T, path string) {
	t.Helper()
	if out, err := exec.CommandContext(ctx, h.bin, "audit", "verify", "--file", path).CombinedOutput(); err != nil {
		t.Errorf("hearth audit verify: %v\n%s", err, out)
	}
}

// TestHostKilledUnderLoad kills the host amid calls, and starts it again: its audit log is
// whole, nothing of it is left, and it serves.
func TestHostKilledUnderLoad(t *testing.T) {
	h := echoHost(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for round := range 3 {
		serve := exec.CommandContext(ctx, h.bin, "serve", "--policy", filepath.Join(h.dir, "policy.hcl"))
		var log lockedBuffer
		serve.Stdout, serve.Stderr, serve.Dir = &log, &log, h.dir
		check(t, serve.Start())
		await(ctx, t, "the host to answer", func() bool {
			got, err := h.callOnce(ctx, "demo.e", "echo", round)
			return err == nil && got == int64(round)
		})
		await(ctx, t, "prewarmed workers", func() bool { return len(children(t, serve.Process.Pid)) == 3 })
		all := children(t, serve.Process.Pid)
		var load sync.WaitGroup
		var answers atomic.Int64
		for range 4 {
			c, err := hearth.New(hearth.Config{Address: "unix:" + h.unix})
			check(t, err)
			load.Go(func() {
				defer c.Close()
				for n := 0; ; n++ {
					got, err := c.Object("demo.e").Call(ctx, "echo", n)
					if err != nil {
						return // its end
					}
					if got != int64(n) {
						t.Errorf("echo(%d) = %v", n, got)
						return
					}
					answers.Add(1)
				}
			})
		}
		await(ctx, t, "calls", func() bool { return answers.Load() > 200 })
		check(t, serve.Process.Kill())
		_ = serve.Wait()
		load.Wait()
		for _, pid := range all {
			await(ctx, t, "a worker to end with its host", func() bool { return !alive(pid) })
		}
		h.verifyAudit(ctx, t, filepath.Join(h.dir, "state/audit.jsonl"))
		if t.Failed() {
			t.Logf("round %d; log of hearth serve, its end:\n%s", round, tail(log.String(), 30))
			return
		}
	}
}

// TestDiskFull fills the disk of the audit log: no call is executed without its record. With free space the host
// continues automatically, with a complete log.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root may mount a file system to fill")
	}
	h := echoHost(t, `audit { file = "full/audit.jsonl" }`)
	check(t, os.MkdirAll(filepath.Join(h.dir, "full"), 0o700))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	serve := exec.CommandContext(ctx, "unshare", "-m", "sh", "-c",
		`mount -t tmpfs -o size=256k,mode=0700 full full && exec "$0" serve --policy policy.hcl`, h.bin)
	var log lockedBuffer
	serve.Stdout, serve.Stderr, serve.Dir = &log, &log, h.dir
	check(t, serve.Start())
	t.Cleanup(func() {
		_ = serve.Process.Signal(syscall.SIGTERM)
		_ = serve.Wait()
		if t.Failed() {
			t.Logf("log of hearth serve, its end:\n%s", tail(log.String(), 30))
		}
	})
	call := func() error { _, err := h.callOnce(ctx, "demo.e", "echo", 1); return err }
	await(ctx, t, "the host to answer", func() bool { return call() == nil })

	full := fmt.Sprintf("/proc/%d/root%s/full/", serve.Process.Pid, h.dir)
	check(t, fill(full+"filler"))
	await(ctx, t, "a refusal", func() bool { // the last page of the log has room for a few records
		err := call()
		return err != nil && strings.Contains(err.Error(), "the host cannot keep its audit log; not executed")
	})
	check(t, os.Remove(full+"filler"))
	await(ctx, t, "an answer, with room again", func() bool { return call() == nil })
	text, err := os.ReadFile(full + "audit.jsonl")
	check(t, err)
	check(t, os.WriteFile(filepath.Join(h.dir, "copy.jsonl"), text, 0o600))
	h.verifyAudit(ctx, t, filepath.Join(h.dir, "copy.jsonl"))
	if !strings.Contains(log.String(), "audit log cannot be written") {
		t.Error("the log does not mention it")
	}
	if !strings.Contains(log.String(), "audit log is written again") {
		t.Error("the log does not mention the end")
	}
}

// fill writes a file until the disk is full.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for page := make([]byte, 4096); err == nil; {
		_, err = f.Write(page)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return nil
}

// TestInotifyExhausted: without file events the host finds changes by scans, and logs that.
func TestInotifyExhausted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root may take all file events of another user")
	}
	const uid = 47113
	taker := exec.CommandContext(t.Context(), python, "-c", `
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
limit = int(open("/proc/sys/fs/inotify/max_user_instances").read())
if limit > 1000: sys.exit("too many: %d" % limit)
while libc.inotify_init1(0) >= 0: pass
print("taken", flush=True)
sys.stdin.read()`)
	taker.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	taker.Dir = "/"
	in, err := taker.StdinPipe()
	check(t, err)
	var said lockedBuffer
	taker.Stdout, taker.Stderr = &said, &said
	check(t, taker.Start())
	t.Cleanup(func() { in.Close(); _ = taker.Wait() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	h := &liveHost{}
	await(ctx, t, "all instances to be taken", func() bool { return said.String() != "" })
	if said.String() != "taken\n" {
		t.Skipf("SKIPPED: file events cannot be exhausted here: %s", said.String())
	}
	h = startHostAs(t, uid, `
listener "unix" { address = "unix:h.sock" }
principal "me" { host_user = true }
principal "root" { user = "root" }
tenant "demo" {}
tenant "example" {}
tenant "other" {}
permit "root may call" {
  principals = ["root"]
  objects    = ["demo.*"]
}
`, nil)
	h.awaitLog(ctx, t, "no file events: the host scans all files instead; raise fs.inotify.max_user_instances")
	path := filepath.Join(h.dir, "scripts/demo/late.lua")
	check(t, os.WriteFile(path, []byte(echoing), 0o644))
	await(ctx, t, "the new script to serve", func() bool {
		got, err := h.callOnce(ctx, "demo.late", "echo", 7)
		return err == nil && got == int64(7)
	})
}
