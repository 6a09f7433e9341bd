package main_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/sandbox/worker"
	"github.com/hearthhost/hearth/sandbox/workerfile"
)

// embedFlags returns the flags of go build that embed the worker program of this test, if it has one.
func embedFlags() []string {
	if !workerfile.Embedded() {
		return nil
	}
	return []string{"-tags", "embedworker", "-ldflags", "-X github.com/hearthhost/hearth/sandbox/worker.BuildID=" +
		worker.BuildID}
}

// TestWorkerProgram checks which file the workers of a host execute, and that they have no descriptor of it.
func TestWorkerProgram(t *testing.T) {
	h := startHost(t)
	c, err := client.New(client.Config{Address: h.tcp})
	check(t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := c.Object("demo.counter").Call(ctx, "add", 1); err != nil { // it has a worker then
		t.Fatal(err)
	}
	want := h.bin
	if workerfile.Embedded() {
		want = "/memfd:hearth-worker (deleted)"
	}
	workers := children(t, h.pid)
	if len(workers) == 0 {
		t.Error("the host has no worker")
	}
	for _, pid := range workers {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if os.IsPermission(err) {
			t.Skip("SKIPPED: only root can look at a worker")
		}
		if err != nil || exe != want {
			t.Errorf("worker %d executes %q (%v), want %q", pid, exe, err, want)
		}
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		check(t, err)
		for _, fd := range fds {
			to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()))
			if err == nil && strings.Contains(to, "memfd:") {
				t.Errorf("worker %d has descriptor %s of %s", pid, fd.Name(), to)
			}
		}
	}
	if !workerfile.Embedded() && strings.Contains(h.log.String(), "embedded") {
		t.Error("a host without an embedded worker program warns of that")
	}
}
