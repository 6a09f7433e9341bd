package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAdminRefusesOthers connects to the admin socket of a live host as another user: with the modes of the host, and
// with a folder and a socket that were made writable by mistake.
func TestAdminRefusesOthers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may become another user")
	}
	h := startHost(t)
	socket := filepath.Join(h.dir, "state", "admin.sock")
	ask := func(uid uint32) (string, error) {
		cmd := exec.CommandContext(t.Context(), h.bin, "tenant", "usage", "--socket", socket)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	refused := func(how string) {
		t.Helper()
		if out, err := ask(65534); err == nil || !strings.Contains(out, "accepts only the host's user and root") {
			t.Errorf("another user, %s: %v\n%s", how, err, out)
		}
	}
	refused("with the folder closed")
	check(t, os.Chmod(filepath.Join(h.dir, "state"), 0o755))
	refused("with the folder open")
	check(t, os.Chmod(socket, 0o666))
	refused("with folder and socket open")
	h.awaitLog(t.Context(), t, "admin socket: connection of another user refused")
	if out, err := ask(0); err != nil || !strings.Contains(out, "demo ") {
		t.Errorf("the host's own user: %v\n%s", err, out)
	}
}
