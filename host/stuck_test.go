package host_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hearthhost/hearth/client"
)

// TestStuckWorker stops a worker process. Its call is answered at its time limit, a new policy takes effect, other
// tenants are served, and the worker is replaced.
func TestStuckWorker(t *testing.T) {
	var log syncBuffer
	policy := limited("limits {\n max_duration = \"1s\"\n }") + `
permit "owner may call other" {
  principals = ["owner"]
  objects    = ["other.*"]
}
`
	h, dir := startHost(t, policy, logTo(&log))
	ctx := t.Context()
	c := dial(t, h.Addrs()[0], client.Config{})
	if _, err := c.Object("acme.echo").Call(ctx, "echo", 1); err != nil {
		t.Fatal(err)
	}
	stuck := h.Workers()["acme"]
	if err := syscall.Kill(stuck, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	waits := make(chan error, 1)
	go func() {
		_, err := c.Object("acme.echo").Call(ctx, "echo", 2)
		waits <- err
	}()
	until(func() bool { return inFlight(t, h, "acme.echo") == 1 })
	forbid := `forbid "no more" {
  principals = ["owner"]
  objects    = ["acme.counter"]
}
`
	if err := os.WriteFile(filepath.Join(dir, "policy.hcl"), []byte(policy+forbid), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := h.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	_, err := c.Object("acme.counter").Call(ctx, "add", 1)
	if err == nil || !strings.Contains(err.Error(), "unknown object") {
		t.Errorf("a call that the new policy forbids: %v", err)
	}
	if v, err := c.Object("other.hidden").Call(ctx, "hi"); err != nil || v != "hi" {
		t.Errorf("another tenant: %v, %v", v, err)
	}
	err = <-waits
	for _, want := range []string{"limit exceeded: 1s of wall time", "whether it was executed is unknown"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the call: %v, want %q", err, want)
		}
	}
	until(func() bool {
		v, err := c.Object("acme.echo").Call(ctx, "echo", 3)
		if err != nil && !strings.Contains(err.Error(), "not executed") {
			t.Errorf("before the worker is replaced: %v", err)
		}
		return v == int64(3)
	})
	until(func() bool { return strings.Contains(log.String(), "the worker did not answer the host") })
	if h.Workers()["acme"] == stuck || !strings.Contains(log.String(), "the worker did not answer the host for 3s") {
		t.Errorf("the worker was not replaced:\n%s", log.String())
	}
}
