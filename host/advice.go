package host

import (
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"

	"github.com/hearthhost/hearth/internal/cgroup"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/transport"
)

// warnPolicy logs what a policy says that is valid and probably not meant.
func warnPolicy(p *policy.Policy, log *slog.Logger) {
	for _, problem := range p.Warnings {
		log.Warn("policy", "warning", problem.String())
	}
	for _, text := range slices.Concat(Advice(p), BeyondMachine(p, cgroup.Machine())) {
		log.Warn("policy", "warning", text)
	}
}

// BeyondMachine returns a warning for each limit of a tenant's worker that is higher than what a host
// with these limits has itself: it is never reached, and the system ends other processes first.
func BeyondMachine(p *policy.Policy, machine cgroup.Limits) []string {
	var out []string
	for _, name := range p.Tenants {
		t := p.Tenant(name)
		if machine.CPUs > 0 && t.CPUs > machine.CPUs {
			out = append(out, fmt.Sprintf("tenant %q: cpus = %v, and the host itself may use %v processors", name, t.CPUs, machine.CPUs))
		}
		if machine.Bytes > 0 && t.MemoryBytes > machine.Bytes {
			out = append(out, fmt.Sprintf("tenant %q: a worker may hold %d MiB of memory, and the host with all its workers %d MiB: "+
				"lower memory of the tenant's limits, or raise the host's own", name, t.MemoryBytes>>20, machine.Bytes>>20))
		}
	}
	return out
}

// Advice returns warnings about a policy that take more than its file to find.
func Advice(p *policy.Policy) []string { return append(useless(p), unbound(p)...) }

// useless returns warnings about a policy under which no call can succeed.
func useless(p *policy.Policy) []string {
	var out []string
	if !p.AllTenants && len(p.Tenants) == 0 {
		out = append(out, fmt.Sprintf("the policy declares no tenant, so that no object is served: add tenant \"demo\" {} to serve %s",
			filepath.Join(p.Scripts, "demo")))
	}
	if len(p.Listeners) == 0 {
		out = append(out, `the policy has no listener, so that no client can connect: add listener "local" { address = "127.0.0.1:7766" }`)
	}
	if len(p.Subjects()) == 0 {
		out = append(out, "no permit names a principal, so that every call is denied: add a permit block")
	}
	return out
}

// unbound returns a warning for each authority of clients whose certificate has name constraints,
// if principals go by common names under it: constraints bind DNS names, addresses and URIs, and
// not the common name. What cannot be read is left to [New].
func unbound(p *policy.Policy) []string {
	files := map[string]string{}
	for _, l := range p.Listeners {
		if l.TLS == nil {
			continue
		}
		for _, file := range l.TLS.ClientCA {
			files[file] = l.Where
		}
	}
	var out []string
	for _, file := range slices.Sorted(maps.Keys(files)) {
		who := p.ByCommonName(file)
		if len(who) == 0 {
			continue
		}
		constrained, err := transport.NameConstrained(file)
		if err != nil || !constrained {
			continue
		}
		out = append(out, fmt.Sprintf("%s: the authority in %s has name constraints, which do not bind the common name that principal %s goes by: "+
			"it can issue any common name; match dns or uri", files[file], file, who[0]))
	}
	return out
}
