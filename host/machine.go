package host

import (
	"fmt"

	"github.com/hearthhost/hearth/internal/cgroup"
	"github.com/hearthhost/hearth/policy"
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
