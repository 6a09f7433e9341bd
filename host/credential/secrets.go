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

// secrets reads the files of the objects' secrets, and reads them again when they change.
// What cannot be read any more keeps its last good reading, except a file that is gone:
// nobody has that secret then. No value leaves it but to the tenant's own worker.
type Secrets struct {
	policy *policy.Policy
	log    *slog.Logger

	mu     sync.Mutex             // guards what follows
	seen   map[string]fs.FileInfo // of every file, when it was read; nil: it was not there
	values map[string]string      // by file
	failed map[string]string      // by file: what was wrong with it last
	known  map[object.Tenant]*redact.Set
}

// newSecrets reads the files that a policy names. before is that of the policy in force, nil at
// the start: what it knew stays out of logs. The error joins all that is wrong, but not what is
// wrong with a file that before names too, of which the last good reading goes on; that is logged.
func NewSecrets(p *policy.Policy, before *Secrets, log *slog.Logger) (*Secrets, error) {
	s := &Secrets{policy: p, log: log, seen: map[string]fs.FileInfo{}, values: map[string]string{}, failed: map[string]string{}, known: map[object.Tenant]*redact.Set{}}
	if before != nil {
		before.mu.Lock()
		s.known = maps.Clone(before.known)
		for i := range p.Secrets {
			if sec := &p.Secrets[i]; before.names(sec) && before.values[sec.Path] != "" {
				s.values[sec.Path] = before.values[sec.Path]
			}
		}
		before.mu.Unlock()
	}
	_, failures := s.read()
	return s, serious(failures, log, func(f unread) bool {
		i := slices.IndexFunc(p.Secrets, func(sec policy.Secret) bool { return sec.Path == f.name })
		return before != nil && before.names(&p.Secrets[i])
	})
}

// names reports whether the policy names a secret, of the same tenant, in the same file.
func (s *Secrets) names(one *policy.Secret) bool {
	return slices.ContainsFunc(s.policy.Secrets, func(sec policy.Secret) bool {
		return sec.Tenant == one.Tenant && sec.Name == one.Name && sec.Path == one.Path && sec.Identity == one.Identity
	})
}

// stat reports whether a file is another than when it was read, and remembers what it
// saw. "" never is.
func (s *Secrets) stat(path string, changed map[string]bool) {
	if _, looked := changed[path]; looked || path == "" {
		return
	}
	now, _ := os.Stat(path) // nil if it is not there
	before, ok := s.seen[path]
	changed[path] = !ok || !watch.Same(before, now)
	s.seen[path] = now
}

// read reads what has changed, and reports whether any value did and what is wrong.
func (s *Secrets) read() (any bool, failures []unread) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := map[string]bool{}
	for i := range s.policy.Secrets {
		sec := &s.policy.Secrets[i]
		s.stat(sec.Path, changed)
		s.stat(sec.Identity, changed)
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
				failures = append(failures, unread{sec.Path, err})
			}
			if s.seen[sec.Path] != nil {
				delete(s.seen, sec.Path) // it is tried again at the next look, and told once
				continue
			}
		}
		before, had := s.values[sec.Path]
		switch value := string(b); {
		case err != nil:
			delete(s.values, sec.Path)
			any = any || had
		case !had || before != value:
			any = true
			s.values[sec.Path] = value
			s.known[sec.Tenant] = s.known[sec.Tenant].With(sec.Name, value)
		}
	}
	return any, failures
}

// of returns what the objects of a tenant may know, nil if the policy grants nothing.
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
			out = &supervise.Secrets{ByObject: map[object.ID]map[string]string{}, Known: s.known[tenant]}
		}
		value, ok := s.values[sec.Path]
		for _, id := range sec.Objects {
			if id.Tenant() != tenant {
				continue // the policy does not load with one; a second look costs nothing
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

// value returns a secret of an object.
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

// redact takes the secrets of a tenant out of the first most bytes of a text.
func (s *Secrets) Redact(tenant object.Tenant, text string, most int) string {
	s.mu.Lock()
	known := s.known[tenant]
	s.mu.Unlock()
	return known.Cut(text, most)
}

// look reads what has changed and tells of it. It reports whether a value has.
func (s *Secrets) Refresh() bool {
	changed, problems := s.read()
	for _, err := range problems {
		s.log.Error("secrets: the last good reading stays in force, and none of a file that is gone", "err", err)
	}
	if changed {
		s.log.Info("secrets were read again")
	}
	return changed
}

// faults returns the files that could not be read.
func (s *Secrets) Faults() []fault.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []fault.Fault
	for path, why := range s.failed {
		out = append(out, fault.Fault{Path: path, Err: errors.New(why)})
	}
	return out
}
