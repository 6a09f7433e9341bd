//go:build linux

package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	hearth "github.com/hearthhost/hearth/client"
)

// line is a line of hosts: the host that a test started, and its successors.
type line struct {
	dir, bin, tcp string
	addrs         []string // of the listeners, in the order of the policy; tcp is the first
}

const linePolicy = `
listener "tcp" { address = "127.0.0.1:0" }
listener "socket" { address = "unix:h.sock" }
principal "me" { host_user = true }
tenant "demo" {%s}
permit "all" {
  principals = ["me"]
  objects    = ["demo.*"]
}
`

// startLine starts the first host of a line, without a terminal. The last host ends with the test.
func startLine(t *testing.T, policy string, prepare func(dir string), args ...string) *line {
	t.Helper()
	dir, err := os.MkdirTemp("", "hearth") //nolint:usetesting // the names of sockets are short
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := &line{dir: dir, bin: filepath.Join(dir, "hearth")}
	buildHearth(t, l.bin)
	check(t, os.Link(l.bin, l.path("hearth.verb"))) // tests replace the binary of the host
	check(t, os.CopyFS(filepath.Join(dir, "scripts"), os.DirFS("../../scripts")))
	check(t, os.WriteFile(l.path("policy.hcl"), []byte(policy), 0o600))
	if prepare != nil {
		prepare(dir)
	}
	serve := l.command(t, append([]string{"serve", "--policy", l.path("policy.hcl"), "--ready-file", l.path("ready")},
		args...)...)
	l.launch(t, serve)
	return l
}

// launch starts the first host with a command and waits until it listens.
func (l *line) launch(t *testing.T, serve *exec.Cmd) {
	t.Helper()
	log, err := os.Create(l.path("log")) // not a pipe, whose end the last of the line would be
	check(t, err)
	defer log.Close()
	serve.Stdout, serve.Stderr = log, log
	serve.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	check(t, serve.Start())
	ended := make(chan error, 1)
	go func() { ended <- serve.Wait() }()
	t.Cleanup(func() {
		if pid := l.pid(t); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGTERM)
			awaitEnd(t, pid)
		}
		if err := <-ended; err != nil {
			t.Errorf("the first host: %v", err)
		}
		if t.Failed() {
			t.Logf("log of the hosts, its end:\n%s", tail(l.log(t), 80))
		}
	})
	l.addrs = awaitFile(t, l.path("ready"), ended)
	l.tcp = l.addrs[0]
	for late := time.Now().Add(time.Minute); l.pid(t) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("host.json was not written")
		}
	}
}

func (l *line) path(name string) string { return filepath.Join(l.dir, name) }

func (l *line) command(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), l.bin, args...)
	cmd.Dir = l.dir
	return cmd
}

func (l *line) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(l.path("log"))
	check(t, err)
	return string(text)
}

// pid returns the process of the serving host, 0 without one.
func (l *line) pid(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(l.path("state/host.json"))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	check(t, err)
	var r struct{ PID int }
	check(t, json.Unmarshal(text, &r))
	return r.PID
}

// upgrade runs hearth upgrade.
func (l *line) upgrade(t *testing.T) (out string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), l.path("hearth.verb"), "upgrade", "--policy", l.path("policy.hcl"))
	text, err := cmd.CombinedOutput()
	return string(text), err
}

func (l *line) mustUpgrade(t *testing.T) {
	t.Helper()
	if out, err := l.upgrade(t); err != nil {
		t.Fatalf("hearth upgrade: %v\n%s\n%s", err, out, tail(l.log(t), 40))
	}
}

// replace puts another program where the host was started from.
func (l *line) replace(t *testing.T, text []byte, mode os.FileMode) {
	t.Helper()
	check(t, os.WriteFile(l.bin+".new", text, 0o600))
	check(t, os.Chmod(l.bin+".new", mode))
	check(t, os.Rename(l.bin+".new", l.bin))
}

// awaitEnd waits until a process has ended, which is no child of the test.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	for late := time.Now().Add(time.Minute); alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("process %d did not end within a minute", pid)
		}
	}
}

