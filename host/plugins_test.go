package host_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/host"
)

// buffer is a log that is safe for concurrent reads and writes.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestHashMismatchIsNotACrash checks that a plugin whose file differs from the pinned hash is not started or served.
// One log line and one refusal report it. Metrics that alert operators do not change.
func TestHashMismatchIsNotACrash(t *testing.T) {
	log := new(buffer)
	pinned := strings.Replace(everything, `tenant "acme" {}`, `tenant "acme" {
  plugin "wrong" { sha256 = "`+strings.Repeat("0", 64)+`" }
}`, 1)
	h, dir := startHost(t, pinned, func(cfg *host.Config) {
		path := filepath.Join(cfg.Policy.Plugins, "acme", "wrong")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		cfg.Shim = []string{"/nonexistent/shim"}
		cfg.Log = slog.New(slog.NewTextHandler(log, nil))
	})
	c := dial(t, h.Addrs()[0], client.Config{})
	for range 12 {
		_, err := c.Object("acme.wrong").Call(t.Context(), "x")
		wantRemote(t, err, "", "unknown object")
		if err := h.Reload(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	_, text := admin(t, dir, "/metrics")
	got := parseMetrics(t, text)
	for name, want := range map[string]float64{
		`hearth_process_crashes_total{tenant="acme"}`:          0,
		`hearth_process_starts_total{tenant="acme"}`:           0,
		`hearth_calls_total{tenant="acme",code="unavailable"}`: 0,
		`hearth_workers{kind="plugin",state="quarantined"}`:    0,
		`hearth_refusals`: 1,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s = %v (present: %v), want %v", name, v, ok, want)
		}
	}
	if r := h.Refusals(); len(r) != 1 || r[0].ID != "acme.wrong" || !strings.Contains(r[0].Err, "hash mismatch: ") {
		t.Errorf("refusals: %+v", r)
	}
	if n := strings.Count(log.String(), "hash mismatch"); n != 1 {
		t.Errorf("the log has %d lines about the hash, want 1:\n%s", n, log)
	}
}
