// Package cgroup reads the limits that control groups set for this process, of versions 1 and 2. A process
// is bound by its own group and by every group above it, so the lowest limit counts.
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

// Limits are those of a process. Zero fields are not limited.
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

// Machine returns what this process may use at most: its own limits, or what the machine has where that is
// less or nothing is limited. Zero fields are not known.
func Machine() Limits {
	l := Own()
	if n := float64(runtime.NumCPU()); l.CPUs == 0 || l.CPUs > n { //nolint:forbidigo // the one place
		l.CPUs = n
	}
	if n := memTotal(text("/proc", "meminfo")); n > 0 && (l.Bytes == 0 || l.Bytes > n) {
		l.Bytes = n
	}
	return l
}

// memTotal returns the bytes of memory that a text like /proc/meminfo names, 0 if it names none.
func memTotal(meminfo string) int64 {
	for line := range strings.Lines(meminfo) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" && f[2] == "kB" {
			n, _ := strconv.ParseInt(f[1], 10, 44)
			return n << 10
		}
	}
	return 0
}

// Processors returns how many processors this process may keep busy: those that it may run on, or its CPU
// quota, rounded up, if that is less. It reads the quota at the first call.
var Processors = sync.OnceValue(func() int {
	return processors(runtime.NumCPU(), Own().CPUs) //nolint:forbidigo // the one place
})

func processors(machine int, quota float64) int {
	if quota <= 0 {
		return machine
	}
	return max(1, min(machine, int(math.Ceil(quota))))
}

// read returns the limits of a process with these memberships (the text of /proc/self/cgroup), where the
// hierarchies are mounted under root. Files that cannot be read limit nothing.
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

// above calls visit with the directories of the process's group in a controller's hierarchy, its own first.
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
		dir = mount // inside a container only its own part is mounted
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
		quota, _ = strconv.ParseInt(f[0], 10, 64) // "max" is no quota
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
