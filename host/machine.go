package host

import (
	"fmt"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/internal/cgroup"
	"github.com/hearthhost/hearth/policy"
)

// BeyondMachine returns a warning for each worker limit above the limits of the host itself. A worker
// cannot reach such a limit: the system ends other processes first.
func BeyondMachine(p *policy.Policy, machine cgroup.Limits) []string {
	var out []string
	for _, name := range p.Tenants {
		t := p.Tenant(name)
		if machine.CPUs > 0 && t.CPUs > machine.CPUs {
			out = append(out, fmt.Sprintf("tenant %q: cpus = %v, and the host itself may use %v processors",
				name, t.CPUs, machine.CPUs))
		}
		if machine.Bytes > 0 && t.MemoryBytes > machine.Bytes {
			out = append(out, fmt.Sprintf("tenant %q: a worker may hold %d MiB of memory, "+
				"and the host with all its workers %d MiB: lower memory of the tenant's limits, "+
				"or raise the host's own",
				name, t.MemoryBytes>>20, machine.Bytes>>20))
		}
	}
	return out
}

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
