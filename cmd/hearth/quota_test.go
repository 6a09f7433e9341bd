package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// TestCPUQuota runs the binary in a control group with a CPU quota: the host's threads, and the calls that it
// has under way for several tenants, follow the quota.
func TestCPUQuota(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("SKIPPED: on one processor a quota changes nothing")
	}
	group := quotaGroup(t, 50_000, 100_000)
	bin := filepath.Join(t.TempDir(), "hearth")
	buildHearth(t, bin)
	const enter = `echo $$ > "$0"/cgroup.procs && exec "$1" config --json`
	cmd := exec.CommandContext(t.Context(), "sh", "-c", enter, group, bin)
	cmd.Dir, cmd.Env = t.TempDir(), []string{}
	out, err := cmd.Output()
	check(t, err)
	var all []shownSetting
	check(t, json.Unmarshal(out, &all))
	for name, want := range map[string]string{
		"threads that run the host": "2", "running calls while several tenants have calls": "8",
	} {
		got := ""
		for _, s := range all {
			if s.Name == name {
				got = s.Value
			}
		}
		if got != want {
			t.Errorf("%s: %q under a quota of half a processor, want %s", name, got, want)
		}
	}
}

// quotaGroup makes a control group with a CPU quota, or skips the test.
func quotaGroup(t *testing.T, quota, period int) string {
	t.Helper()
	files := map[string]string{"cpu.max": fmt.Sprintf("%d %d", quota, period)}
	dir := fmt.Sprintf("/sys/fs/cgroup/hearth-test-%d", os.Getpid())
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil {
		files = map[string]string{"cpu.cfs_period_us": fmt.Sprint(period), "cpu.cfs_quota_us": fmt.Sprint(quota)}
		dir = fmt.Sprintf("/sys/fs/cgroup/cpu/hearth-test-%d", os.Getpid())
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("SKIPPED: no control group can be made here: %v", err)
	}
	t.Cleanup(func() { check(t, os.Remove(dir)) })
	for name, value := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
			t.Skipf("SKIPPED: the control group takes no CPU quota: %v", err)
		}
	}
	return dir
}
