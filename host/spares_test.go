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

// spares waits until the host has so many workers in advance and returns their process ids.
func spares(t *testing.T, h *host.Host, n int) []int {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for len(h.Spares()) != n { // the test's own deadline bounds it
		<-tick.C
	}
	return h.Spares()
}

// TestSpares: a tenant's first call takes a worker that was started in advance, another is
// started in its place, and one that is dead costs nobody a call.
func TestSpares(t *testing.T) {
	h, _ := startHost(t, everything, func(c *host.Config) { c.Spares = 2 })
	c := dial(t, h.Addrs()[0], client.Config{})
	call := func() {
		t.Helper()
		if got, err := c.Object("acme.echo").Call(t.Context(), "echo", "x"); err != nil || got != "x" {
			t.Fatalf("echo: %v, %v", got, err)
		}
	}
	before := spares(t, h, 2)
	call()
	taken := h.Workers()["acme"]
	if !slices.Contains(before, taken) {
		t.Errorf("the worker is process %d, and %v were there before", taken, before)
	}
	after := spares(t, h, 2)
	if slices.Contains(after, taken) {
		t.Errorf("process %d is acme's and a spare besides", taken)
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

// TestSparesEnd: what nobody took ends with the host.
func TestSparesEnd(t *testing.T) {
	var all []int
	t.Run("host", func(t *testing.T) {
		h, _ := startHost(t, everything, func(c *host.Config) { c.Spares = 3 })
		all = spares(t, h, 3)
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
