package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const slowScript = `local Slow = hearth.object {}
function Slow.expose:spin()
  hearth.log.info("spinning")
  while true do end
end
return Slow
`

const slowPolicy = `scripts = "scripts"
listener "local" {
  address  = "unix:h.sock"
  identify = ["peer"]
}
principal "me" { uid = %d }
tenant "acme" {}
permit "all" {
  principals = ["me"]
  objects    = ["acme.*"]
}
`

// TestSecondSignal: while the host drains a call that does not end, a second signal ends
// it at once.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "scripts", "acme", "slow.lua"), slowScript)
	write(t, filepath.Join(dir, "policy.hcl"), fmt.Sprintf(slowPolicy, os.Getuid()))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	serve := exec.CommandContext(ctx, "hearth", "serve")
	serve.Dir = dir
	logs, err := serve.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := serve.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	waitLine(t, out, "listening on")
	call := exec.CommandContext(ctx, "hearth", "call", "acme.slow", "spin", "--at", "unix:h.sock")
	call.Dir = dir
	if err := call.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(logs)
	waitLine(t, lines, "spinning")
	for range 2 {
		if err := serve.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		waitLine(t, lines, "draining")
	}
	_ = call.Wait()
	var ended *exec.ExitError
	if err := serve.Wait(); !errors.As(err, &ended) || !ended.Sys().(syscall.WaitStatus).Signaled() {
		t.Errorf("the host ended with %v, want it ended by the second signal", err)
	}
}

// waitLine reads until a line holds text, or to the end.
func waitLine(t *testing.T, r io.Reader, text string) {
	t.Helper()
	b, ok := r.(*bufio.Reader)
	if !ok {
		b = bufio.NewReader(r)
	}
	for {
		line, err := b.ReadString('\n')
		if err != nil || strings.Contains(line, text) {
			return
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
