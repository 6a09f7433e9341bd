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
	for len(h.Prewarmed()) != n { // the test's own deadline bounds it
		<-tick.C
	}
	return h.Prewarmed()
}

// TestPrewarmedWorkers: a tenant's first call takes a prewarmed worker, another is
// started in its place, and one that is dead costs nobody a call.
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
	taken := h.Workers()["acme"]
	if !slices.Contains(before, taken) {
		t.Errorf("the worker is process %d, and %v were there before", taken, before)
	}
	after := prewarmed(t, h, 2)
	if slices.Contains(after, taken) {
		t.Errorf("process %d is acme's and prewarmed besides", taken)
	}
	for _, pid := range after {
		kill(t, pid)
	}
	kill(t, taken)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for h.Workers()["acme"] == taken {
		<-tick.C
	}
	call()
	if slices.Contains(after, h.Workers()["acme"]) {
		t.Error("a dead process serves")
	}
}

// TestPrewarmedWorkersEnd: prewarmed workers end with the host.
func TestPrewarmedWorkersEnd(t *testing.T) {
	var all []int
	t.Run("host", func(t *testing.T) {
		h, _ := startHost(t, everything, func(c *host.Config) { c.Prewarm = 3 })
		all = prewarmed(t, h, 3)
	})
	for _, pid := range all {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			t.Errorf("process %d is left", pid)
		}
	}
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
