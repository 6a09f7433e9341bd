package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAdminRefusesOthers has another user ask a live host at its admin socket: with its
// folder and mode as they are, and with both opened by a mistake.
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
