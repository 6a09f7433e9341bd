package confine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMembership(t *testing.T) {
	const v1 = "9:name=systemd:/\n5:cpu,cpuacct:/a/b\n4:memory:/c\n0::/unified\n"
	const v2 = "0::/system.slice/hearth.service\n"
	tests := []struct {
		controller, text string
		version          int
		want             string
		ok               bool
	}{
		{"memory", v1, 1, "/c", true},
		{"cpu", v1, 1, "/a/b", true},
		{"pids", v1, 1, "", false},
		{"systemd", v1, 1, "", false},
		{"memory", v2, 2, "/system.slice/hearth.service", true},
		{"memory", v2, 1, "", false},
		{"memory", "nonsense\n", 2, "", false},
	}
	for _, tt := range tests {
		got, ok := membership(tt.controller, tt.text, tt.version)
		if got != tt.want || ok != tt.ok {
			t.Errorf("membership(%s, %q, %d) = %q, %v; want %q, %v", tt.controller, tt.text, tt.version, got, ok, tt.want, tt.ok)
		}
	}
}

func TestSettings(t *testing.T) {
	spec := Spec{MemoryBytes: 64 << 20, Pids: 40, CPUs: 0.5}
	var got []string
	for version := 1; version <= 2; version++ {
		for _, s := range settings(spec, version) {
			got = append(got, s.file+" "+s.value)
		}
	}
	want := []string{
		"memory.limit_in_bytes 67108864", "?memory.memsw.limit_in_bytes 67108864", "pids.max 40", "cpu.cfs_period_us 100000", "cpu.cfs_quota_us 50000",
		"memory.max 67108864", "?memory.swap.max 0", "pids.max 40", "cpu.max 50000 100000",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("settings differ (-want +got):\n%s", d)
	}
	if s := settings(Spec{}, 2); s != nil {
		t.Errorf("without limits there are settings: %v", s)
	}
}

// TestFailsWithoutLeavingAnything makes a group of version 2 where the limit's file is
// missing, as it is if the controller was not handed down.
func TestFailsWithoutLeavingAnything(t *testing.T) {
	root := t.TempDir()
	own := filepath.Join(root, "own")
	for file, text := range map[string]string{"cgroup.controllers": "memory", "own/cgroup.subtree_control": "memory"} {
		if err := os.MkdirAll(own, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if g, err := makeGroup(Spec{MemoryBytes: 64 << 20}, 1, "0::/own\n", root); err == nil {
		t.Errorf("makeGroup() = %v, want an error", g)
	}
	left, err := filepath.Glob(filepath.Join(own, groupPrefix+"*"))
	if err != nil || len(left) != 0 {
		t.Errorf("%v is left (%v)", left, err)
	}
}
