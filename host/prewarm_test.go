package host_test

import (
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/host"
)

// prewarmed waits until the host has n prewarmed workers and returns their process ids.
func prewarmed(t *testing.T, h *host.Host, n int) []int {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for len(h.Prewarmed()) != n { // until the test's deadline
		<-tick.C
	}
	return h.Prewarmed()
}

// TestPrewarmedWorkers checks that a tenant's first call uses a prewarmed worker, and that a replacement is started. A
// dead prewarmed worker causes no call to fail.
func TestPrewarmedWorkers(t *testing.T) {
	h, _ := startHost(t, everything, func(c *host.Config) { c.Prewarm = 2 })
	c := dial(t, h.Addrs()[0], client.Config{})
	call := func() {
		t.Helper()
		if got, err := c.Object("acme.echo").Call(t.Context(), "echo", "x"); err != nil || got != "x" {
			t.Fatalf("echo: %v, %v", got, err)
		}
	}
	before := prewarmed(t, h, 2)
	call()
	used := h.Workers()["acme"]
	if !slices.Contains(before, used) {
		t.Errorf("the worker is process %d, want one of the prewarmed %v", used, before)
	}
	after := prewarmed(t, h, 2)
	if slices.Contains(after, used) {
		t.Errorf("process %d is acme's worker and still in the prewarmed pool", used)
	}
	for _, pid := range after {
		kill(t, pid)
	}
	kill(t, used)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for h.Workers()["acme"] == used {
		<-tick.C
	}
	call()
	if slices.Contains(after, h.Workers()["acme"]) {
		t.Error("a dead process serves")
	}
}

// TestPrewarmedWorkersEnd checks that prewarmed workers exit with the host.
func TestPrewarmedWorkersEnd(t *testing.T) {
	var all []int
	t.Run("host", func(t *testing.T) {
		h, _ := startHost(t, everything, func(c *host.Config) { c.Prewarm = 3 })
		all = prewarmed(t, h, 3)
	})
	for _, pid := range all {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			t.Errorf("process %d still runs", pid)
		}
	}
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
