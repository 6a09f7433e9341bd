//go:build linux

package main_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	hearth "github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/plugins/binary"
)

// buildPlugins puts the example plugins into dir/plugins/demo and returns their hashes.
func buildPlugins(t *testing.T, dir string) (sums map[string]string) {
	t.Helper()
	to := filepath.Join(dir, "plugins", "demo")
	check(t, os.MkdirAll(to, 0o755))
	build := exec.CommandContext(t.Context(), "go", "build", "-o", to+"/", "../../plugins/examples/checksum",
		"../../plugins/examples/table")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building plugins: %v\n%s", err, out)
	}
	sums = map[string]string{}
	for _, name := range []string{"checksum", "table"} {
		sum, err := binary.Sum(filepath.Join(to, name))
		check(t, err)
		sums[name] = sum
	}
	return sums
}

// TestRealPyro4CallsPlugins has the real client call plugins as it calls scripts, under
// pins, with a neighbour whose pin is wrong; then it kills the host.
func TestRealPyro4CallsPlugins(t *testing.T) {
	needPyro4(t)
	built := t.TempDir()
	sums := buildPlugins(t, built)
	policy := fmt.Sprintf(`
listener "tcp" { address = "127.0.0.1:0" }
principal "me" { host_user = true }
tenant "demo" {
  plugin "checksum" {
    sha256 = %q
  }
  plugin "table" {
    sha256 = %q
  }
  plugin "wrong" {
    sha256 = "%064d"
  }
}
permit "the tests may call" {
  principals = ["me"]
  objects    = ["demo.*"]
}
`, sums["checksum"], sums["table"], 0)
	h := startHostWith(t, policy, func(dir string) {
		check(t, os.CopyFS(filepath.Join(dir, "plugins"), os.DirFS(filepath.Join(built, "plugins"))))
		for _, name := range []string{"checksum", "table"} {
			check(t, os.Chmod(filepath.Join(dir, "plugins", "demo", name), 0o755))
		}
		for _, name := range []string{"wrong", "unknown"} {
			check(t, os.WriteFile(filepath.Join(dir, "plugins", "demo", name), []byte("#!/bin/sh\n"), 0o755))
		}
	})
	if out, err := pyro(t, h, "plugins.py").CombinedOutput(); err != nil {
		t.Fatalf("testdata/pyro/plugins.py: %v\n%s", err, out)
	}
	c, err := hearth.New(hearth.Config{Address: h.tcp})
	check(t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if v, err := c.Object("demo.wrong").Call(ctx, "x"); err == nil || !strings.Contains(err.Error(), "unknown object") {
		t.Errorf("a plugin with a wrong pin: %v, %v", v, err)
	}
	for _, text := range []string{"hash mismatch", "no plugin block pins it"} {
		h.awaitLog(ctx, t, text)
	}
}

// TestPluginIsolation reads a file from a plugin before and after the policy permits it: the isolation changes with the
// policy, and in no other way.
func TestPluginIsolation(t *testing.T) {
	shown := t.TempDir()
	var dir string
	policy := func(more string) string {
		return `
listener "tcp" { address = "127.0.0.1:0" }
principal "me" { host_user = true }
tenant "demo" {
  plugin "misbehave" {
    unpinned = true
    ` + more + `
  }
}
permit "the tests may call" {
  principals = ["me"]
  objects    = ["demo.*"]
}
`
	}
	h := startHostWith(t, policy(""), func(at string) {
		dir = at
		to := filepath.Join(dir, "plugins", "demo")
		check(t, os.MkdirAll(to, 0o755))
		build := exec.CommandContext(t.Context(), "go", "build", "-o", to+"/", "../../plugins/examples/misbehave")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building a plugin: %v\n%s", err, out)
		}
		check(t, os.WriteFile(filepath.Join(shown, "x"), []byte("shown"), 0o644))
	})
	c, err := hearth.New(hearth.Config{Address: h.tcp})
	check(t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o := c.Object("demo.misbehave")
	for _, path := range []string{filepath.Join(shown, "x"), filepath.Join(dir, "policy.hcl"), "/etc/passwd"} {
		if v, err := o.Call(ctx, "read", path); err == nil || !strings.Contains(err.Error(), "no such file") {
			t.Errorf("%s: %v, %v", path, v, err)
		}
	}
	next := filepath.Join(dir, "next")
	check(t, os.WriteFile(next, []byte(policy(fmt.Sprintf("files = [%q]", shown))), 0o644))
	check(t, os.Rename(next, filepath.Join(dir, "policy.hcl")))
	h.awaitLog(ctx, t, "plugin changed")
	if v, err := o.Call(ctx, "read", filepath.Join(shown, "x")); err != nil || v != "shown" {
		t.Errorf("a permitted file: %v, %v", v, err)
	}
	if v, err := o.Call(ctx, "read", filepath.Join(dir, "policy.hcl")); err == nil {
		t.Errorf("a hidden file: %v", v)
	}
}

// TestNoPluginOutlivesTheHost kills the host with SIGKILL.
func TestNoPluginOutlivesTheHost(t *testing.T) {
	dir, err := os.MkdirTemp("", "hearth") //nolint:usetesting // the names of sockets are short
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	buildPlugins(t, dir)
	check(t, os.Mkdir(filepath.Join(dir, "scripts"), 0o755))
	bin, ready, policy := filepath.Join(dir, "hearth"), filepath.Join(dir, "ready"), filepath.Join(dir, "policy.hcl")
	buildHearth(t, bin)
	check(t, os.WriteFile(policy, []byte(`
listener "tcp" { address = "127.0.0.1:0" }
principal "me" { host_user = true }
tenant "demo" {
  plugin "table" {
    unpinned = true
  }
}
permit "all" {
  principals = ["me"]
  objects    = ["demo.*"]
}
`), 0o600))
	serve := exec.CommandContext(t.Context(), bin, "serve", "--policy", policy, "--ready-file", ready)
	check(t, serve.Start())
	ended := make(chan error, 1)
	go func() { ended <- serve.Wait() }()
	c, err := hearth.New(hearth.Config{Address: awaitFile(t, ready, ended)[0]})
	check(t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := c.Object("demo.table").Call(ctx, "put", "a", 1); err != nil {
		t.Fatal(err)
	}
	left := children(t, serve.Process.Pid)
	if len(left) != 1 {
		t.Fatalf("the host has children %v, want one plugin", left)
	}
	check(t, serve.Process.Kill())
	<-ended
	for late := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", left[0]))
		if err != nil || strings.Contains(string(stat), ") Z ") || strings.Contains(string(stat), ") X ") {
			break
		}
		if time.Now().After(late) {
			_ = syscall.Kill(left[0], syscall.SIGKILL)
			t.Fatal("the plugin outlived the host")
		}
	}
}