// descriptors returns the open files of a process, without their numbers.
func descriptors(t *testing.T, pid int) (n int, list string) {
	t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	check(t, err)
	var names []string
	for _, e := range all {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, e.Name()))
		names = append(names, e.Name()+" "+to)
	}
	return len(names), strings.Join(names, "\n")
}

// verified runs hearth audit verify and returns the number of calls in the log.
func (l *line) verified(t *testing.T) (calls int) {
	t.Helper()
	verb, policy := l.path("hearth.verb"), l.path("policy.hcl")
	verify := exec.CommandContext(t.Context(), verb, "audit", "verify", "--policy", policy)
	if out, err := verify.CombinedOutput(); err != nil || strings.Contains(string(out), "note:") {
		t.Errorf("hearth audit verify: %v\n%s", err, out)
	}
	query := exec.CommandContext(t.Context(), verb, "audit", "query", "--event", "call", "--json", "--policy", policy)
	out, err := query.Output()
	check(t, err)
	return bytes.Count(out, []byte("\n"))
}

// embeddedFile is the embedded worker program, from which a host starts workers.
var embeddedFile = regexp.MustCompile(`/memfd:hearth-worker \(deleted\)`)

// TestUpgradeUnderLoad upgrades five times while many connections call, scripts and a
// plugin, over TCP and the Unix socket. No call fails, each stands once in one unbroken
// audit log, and no process and no descriptor is left.
func TestUpgradeUnderLoad(t *testing.T) {
	l := startLine(t, fmt.Sprintf(linePolicy, `
  plugin "checksum" {
    unpinned = true
    unconfined = true
  }
`), func(dir string) { buildPlugins(t, dir) })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var calls atomic.Int64
	once := func(addr string) error {
		c, err := hearth.New(hearth.Config{Address: addr})
		if err != nil {
			return err
		}
		defer c.Close()
		for i := range 10 {
			v, err := c.Object("demo.echo").Call(ctx, "echo", i)
			if err != nil || fmt.Sprint(v) != fmt.Sprint(i) {
				return fmt.Errorf("call %d: %v, %w", i, v, err)
			}
		}
		if _, err := c.Object("demo.slow").Call(ctx, "spin", 20000); err != nil {
			return fmt.Errorf("a long call: %w", err)
		}
		if _, err := c.Object("demo.checksum").Call(ctx, "sha256", []byte("x")); err != nil {
			return fmt.Errorf("a plugin: %w", err)
		}
		calls.Add(12)
		return nil
	}
	stop := make(chan struct{})
	var load sync.WaitGroup
	for i := range 4 {
		addr := l.tcp
		if i%2 == 1 {
			addr = "unix:" + l.path("h.sock")
		}
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := once(addr); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	first := 0
	pids := []int{l.pid(t)}
	for range 5 {
		// New calls are answered between two upgrades, so that each has some under way.
		for before := calls.Load(); calls.Load() < before+24 && !t.Failed(); time.Sleep(time.Millisecond) {
		}
		l.mustUpgrade(t)
		pids = append(pids, l.pid(t))
		if first == 0 {
			awaitEnd(t, pids[0])
		}
	}
	close(stop)
	load.Wait()
	last := pids[len(pids)-1]
	for _, pid := range pids[:len(pids)-1] {
		if pid == last {
			t.Errorf("process %d is still the host", pid)
		}
		awaitEnd(t, pid)
	}
	check(t, once(l.tcp))

	// The open files of a host in the middle of the line, and of the last one.
	settle := func(pid int) (n int, list string) {
		for late := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			n, list = descriptors(t, pid)
			// A plugin, a worker, and two prewarmed workers, which start later.
			started := strings.Count(list, "[pidfd]") >= 4
			if first == 0 && started || first > 0 && n <= first || time.Now().After(late) {
				return n, list
			}
		}
	}
	_, before := settle(last)
	if files := embeddedFile.ReplaceAllString(before, ""); strings.Contains(files, "(deleted)") ||
		strings.Count(before, "memfd:hearth-worker") > 1 || strings.Count(before, "audit.jsonl") != 1 ||
		strings.Count(before, "host.lock") != 1 {
		t.Errorf("the last host holds:\n%s", before)
	}
	entries, err := os.ReadDir(l.path("state/plugins"))
	check(t, err)
	if len(entries) != 1 || entries[0].Name() != fmt.Sprint(last) {
		t.Errorf("state/plugins holds %v, want only the folder of process %d", entries, last)
	}
	if got, want := l.verified(t), int(calls.Load()); got != want {
		t.Errorf("the audit log has %d calls, want %d", got, want)
	}
	// Sockets: the two listeners, and one for each worker and plugin; growing, they would be
	// more with each host.
	l.mustUpgrade(t)
	awaitEnd(t, last)
	check(t, once(l.tcp))
	first = len(strings.Split(before, "\n"))
	if n, after := settle(l.pid(t)); n > first {
		t.Errorf("%d descriptors after one more upgrade, %d before:\n%s\nbefore:\n%s", n, first, after, before)
	}
}

