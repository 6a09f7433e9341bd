package host

import (
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/internal/cgroup"
)

// maxDescriptors returns the limit of open descriptors. The Go runtime raised the soft limit at start.
func maxDescriptors() uint64 {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return 1024
	}
	return r.Cur
}

// memoryBytes returns the memory limit of this process: the lowest of the machine's, the control group's and
// GOMEMLIMIT.
func memoryBytes() int64 {
	most := debug.SetMemoryLimit(-1)
	if n := cgroup.Machine().Bytes; n > 0 {
		most = min(most, n)
	}
	return most
}
