package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestStoreOfAnotherUser runs hearth store as another user. The admin socket rejects each request, also when the mode
// of the socket and of its folder lets the user connect.
func TestStoreOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("SKIPPED: only root on Linux can run a program as another user")
	}
	dir, err := os.MkdirTemp("", "hearth") //nolint:usetesting // another user must be able to enter it
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	check(t, os.Chmod(dir, 0o755))
	bin := filepath.Join(dir, "hearth")
	buildHearth(t, bin)
	check(t, os.WriteFile(filepath.Join(dir, "policy.hcl"),
		[]byte("listener \"l\" { address = \"127.0.0.1:0\" }\ntenant \"acme\" {}\n"), 0o644))
	check(t, os.MkdirAll(filepath.Join(dir, "scripts", "acme"), 0o755))
	check(t, os.WriteFile(filepath.Join(dir, "scripts", "acme", "box.lua"),
		[]byte("return hearth.object {}\n"), 0o644))
	host := exec.CommandContext(t.Context(), bin, "serve", "--ready-file", "ready")
	host.Dir = dir
	check(t, host.Start())
	t.Cleanup(func() {
		_ = host.Process.Signal(syscall.SIGTERM)
		_ = host.Wait()
	})
	awaitFile(t, filepath.Join(dir, "ready"), nil)
	run := func(uid uint32, args ...string) (string, error) {
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), bin, append([]string{"store"}, args...)...)
		cmd.Dir = dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(0, "set", "acme.box", "k", "1"); err != nil {
		t.Fatalf("as root: %s, %v", out, err)
	}
	for _, open := range []bool{false, true} {
		if open {
			check(t, os.Chmod(filepath.Join(dir, "state"), 0o755))
			check(t, os.Chmod(filepath.Join(dir, "state", "admin.sock"), 0o666))
		}
		for _, verb := range []string{
			"ls", "ls acme", "get acme.box k", "set acme.box k 2", "rm acme.box k", "export acme", "check acme",
			"import acme /dev/null", "backup acme /dev/null/x",
		} {
			args := append(strings.Fields(verb), "--socket", "state/admin.sock")
			out, err := run(65534, args...)
			refused := strings.Contains(out, "accepts only the host's user and root") ||
				strings.Contains(verb, "/dev/null/x") && strings.Contains(out, "not a directory")
			if err == nil || !refused {
				t.Errorf("%s as another user: %q, %v", verb, out, err)
			}
		}
	}
	if out, err := run(0, "get", "acme.box", "k"); err != nil || out != "1\n" {
		t.Errorf("as root: %q, %v", out, err)
	}
}