// TestFailingUpgrade starts children that do not become ready, one of each kind: the old process still serves, and
// hearth upgrade prints the reason. A good child takes over after that.
func TestFailingUpgrade(t *testing.T) {
	policy := fmt.Sprintf(linePolicy, "")
	l := startLine(t, policy, nil)
	good, err := os.ReadFile(l.bin)
	check(t, err)
	pid := l.pid(t)
	c, err := hearth.New(hearth.Config{Address: l.tcp})
	check(t, err)
	defer c.Close()
	session, err := c.Session(t.Context())
	check(t, err)
	defer session.Close()
	for _, tc := range []struct {
		name  string
		spoil func()
		want  string
	}{
		{"no program", func() { l.replace(t, []byte("\x7fELF garbage"), 0o755) }, "exec format error"},
		{"not executable", func() { l.replace(t, good, 0o644) }, "not an executable file"},
		{"a world-writable program", func() { l.replace(t, good, 0o757) }, "is world-writable"},
		{"gone", func() { check(t, os.Remove(l.bin)) }, "no such file"},
		{"ends at once", func() { l.replace(t, []byte("#!/bin/sh\nexit 7\n"), 0o755) }, "exit status 7"},
		{"an older version", func() {
			l.replace(t, []byte("#!/bin/sh\nunset HEARTH_HANDOVER; exec "+l.path("hearth.verb")+" \"$@\"\n"), 0o755)
		}, "ended before it was ready"},
		{"a policy whose tests fail", func() {
			check(t, os.WriteFile(l.path("policy.hcl"), []byte(policy+`
test "wrong" {
  principal = "me"
  call      = "demo.echo.echo"
  want      = "deny"
}
`), 0o600))
		}, "wrong"},
		{"a world-writable policy", func() { check(t, os.Chmod(l.path("policy.hcl"), 0o606)) }, "chmod o-w"},
		{"a listener that is not free", func() {
			check(t, os.WriteFile(l.path("policy.hcl"),
				[]byte(policy+"listener \"more\" {\n  address  = \""+strings.Replace(l.tcp, "127.0.0.1", "0.0.0.0",
					1)+"\"\n  identify = [\"hmac\"]\n}\n"), 0o600))
		}, "address already in use"},
	} {
		tc.spoil()
		out, err := l.upgrade(t)
		var failed *exec.ExitError
		if !errors.As(err, &failed) || failed.ExitCode() != 1 || !strings.Contains(out, tc.want) {
			t.Errorf("%s: %v, want %q in: %s", tc.name, err, tc.want, out)
		}
		if now := l.pid(t); now != pid {
			t.Fatalf("%s: process %d serves, want %d", tc.name, now, pid)
		}
		// A worker that starts now has the version of the host, also after its file was replaced.
		if tc.want == "exec format error" {
			for _, worker := range children(t, pid) {
				_ = syscall.Kill(worker, syscall.SIGKILL)
			}
		}
		for _, addr := range []string{l.tcp, "unix:" + l.path("h.sock")} {
			if err := callOnce(t.Context(), addr); err != nil {
				t.Errorf("%s: calling on %s: %v", tc.name, addr, err)
			}
		}
		l.replace(t, good, 0o755)
		check(t, os.WriteFile(l.path("policy.hcl"), []byte(policy), 0o600))
		check(t, os.Chmod(l.path("policy.hcl"), 0o600))
	}
	session.Close()
	l.mustUpgrade(t)
	if now := l.pid(t); now == pid {
		t.Error("the good program did not take over")
	}
	check(t, callOnce(t.Context(), l.tcp))
	l.verified(t)
	// Failed children have left nothing.
	if left := children(t, pid); alive(pid) && len(left) > 1 {
		t.Errorf("the old host has children %v", left)
	}
}

