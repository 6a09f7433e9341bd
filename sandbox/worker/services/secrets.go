package services

import (
	"maps"
	"slices"
	"sync"

	"github.com/hearthhost/hearth/internal/redact"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// secrets holds the secrets that the host has granted to the tenant's objects. Safe for concurrent use. It implements
// [services.Secrets].
type secrets struct {
	mu      sync.Mutex // guards the fields below
	granted map[object.ID]map[string]string
	known   *redact.Set // every value that was ever granted: a script may still hold it
}

// grant takes a push of the host: all secrets that one object has from now on.
func (s *secrets) grant(d *link.Decoder) {
	id, values := d.SecretsFields()
	if d.Err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// In order: of two names with one value, redacted texts show the first.
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if value := values[name]; s.granted[id][name] != value {
			s.known = s.known.With(name, value)
		}
	}
	if s.granted == nil {
		s.granted = map[object.ID]map[string]string{}
	}
	s.granted[id] = values
}

// Secret returns a secret of an object.
func (s *secrets) Secret(id object.ID, name string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.granted[id][name]
	return value, ok
}

// Redact replaces every secret of the tenant in the first most bytes of a text.
func (s *secrets) Redact(text string, most int) string {
	s.mu.Lock()
	known := s.known
	s.mu.Unlock()
	return known.Cut(text, most)
}
