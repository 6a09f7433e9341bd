package credential

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/internal/redact"
	"github.com/hearthhost/hearth/internal/secretfile"
	"github.com/hearthhost/hearth/internal/watch"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/supervise"
)

// Secrets reads the files of the objects' secrets, and reads them again when they change. If a file cannot be read any
// more, its last good content stays in force. A removed file removes its secret. Values are passed only to the tenant's
// worker. It is safe for concurrent use.
type Secrets struct {
	policy *policy.Policy
	log    *slog.Logger

	mu     sync.Mutex                    // guards the fields below
	stats  map[string]fs.FileInfo        // status of each file when it was read; nil: the file did not exist
	values map[string]string             // values by file
	failed map[string]string             // last errors by file
	redact map[object.Tenant]*redact.Set // current and former values, to redact from logs
}

// NewSecrets reads the files that a policy names. before has the secrets of the policy in force, nil at the start; its
// values are still redacted from logs. The error joins all failures, except failures of files that before reads too.
// Those are logged, and the last good content stays in force.
func NewSecrets(p *policy.Policy, before *Secrets, log *slog.Logger) (*Secrets, error) {
	s := &Secrets{
		policy: p,
		log:    log,
		stats:  map[string]fs.FileInfo{},
		values: map[string]string{},
		failed: map[string]string{},
		redact: map[object.Tenant]*redact.Set{},
	}
	if before != nil {
		before.mu.Lock()
		s.redact = maps.Clone(before.redact)
		for i := range p.Secrets {
			if sec := &p.Secrets[i]; before.reads(sec) && before.values[sec.Path] != "" {
				s.values[sec.Path] = before.values[sec.Path]
			}
		}
		before.mu.Unlock()
	}
	_, failures := s.read()
	return s, joinFailures(failures, log, func(f ReadError) bool {
		i := slices.IndexFunc(p.Secrets, func(sec policy.Secret) bool { return sec.Path == f.name })
		return before != nil && before.reads(&p.Secrets[i])
	})
}

// reads reports whether the policy has a secret of the same tenant, name and files.
func (s *Secrets) reads(other *policy.Secret) bool {
	return slices.ContainsFunc(s.policy.Secrets, func(sec policy.Secret) bool {
		return sec.Tenant == other.Tenant && sec.Name == other.Name &&
			sec.Path == other.Path && sec.Identity == other.Identity
	})
}

// pollFile sets changed[path] to true if a file has changed since it was read, and stores its status. It ignores "" and
// files that are in changed already.
func (s *Secrets) pollFile(path string, changed map[string]bool) {
	if _, ok := changed[path]; ok || path == "" {
		return
	}
	now, _ := os.Stat(path) // nil if it does not exist
	before, ok := s.stats[path]
	changed[path] = !ok || !watch.Same(before, now)
	s.stats[path] = now
}

// read reads changed files. It reports whether any value has changed, and returns the new failures.
func (s *Secrets) read() (updated bool, failures []ReadError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := map[string]bool{}
	for i := range s.policy.Secrets {
		sec := &s.policy.Secrets[i]
		s.pollFile(sec.Path, changed)
		s.pollFile(sec.Identity, changed)
		if !changed[sec.Path] && !changed[sec.Identity] {
			continue
		}
		b, err := secretfile.Read(sec.Path, sec.Identity)
		if err == nil {
			delete(s.failed, sec.Path)
		} else {
			err := fmt.Errorf("%s: secret %q of tenant %s: %w", sec.Where, sec.Name, sec.Tenant, err)
			if before := s.failed[sec.Path]; before != err.Error() {
				s.failed[sec.Path] = err.Error()
				failures = append(failures, ReadError{sec.Path, err})
			}
			if s.stats[sec.Path] != nil { // the file exists: keep its value
				delete(s.stats, sec.Path) // the next read retries it, and reports the same error only once
				continue
			}
		}
		before, exists := s.values[sec.Path]
		switch value := string(b); {
		case err != nil:
			delete(s.values, sec.Path)
			updated = updated || exists
		case !exists || before != value:
			updated = true
			s.values[sec.Path] = value
			s.redact[sec.Tenant] = s.redact[sec.Tenant].With(sec.Name, value)
		}
	}
	return updated, failures
}

// ForTenant returns the secrets of a tenant's objects, nil if the policy grants no secrets.
func (s *Secrets) ForTenant(tenant object.Tenant) *supervise.Secrets {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out *supervise.Secrets
	for i := range s.policy.Secrets {
		sec := &s.policy.Secrets[i]
		if sec.Tenant != tenant {
			continue
		}
		if out == nil {
			out = &supervise.Secrets{ByObject: map[object.ID]map[string]string{}, Known: s.redact[tenant]}
		}
		value, ok := s.values[sec.Path]
		for _, id := range sec.Objects {
			if id.Tenant() != tenant {
				continue // the policy does not load with such an object; this is a second check
			}
			if out.ByObject[id] == nil {
				out.ByObject[id] = map[string]string{}
			}
			if ok {
				out.ByObject[id][sec.Name] = value
			}
		}
	}
	return out
}

// Value returns a secret of an object. ok is false if the object has no secret of that name or its file is missing.
func (s *Secrets) Value(id object.ID, name string) (value string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.policy.Secrets {
		sec := &s.policy.Secrets[i]
		if sec.Tenant == id.Tenant() && sec.Name == name && slices.Contains(sec.Objects, id) {
			value, ok = s.values[sec.Path]
			return value, ok
		}
	}
	return "", false
}

// ForHost returns a secret that egress blocks or webhooks of its tenant use. It must not be passed to a script: an
// object may have no access to it.
func (s *Secrets) ForHost(tenant object.Tenant, name string) (value string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.policy.Secrets {
		sec := &s.policy.Secrets[i]
		if sec.Tenant == tenant && sec.Name == name && s.policy.HostUses(sec) {
			value, ok = s.values[sec.Path]
			return value, ok
		}
	}
	return "", false
}

// Redact removes the secrets of a tenant from the first most bytes of a text, and returns these.
func (s *Secrets) Redact(tenant object.Tenant, text string, most int) string {
	s.mu.Lock()
	set := s.redact[tenant]
	s.mu.Unlock()
	return set.Cut(text, most)
}

// Refresh reads changed files, and logs changes and failures. It reports whether a value has changed.
func (s *Secrets) Refresh() bool {
	changed, problems := s.read()
	for _, err := range problems {
		s.log.Error("read secrets: the last good content stays in force, except that of a removed file", "err", err)
	}
	if changed {
		s.log.Info("secrets were read again")
	}
	return changed
}

// Faults returns the files that could not be read.
func (s *Secrets) Faults() []fault.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []fault.Fault
	for path, msg := range s.failed {
		out = append(out, fault.Fault{Path: path, Err: errors.New(msg)})
	}
	return out
}
