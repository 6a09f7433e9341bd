//go:build linux

package main_test

import (
	"bytes"
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
)

// TestCrashes kills a worker and then the host with SIGKILL: a killed worker costs only its calls and is restarted, and
// no process outlives the host.
func TestCrashes(t *testing.T) {
	built := startHost(t)
	dir := t.TempDir()
	policy := filepath.Join(dir, "policy.hcl")
	check(t, os.WriteFile(policy, fmt.Appendf(nil, `
scripts = %q
listener "tcp" { address = "127.0.0.1:0" }
principal "me" { host_user = true }
tenant "demo" {}
permit "all" {
  principals = ["me"]
  objects    = ["demo.*"]
}
`, filepath.Join(built.dir, "scripts")), 0o600))
	ready := filepath.Join(dir, "ready")
	serve := exec.CommandContext(t.Context(), filepath.Join(built.dir, "hearth"), "serve", "--policy", policy,
		"--ready-file", ready, "--prewarm=0")
	check(t, serve.Start())
	ended := make(chan error, 1)
	go func() { ended <- serve.Wait() }()
	c, err := hearth.New(hearth.Config{Address: awaitFile(t, ready, ended)[0]})
	check(t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	counter := c.Object("demo.counter")
	for want := range int64(2) {
		if got, err := counter.Call(ctx, "add", 1); err != nil || got != want+1 {
			t.Fatalf("add(1) = %v, %v; want %d", got, err, want+1)
		}
	}

	// The worker: its state is gone, its object is not.
	workers := children(t, serve.Process.Pid)
	if len(workers) != 1 {
		t.Fatalf("the host has children %v, want one worker", workers)
	}
	pidfd, err := os.FindProcess(workers[0])
	check(t, err)
	check(t, pidfd.Signal(syscall.SIGKILL))
	var got any
	for got == nil { // a call that meets the dying worker gets an error, the next one an answer
		if got, err = counter.Call(ctx, "add", 1); err != nil && ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	if got != int64(1) && got != int64(3) {
		t.Errorf("after the crash add(1) = %v, want 1", got)
	}

	// After the end of the host its workers end.
	workers = children(t, serve.Process.Pid)
	check(t, serve.Process.Kill())
	<-ended
	for _, pid := range workers {
		for tick := time.NewTicker(10 * time.Millisecond); alive(pid); {
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("worker %d outlives its host", pid)
			}
		}
	}
}

// alive reports whether a process runs: one that only waits to be collected does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.HasPrefix(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " Z")
}
