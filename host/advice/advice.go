// Package advice returns warnings about valid settings of a policy that are probably mistakes, such as a policy under
// which no call can succeed. A warning prevents nothing. It names the place in the policy and the fix.
//
// [Policy] is for a policy file that may be for another machine, [Host] for a host that starts here. The package reads
// certificates, since their constraints and dates make some settings useless. It reads no keys and no scripts.
package advice

import (
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/internal/cgroup"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/transport"
)

// Log logs the warnings of [Host].
func Log(p *policy.Policy, log *slog.Logger) {
	for _, text := range Host(p) {
		log.Warn("policy", "warning", text)
	}
}

// Host returns the warnings of a host that starts with a policy on this machine. It does not read keys.
func Host(p *policy.Policy) []string {
	return slices.Concat(policyAdvice(p), BeyondMachine(p, cgroup.Machine()))
}

// policyAdvice returns warnings about a policy, without reading keys.
func policyAdvice(p *policy.Policy) []string {
	var out []string
	for _, problem := range p.Warnings {
		out = append(out, problem.String())
	}
	return slices.Concat(out, useless(p), unbound(p))
}

// Policy returns warnings about a policy on any machine: likely mistakes, and certificates that are not valid at a time
// or expire soon. It ignores files that it cannot read: package dryrun reports them.
func Policy(p *policy.Policy, now time.Time) []string {
	out := policyAdvice(p)
	for _, f := range credential.CertificateFaults(p, nil, now) {
		out = append(out, f.Path+": "+f.Err.Error())
	}
	return out
}

// useless returns warnings about a policy under which no call can succeed.
func useless(p *policy.Policy) []string {
	var out []string
	if !p.AllTenants && len(p.Tenants) == 0 {
		out = append(out, fmt.Sprintf("the policy declares no tenant, so that no object is served: "+
			"add tenant \"demo\" {} to serve %s", filepath.Join(p.Scripts, "demo")))
	}
	if len(p.Listeners) == 0 {
		out = append(out, "the policy has no listener, so that no client can connect: "+
			`add listener "local" { address = "127.0.0.1:7766" }`)
	}
	if len(p.PermittedPrincipals()) == 0 {
		out = append(out, "no permit names a principal, so that every call is denied: add a permit block")
	}
	return out
}

// unbound returns a warning for each client authority with name constraints, if principals or
// conditions use common names under it. Constraints bind DNS names, addresses and URIs, but not
// the common name. The host reports the files that cannot be read.
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
	rules := p.RulesUsingCommonName()
	var out []string
	for _, file := range slices.Sorted(maps.Keys(files)) {
		var uses []string
		if who := p.PrincipalsByCommonName(file); len(who) > 0 {
			uses = append(uses, fmt.Sprintf("identifies principal %s", who[0]))
		}
		if len(rules) > 0 {
			uses = append(uses, rules[0]+" requires")
		}
		if uses == nil {
			continue
		}
		constrained, err := transport.NameConstrained(file)
		if err != nil || !constrained {
			continue
		}
		out = append(out, fmt.Sprintf("%s: the authority in %s has name constraints, "+
			"which do not bind the common name that %s: "+
			"it can issue any common name; match dns or uri", files[file], file, strings.Join(uses, ", and that ")))
	}
	return out
}

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
