package host

import (
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/internal/cgroup"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/transport"
)

// warnPolicy logs what a policy says that is valid and probably not meant.
func warnPolicy(p *policy.Policy, log *slog.Logger) {
	for _, text := range slices.Concat(policyAdvice(p), BeyondMachine(p, cgroup.Machine())) {
		log.Warn("policy", "warning", text)
	}
}

// policyAdvice returns warnings about what a policy permits.
func policyAdvice(p *policy.Policy) []string {
	var out []string
	for _, problem := range p.Warnings {
		out = append(out, problem.String())
	}
	return slices.Concat(out, useless(p), unbound(p))
}

// Advice returns warnings about a policy: what it permits that is probably not meant, and certificates that it names
// whose dates are wrong or will be soon. It reads certificates and no keys; files that it cannot read are for [Check].
func Advice(p *policy.Policy, now time.Time) []string {
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

// unbound returns a warning for each authority of clients whose certificate has name constraints,
// if principals go by common names under it, or conditions ask for them: constraints bind DNS names,
// addresses and URIs, and not the common name. Files that cannot be read are for [New] to report.
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
	asking := p.RulesUsingCommonName()
	var out []string
	for _, file := range slices.Sorted(maps.Keys(files)) {
		var uses []string
		if who := p.PrincipalsByCommonName(file); len(who) > 0 {
			uses = append(uses, fmt.Sprintf("principal %s goes by", who[0]))
		}
		if len(asking) > 0 {
			uses = append(uses, asking[0]+" asks for")
		}
		if uses == nil {
			continue
		}
		constrained, err := transport.NameConstrained(file)
		if err != nil || !constrained {
			continue
		}
		out = append(out, fmt.Sprintf("%s: the authority in %s has name constraints, which do not bind the common name that %s: "+
			"it can issue any common name; match dns or uri", files[file], file, strings.Join(uses, ", and that ")))
	}
	return out
}

// credentialFaults returns the faults of keys, certificates and secrets as they are now. A running host goes on with
// those that it read last.
func credentialFaults(p *policy.Policy, v *credential.Store, s *credential.Secrets, now time.Time) []fault.Fault {
	return slices.Concat(v.Faults(), s.Faults(), credential.CertificateFaults(p, v, now))
}

// folderLook looks at the host's folders. A file system that hangs does not hold its caller.
type folderLook struct {
	busy  atomic.Bool
	found atomic.Pointer[[]fault.Fault]
}

// lookPatience is how long a look may take before the one before counts.
const lookPatience = time.Second

// faults returns the faults of the folders to which the host writes, as they are now.
func (f *folderLook) faults(p *policy.Policy) []fault.Fault {
	if !f.busy.Swap(true) {
		done := make(chan struct{})
		go func() { // ends with the system calls that it makes
			all := append(folderFaults(p), writableFaults(p)...)
			f.found.Store(&all)
			f.busy.Store(false)
			close(done)
		}()
		late := time.NewTimer(lookPatience)
		defer late.Stop()
		select {
		case <-done:
		case <-late.C:
		}
	}
	if found := f.found.Load(); found != nil {
		return *found
	}
	return nil
}

// ownFiles notes the faults of the host's own files: its folders, the audit log, keys, certificates and secrets. A
// running host serves on with them; those of credentials are logged when they are read.
func (l *reloader) ownFiles() {
	now := map[string]bool{}
	note := func(p fault.Fault) (news bool) {
		key := "own " + p.Path
		for now[key] {
			key += "+" // another fault of the same file
		}
		now[key] = true
		news = l.setRefusal(key, "", p.Path, p.Err)
		l.refused[key].Note = p.Warning
		return news
	}
	for _, p := range l.folders.faults(l.next.Policy) {
		if note(p) {
			l.h.log.Error("a folder of the host is not as it should be; it stays in use", "path", p.Path, "err", p.Err)
		}
	}
	for _, p := range credentialFaults(l.next.Policy, l.next.Credentials, l.next.secrets, time.Now()) {
		note(p)
	}
	maps.DeleteFunc(l.refused, func(key string, _ *refusal) bool { return strings.HasPrefix(key, "own ") && !now[key] })
}
