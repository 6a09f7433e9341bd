package main_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestMoreRightsThanTheStarter runs a set-user-id copy of the binary as another user with variables: they are ignored.
// Without the set-user-id bit they are used.
func TestMoreRightsThanTheStarter(t *testing.T) {
	if os.Getuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("SKIPPED: only root on Linux can make a program of another user")
	}
	dir, err := os.MkdirTemp("", "hearth") //nolint:usetesting // another user must be able to enter it
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	check(t, os.Chmod(dir, 0o755))
	bin := filepath.Join(dir, "hearth")
	buildHearth(t, bin)
	const owner, starter = 4242, 65534
	check(t, os.Chown(bin, owner, owner))
	for _, tc := range []struct {
		mode    os.FileMode
		ignored bool
	}{{0o755, false}, {0o755 | os.ModeSetuid, true}} {
		check(t, os.Chmod(bin, tc.mode))
		level, environment := "", ""
		for _, s := range configAs(t, bin, dir, starter) {
			switch s.Name {
			case "log level":
				level = s.Value
			case "environment":
				environment = s.Value
			}
		}
		if (level == "info") != tc.ignored || strings.Contains(environment, "ignored") != tc.ignored {
			t.Errorf("mode %v: log level %q, environment %q; want it ignored: %t", tc.mode, level, environment,
				tc.ignored)
		}
	}
}

type shownSetting struct{ Name, Value string }

func configAs(t *testing.T, bin, dir string, uid uint32) []shownSetting {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), bin, "config", "--json")
	cmd.Dir = dir
	cmd.Env = []string{"HEARTH_LOG_LEVEL=debug"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.Output()
	check(t, err)
	var all []shownSetting
	check(t, json.Unmarshal(out, &all))
	return all
}
