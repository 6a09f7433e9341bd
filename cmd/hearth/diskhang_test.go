//go:build linux

package main_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	hearth "github.com/hearthhost/hearth/client"
)

// hangingDisk mounts a file system whose writes hang while it is frozen. It skips the test where that cannot be made.
func hangingDisk(t *testing.T) (at string, freeze, thaw func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can freeze a file system")
	}
	dir := t.TempDir()
	at = filepath.Join(dir, "disk")
	check(t, os.Mkdir(at, 0o700))
	image := filepath.Join(dir, "image")
	check(t, os.WriteFile(image, nil, 0o600))
	check(t, os.Truncate(image, 16<<20))
	for _, c := range [][]string{{"mkfs.ext4", "-q", "-F", image}, {"mount", "-o", "loop", image, at}} {
		if out, err := exec.CommandContext(t.Context(), c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Skipf("SKIPPED: %s: %v\n%s", c[0], err, out)
		}
	}
	root, err := os.Open(at)
	check(t, err)
	const fifreeze, fithaw = 0xc0045877, 0xc0045878
	var once sync.Once
	freeze = func() {
		t.Helper()
		if err := unix.IoctlSetInt(int(root.Fd()), fifreeze, 0); err != nil {
			t.Skipf("SKIPPED: freezing a file system: %v", err)
		}
	}
	thaw = func() { once.Do(func() { _ = unix.IoctlSetInt(int(root.Fd()), fithaw, 0) }) }
	t.Cleanup(func() {
		thaw()
		root.Close()
		if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "umount",
			at).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	return at, freeze, thaw
}

// TestDiskThatHangs freezes the disk of the state folder, and so of the audit log, under a real host. A denied call
// waits for its record. Calls without a record, pings, metrics and reloads continue, and a new policy is applied. When
// the disk answers again, the host logs it, and the log is complete.
func TestDiskThatHangs(t *testing.T) {
	disk, freeze, thaw := hangingDisk(t)
	policy := `
listener "tcp" { address = "127.0.0.1:0" }
principal "me" { host_user = true }
tenant "demo" {}
tenant "other" {}
audit { permits = "none" }
permit "the tests may call" {
  principals = ["me"]
  objects    = ["demo.*"]
}
`
	h := startHostWith(t, policy, func(dir string) {
		check(t, os.Mkdir(filepath.Join(disk, "state"), 0o700))
		check(t, os.Remove(filepath.Join(dir, "state")))
		check(t, os.Symlink(filepath.Join(disk, "state"), filepath.Join(dir, "state")))
	})
	t.Cleanup(thaw) // before the host is stopped
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dial := func() *hearth.Client {
		t.Helper()
		c, err := hearth.New(hearth.Config{Address: h.tcp, MaxConns: 1})
		check(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	c, stuck := dial(), dial()
	for _, one := range []*hearth.Client{c, stuck} {
		_, err := one.Object("demo.counter").Call(ctx, "add", 1)
		check(t, err)
	}

	freeze()
	denied := make(chan error, 1)
	go func() { _, err := stuck.Object("other.secret").Call(ctx, "visit"); denied <- err }()
	h.awaitLog(ctx, t, "audit log: write has not finished for ")
	for range 20 {
		if _, err := c.Object("demo.counter").Call(ctx, "add", 1); err != nil {
			t.Fatalf("a call that is not recorded: %v", err)
		}
	}
	if _, err := c.Object("Pyro.Daemon").Call(ctx, "ping"); err != nil {
		t.Errorf("a ping: %v", err)
	}
	check(t, os.WriteFile(filepath.Join(h.dir, "policy.hcl"),
		[]byte(strings.Replace(policy, `["demo.*"]`, `["demo.counter"]`, 1)), 0o644))
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(ctx, h.bin, args...)
		cmd.Dir = h.dir
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			t.Errorf("hearth %v: %v\n%s", args, err, &out)
		}
		return out.String()
	}
	script := filepath.Join(h.dir, "scripts", "demo", "counter.lua")
	text, err := os.ReadFile(script)
	check(t, err)
	check(t, os.WriteFile(script, append(text, "\n-- changed\n"...), 0o644))
	run("reload")
	for _, line := range []string{"policy changed", "object changed"} {
		h.awaitLog(ctx, t, line)
	}
	if n := h.metrics(t)["hearth_audit_stalled_seconds"]; n < 1 {
		t.Errorf("the metrics show a stall of %d seconds", n)
	}
	select {
	case err := <-denied:
		t.Errorf("a call that needs its record was answered: %v", err)
	default:
	}

	thaw()
	if err := <-denied; err == nil {
		t.Error("a denied call succeeded")
	}
	h.awaitLog(ctx, t, "audit log: write has finished")
	if _, err := c.Object("demo.greeter").Call(ctx, "hello", "x"); err == nil {
		t.Error("the policy that was loaded while the disk hung does not count")
	}
	if out := run("audit", "query"); !strings.Contains(out, "policy changed") ||
		!strings.Contains(out, "other.secret") {
		t.Errorf("the log: %s", out)
	}
	run("audit", "verify")
}
