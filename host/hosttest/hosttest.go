// Package hosttest runs a host in the process of a test. The test binary must also run as a worker, for the argument
// "worker".
package hosttest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile"
)

// Make returns a host that does not listen yet, and its new folder with policy.hcl and the scripts: sources by path,
// such as "acme/cart.lua". with changes the configuration. It logs if the test is verbose.
func Make(t testing.TB, scripts map[string]string, policyText string, with ...func(*host.Config)) (*host.Host, string) {
	t.Helper()
	dir := t.TempDir()
	for name, src := range scripts {
		path := filepath.Join(dir, "scripts", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "policy.hcl")
	if err := os.WriteFile(file, []byte(policyText), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := policyfile.Load(file, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	cfg := host.Config{
		Policy:     p,
		Log:        log,
		Worker:     []string{os.Args[0], "worker"},
		Version:    "test",
		PolicyFile: file,
		Load:       func() (*policy.Policy, error) { return policyfile.Load(file, os.Getuid()) },
	}
	for _, set := range with {
		set(&cfg)
	}
	h, err := host.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h, dir
}

// Serve listens and serves until the end of the test, when it drains the host.
func Serve(t testing.TB, h *host.Host) {
	t.Helper()
	if err := h.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve() = %v", err)
		}
	})
}
