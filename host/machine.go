package host

import (
	"fmt"
	"runtime/debug"

	"github.com/hearthhost/hearth/internal/cgroup"
	"github.com/hearthhost/hearth/policy"
	"golang.org/x/sys/unix"
)

// BeyondMachine returns a warning for each limit of a tenant's worker that is higher than what a host
// with these limits has itself: it is never reached, and the system ends other processes first.
func BeyondMachine(p *policy.Policy, machine cgroup.Limits) []string {
	var out []string
	for _, name := range p.Tenants {
		t := p.Tenant(name)
		if machine.CPUs > 0 && t.CPUs > machine.CPUs {
			out = append(out, fmt.Sprintf("tenant %q: cpus = %v, and the host itself may use %v processors",
				name, t.CPUs, machine.CPUs))
		}
		if machine.Bytes > 0 && t.MemoryBytes > machine.Bytes {
			out = append(out, fmt.Sprintf("tenant %q: a worker may hold %d MiB of memory, and the host with all its workers "+
				"%d MiB: lower memory of the tenant's limits, or raise the host's own", name, t.MemoryBytes>>20, machine.Bytes>>20))
		}
	}
	return out
}

// maxDescriptors returns how many descriptors this process may have. The runtime raised the soft limit at start.
func maxDescriptors() uint64 {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return 1024
	}
	return r.Cur
}

// memoryBytes returns how much memory this process may use: what machine and control group give it, or GOMEMLIMIT if
// that is less.
func memoryBytes() int64 {
	most := debug.SetMemoryLimit(-1)
	if n := cgroup.Machine().Bytes; n > 0 {
		most = min(most, n)
	}
	return most
}
