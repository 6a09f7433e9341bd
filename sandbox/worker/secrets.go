package worker

import (
	"maps"
	"slices"
	"sync"

	"github.com/hearthhost/hearth/internal/redact"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// secrets is what the host has told of the tenant's secrets. Safe for concurrent use.
type secrets struct {
	mu    sync.Mutex // guards what follows
	of    map[object.ID]map[string]string
	known *redact.Set // every value that was ever told, for a script may still have it
}

// read takes a Secrets frame: all that one object may know from now on.
func (s *secrets) read(d *link.Decoder) {
	id := object.ID(d.Text())
	n := d.Count()
	values := make(map[string]string, min(n, 64))
	for range n {
		name, value := d.Text(), d.Text()
		if d.Err != nil {
			return
		}
		values[name] = value
	}
	if d.Err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// In order: of two names with one value, the first is what texts show.
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if value := values[name]; s.of[id][name] != value {
			s.known = s.known.With(name, value)
		}
	}
	if s.of == nil {
		s.of = map[object.ID]map[string]string{}
	}
	s.of[id] = values
}

// Secret returns a secret of an object. It implements [sandbox.Secrets].
func (w *process) Secret(id object.ID, name string) (string, bool) {
	w.secrets.mu.Lock()
	defer w.secrets.mu.Unlock()
	value, ok := w.secrets.of[id][name]
	return value, ok
}

// Redact takes every secret of the tenant out of the first most bytes of a text. It implements [sandbox.Secrets].
func (w *process) Redact(text string, most int) string {
	w.secrets.mu.Lock()
	known := w.secrets.known
	w.secrets.mu.Unlock()
	return known.Cut(text, most)
}