// TestUnwritten makes host.json unwritable for the new process, as a full disk does: hearth upgrade reports that at
// once, and finds the host when the file can be written.
func TestUnwritten(t *testing.T) {
	l := startLine(t, fmt.Sprintf(linePolicy, ""), nil)
	was := l.pid(t)
	file := l.path("state/host.json")
	text, err := os.ReadFile(file)
	check(t, err)
	// A mount point cannot be replaced, and reads like the file that it hides.
	if err := syscall.Mount(file, file, "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("SKIPPED: no bind mount: %v", err)
	}
	mounted := true
	unmount := func() {
		if mounted {
			check(t, syscall.Unmount(file, syscall.MNT_DETACH))
			mounted = false
		}
	}
	t.Cleanup(unmount)
	for _, when := range []string{"during the upgrade", "later"} {
		out, err := l.upgrade(t)
		if err == nil || !strings.Contains(out,
			fmt.Sprintf("process %d has ended, and its successor cannot write host.json", was)) {
			t.Errorf("%s: %v: %s", when, err, out)
		}
		if now, err := os.ReadFile(file); err != nil || string(now) != string(text) {
			t.Errorf("%s: host.json holds %q, %v; want %q", when, now, err, text)
		}
		check(t, callOnce(t.Context(), l.tcp))
	}
	unmount()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	await(ctx, t, "the host to write down that it runs", func() bool { return l.pid(t) != was })
	l.mustUpgrade(t)
}

// callOnce calls with a new client. A worker that was just killed can cost a call.
func callOnce(ctx context.Context, addr string) error {
	c, err := hearth.New(hearth.Config{Address: addr})
	if err != nil {
		return err
	}
	defer c.Close()
	for range 3 {
		var v any
		v, err = c.Object("demo.echo").Call(ctx, "echo", "x")
		if err == nil && v == "x" {
			return nil
		}
	}
	return err
}

