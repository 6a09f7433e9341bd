package cgroup

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// TestRead reads example hierarchies of both versions.
func TestRead(t *testing.T) {
	const v1 = "4:memory:/docker/abc\n3:cpuset:/\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n0::/\n"
	const v2 = "0::/system.slice/hearth.service/hearth-host\n"
	for name, tc := range map[string]struct {
		memberships string
		files       map[string]string
		want        Limits
	}{
		"version 2, quota of the group above the host's leaf": {v2, map[string]string{
			"cgroup.controllers":                              "cpu memory",
			"system.slice/hearth.service/hearth-host/cpu.max": "max 100000\n",
			"system.slice/hearth.service/cpu.max":             "150000 100000\n",
			"system.slice/hearth.service/memory.max":          "max\n",
			"system.slice/memory.max":                         "268435456\n",
		}, Limits{1.5, 256 << 20}},
		"version 2, the lowest of several": {v2, map[string]string{
			"cgroup.controllers":                              "cpu",
			"system.slice/hearth.service/hearth-host/cpu.max": "400000 100000\n",
			"system.slice/cpu.max":                            "50000 100000\n",
		}, Limits{CPUs: 0.5}},
		"version 2, inside a container": {"0::/\n", map[string]string{
			"cgroup.controllers": "cpu",
			"cpu.max":            "25000 50000\n",
		}, Limits{CPUs: 0.5}},
		"version 2, the group of a container seen from outside its namespace": {"0::/docker/abc\n", map[string]string{
			"cgroup.controllers": "cpu",
			"cpu.max":            "200000 100000\n",
		}, Limits{CPUs: 2}},
		"version 2, nothing limited": {v2, map[string]string{
			"cgroup.controllers": "cpu", "system.slice/cpu.max": "max 100000\n",
		}, Limits{}},
		"version 2, nonsense": {v2, map[string]string{
			"cgroup.controllers": "cpu", "system.slice/cpu.max": "-1 0\n", "system.slice/memory.max": "x",
		}, Limits{}},
		"version 1": {v1, map[string]string{
			"cpu/docker/abc/cpu.cfs_quota_us": "250000\n", "cpu/docker/abc/cpu.cfs_period_us": "100000\n",
			"memory/docker/abc/memory.limit_in_bytes": "67108864\n",
			"memory/memory.limit_in_bytes":            "9223372036854771712\n",
		}, Limits{2.5, 64 << 20}},
		"version 1, no quota": {v1, map[string]string{
			"cpu/docker/abc/cpu.cfs_quota_us": "-1\n", "cpu/docker/abc/cpu.cfs_period_us": "100000\n",
			"memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, Limits{}},
		"version 1, inside a container": {v1, map[string]string{
			"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n",
		}, Limits{CPUs: 1}},
		"no control groups": {"", nil, Limits{}},
		"broken memberships": {"0:\n::\n2:cpu:/../..\n", map[string]string{
			"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "50000",
		},
			Limits{CPUs: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range tc.files {
				path := filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := read(tc.memberships, root); got != tc.want {
				t.Errorf("%+v, want %+v", got, tc.want)
			}
		})
	}
}

// TestProcessors: the quota is rounded up, and limited by the number of processors.
func TestProcessors(t *testing.T) {
	for _, tc := range []struct {
		machine int
		quota   float64
		want    int
	}{{64, 0, 64}, {64, 0.2, 1}, {64, 1, 1}, {64, 1.5, 2}, {2, 8, 2}, {1, 0.5, 1}} {
		if got := processors(tc.machine, tc.quota); got != tc.want {
			t.Errorf("%d processors, a quota of %v: %d, want %d", tc.machine, tc.quota, got, tc.want)
		}
	}
	if got := Processors(); got < 1 || got > runtime.NumCPU() {
		t.Errorf("this process: %d of %d", got, runtime.NumCPU())
	}
}

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
		got, ok := Membership(tt.controller, tt.text, tt.version)
		if got != tt.want || ok != tt.ok {
			t.Errorf("Membership(%s, %q, %d) = %q, %v; want %q, %v",
				tt.controller, tt.text, tt.version, got, ok, tt.want, tt.ok)
		}
	}
}

// TestMachine: the resources of this process are known and not above those of the machine.
func TestMachine(t *testing.T) {
	if n := memTotal("MemFree: 1 kB\nMemTotal:       16384 kB\n"); n != 16<<20 {
		t.Errorf("MemTotal: %d", n)
	}
	if n := memTotal("MemTotal: many kB\nnonsense\n"); n != 0 {
		t.Errorf("nonsense: %d", n)
	}
	if m := Machine(); m.CPUs <= 0 || m.CPUs > float64(runtime.NumCPU()) || runtime.GOOS == "linux" && m.Bytes <= 0 {
		t.Errorf("this machine: %+v", m)
	}
}
