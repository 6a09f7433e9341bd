// Package cgroup reads the limits that control groups (versions 1 and 2) set for this process. The limits of its
// group and of every group above it apply, so the lowest one counts.
package cgroup

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// Limits are the limits of a process. A zero field is unlimited.
type Limits struct {
	CPUs  float64 // processors, for example 0.5
	Bytes int64   // memory
}

// Own returns the limits of this process. On systems without control groups, nothing is limited.
func Own() Limits {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return Limits{}
	}
	return read(string(text), "/sys/fs/cgroup")
}

// Machine returns the resources of this process: its limits, or the machine's resources where these are less. A zero
// field is unknown.
func Machine() Limits {
	l := Own()
	if n := float64(runtime.NumCPU()); l.CPUs == 0 || l.CPUs > n { //nolint:forbidigo // the only place
		l.CPUs = n
	}
	if n := memTotal(text("/proc", "meminfo")); n > 0 && (l.Bytes == 0 || l.Bytes > n) {
		l.Bytes = n
	}
	return l
}

// memTotal returns the bytes of memory in the text of /proc/meminfo, 0 if they are missing.
func memTotal(meminfo string) int64 {
	for line := range strings.Lines(meminfo) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" && f[2] == "kB" {
			n, _ := strconv.ParseInt(f[1], 10, 44)
			return n << 10
		}
	}
	return 0
}

// Processors returns the number of processors that this process can use: those of its affinity mask, or its CPU quota
// rounded up if that is less. It reads the quota once, in the first call.
var Processors = sync.OnceValue(func() int {
	return processors(runtime.NumCPU(), Own().CPUs) //nolint:forbidigo // the only place
})

func processors(machine int, quota float64) int {
	if quota <= 0 {
		return machine
	}
	return max(1, min(machine, int(math.Ceil(quota))))
}

// read returns the limits of a process. memberships is the text of /proc/self/cgroup, and the hierarchies are mounted
// under root. Unreadable files set no limit.
func read(memberships, root string) Limits {
	var l Limits
	version := 1
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		version = 2
	}
	above("cpu", memberships, root, version, func(dir string) {
		if quota := cpuQuota(dir, version); quota > 0 && (l.CPUs == 0 || quota < l.CPUs) {
			l.CPUs = quota
		}
	})
	file := map[int]string{1: "memory.limit_in_bytes", 2: "memory.max"}[version]
	above("memory", memberships, root, version, func(dir string) {
		const unlimited = 1 << 60 // version 1 writes a number near 2^63
		if n := number(dir, file); n > 0 && n < unlimited && (l.Bytes == 0 || n < l.Bytes) {
			l.Bytes = n
		}
	})
	return l
}

// above calls visit with the folder of the process's group in a controller's hierarchy, then with each folder above
// it.
func above(controller, memberships, root string, version int, visit func(dir string)) {
	path, ok := Membership(controller, memberships, version)
	if !ok {
		return
	}
	mount := root
	if version == 1 {
		mount = filepath.Join(root, controller)
	}
	dir := filepath.Join(mount, filepath.Clean("/"+path))
	if _, err := os.Stat(dir); err != nil {
		dir = mount // a container mounts only its part of the hierarchy
	}
	for ; dir != mount; dir = filepath.Dir(dir) {
		visit(dir)
	}
	visit(mount)
}

// Membership returns the group of a controller in the text of /proc/self/cgroup.
func Membership(controller, memberships string, version int) (path string, ok bool) {
	for line := range strings.Lines(memberships) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		if version == 2 && f[0] == "0" && f[1] == "" {
			return f[2], true
		}
		for c := range strings.SplitSeq(f[1], ",") {
			if version == 1 && c == controller {
				return f[2], true
			}
		}
	}
	return "", false
}

// cpuQuota returns a group's quota in processors, 0 if it has none.
func cpuQuota(dir string, version int) float64 {
	var quota, period int64
	if version == 1 {
		quota, period = number(dir, "cpu.cfs_quota_us"), number(dir, "cpu.cfs_period_us")
	} else if f := strings.Fields(text(dir, "cpu.max")); len(f) == 2 {
		quota, _ = strconv.ParseInt(f[0], 10, 64) // "max" gives 0
		period, _ = strconv.ParseInt(f[1], 10, 64)
	}
	if quota <= 0 || period <= 0 {
		return 0
	}
	return float64(quota) / float64(period)
}

// number returns the number in a control file, 0 if it holds none.
func number(dir, file string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(text(dir, file)), 10, 64)
	return n
}

func text(dir, file string) string {
	b, _ := os.ReadFile(filepath.Join(dir, file)) //nolint:gosec // a control file under /sys/fs/cgroup
	return string(b)
}