// TestConnectedStays: a session, an item stream and a call that began before an upgrade continue in the old process.
// It ends when they end.
func TestConnectedStays(t *testing.T) {
	l := startLine(t, fmt.Sprintf(linePolicy, ""), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c, err := hearth.New(hearth.Config{Address: l.tcp})
	check(t, err)
	defer c.Close()
	session, err := c.Session(ctx)
	check(t, err)
	visit := func(want string) {
		t.Helper()
		if v, err := session.Object("demo.session").Call(ctx, "visit"); err != nil || fmt.Sprint(v) != want {
			t.Errorf("visit %s: %v, %v", want, v, err)
		}
	}
	visit("1")
	pid := l.pid(t)
	n := 20
	for v, err := range c.Object("demo.ticker").Stream(ctx, "countdown", 20) {
		if err != nil || fmt.Sprint(v) != fmt.Sprint(n) {
			t.Fatalf("item %d: %v, %v", n, v, err)
		}
		if n--; n == 10 {
			l.mustUpgrade(t)
		}
	}
	if n != 0 {
		t.Errorf("the stream ended with %d items left", n)
	}
	visit("2")
	if !alive(pid) || l.pid(t) == pid {
		t.Errorf("process %d: alive %t, host %d", pid, alive(pid), l.pid(t))
	}
	check(t, callOnce(ctx, l.tcp))
	session.Close()
	c.Close()
	awaitEnd(t, pid)
	if strings.Contains(l.log(t), "are cut off") {
		t.Error("something was cut off")
	}
	l.verified(t)
}

// TestConnectedObeys: open connections to the old host are under the new policy, although its additional listener
// exists only in the new host.
func TestConnectedObeys(t *testing.T) {
	l := startLine(t, fmt.Sprintf(linePolicy, ""), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c, err := hearth.New(hearth.Config{Address: l.tcp})
	check(t, err)
	defer c.Close()
	session, err := c.Session(ctx)
	check(t, err)
	defer session.Close()
	visit := func() error {
		_, err := session.Object("demo.session").Call(ctx, "visit")
		return err
	}
	check(t, visit())
	pid := l.pid(t)
	check(t, os.WriteFile(l.path("policy.hcl"), []byte(fmt.Sprintf(linePolicy, "")+`
listener "more" { address = "127.0.0.1:0" }
forbid "no more visits" {
  principals = ["me"]
  objects    = ["demo.session"]
}
`), 0o600))
	l.mustUpgrade(t)
	await(ctx, t, "the new policy to count", func() bool { err = visit(); return err != nil })
	if !strings.Contains(err.Error(), "unknown object") {
		t.Errorf("a call that the new policy forbids: %v", err)
	}
	if _, err := session.Object("demo.echo").Call(ctx, "echo", "x"); err != nil || !alive(pid) {
		t.Errorf("one that it permits: %v; the old host lives: %t", err, alive(pid))
	}
}

// TestDrainEnds: with --drain 0s the old host closes its connections at once; with a long drain it ends with the new
// host.
func TestDrainEnds(t *testing.T) {
	for _, drain := range []string{"0s", "24h"} {
		l := startLine(t, fmt.Sprintf(linePolicy, ""), nil, "--drain", drain)
		c, err := hearth.New(hearth.Config{Address: l.tcp})
		check(t, err)
		session, err := c.Session(t.Context())
		check(t, err)
		if _, err := session.Object("demo.session").Call(t.Context(), "visit"); err != nil {
			t.Fatal(err)
		}
		pid := l.pid(t)
		l.mustUpgrade(t)
		if drain != "0s" {
			if !alive(pid) {
				t.Error("the old host did not wait for its connection")
			}
			next := l.pid(t)
			check(t, syscall.Kill(next, syscall.SIGTERM))
			awaitEnd(t, next)
		}
		awaitEnd(t, pid)
		session.Close()
		c.Close()
	}
}

// TestForgedHandover: a process that is not the host's parent, or anything else at that
// descriptor, does not get to hand anything over.
func TestForgedHandover(t *testing.T) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "hearth")
	buildHearth(t, bin)
	check(t, os.Mkdir(filepath.Join(dir, "scripts"), 0o755))
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	check(t, err)
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	ours, theirs := os.NewFile(uintptr(fds[0]), ""), os.NewFile(uintptr(fds[1]), "")
	defer ours.Close()
	defer theirs.Close()
	_, err = ours.WriteString(`{"sockets":[],"upgrades":0}` + "\n")
	check(t, err)
	null, err := os.Open(os.DevNull)
	check(t, err)
	defer null.Close()
	for name, tc := range map[string]struct {
		shell string
		file  *os.File
		want  string
	}{
		"a grandparent's socket": {"HEARTH_HANDOVER=3 " + bin + " --no-env serve; exit $?", theirs,
			"not this process's parent"},
		"no socket":     {"exec env HEARTH_HANDOVER=3 " + bin + " serve", null, "reading the peer of descriptor 3"},
		"no descriptor": {"exec env HEARTH_HANDOVER=9 " + bin + " serve", null, "reading the peer of descriptor 9"},
		"no number":     {"exec env HEARTH_HANDOVER=x " + bin + " serve", null, "is not the number"},
	} {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", tc.shell)
		cmd.Dir = dir
		cmd.ExtraFiles = []*os.File{tc.file}
		out, err := cmd.CombinedOutput()
		var failed *exec.ExitError
		if !errors.As(err, &failed) || failed.ExitCode() != 1 || !strings.Contains(string(out), tc.want) {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
