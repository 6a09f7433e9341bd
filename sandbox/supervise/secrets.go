package supervise

import (
	"maps"

	"github.com/hearthhost/hearth/internal/redact"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// Secrets are the secrets of one tenant: the values that each object is granted, by name. They are not modified.
type Secrets struct {
	ByObject map[object.ID]map[string]string
	Known    *redact.Set // these values and former ones, for redaction
}

// SetSecrets replaces the secrets of the tenant's objects. A running worker receives them before any later call. nil
// revokes all.
func (t *Tenant) SetSecrets(s *Secrets) {
	before := t.secrets.Load()
	if s == nil && before == nil {
		return
	}
	if before != nil {
		s = s.revokeMissing(before)
	}
	t.secrets.Store(s)
	if p := t.running(); p != nil {
		p.Grant()
	}
}

// redact returns the first link.MaxLogLineBytes bytes of a text of the worker, with the tenant's secrets replaced.
func (t *Tenant) redact(text string) string {
	if s := t.secrets.Load(); s != nil {
		return s.Known.Cut(text, link.MaxLogLineBytes)
	}
	return text[:min(len(text), link.MaxLogLineBytes)]
}

// revokeMissing returns s with an empty grant for each object that had secrets before and has none in s.
func (s *Secrets) revokeMissing(before *Secrets) *Secrets {
	out := &Secrets{ByObject: map[object.ID]map[string]string{}, Known: before.Known}
	if s != nil {
		out.Known = s.Known
		maps.Copy(out.ByObject, s.ByObject)
	}
	for id := range before.ByObject {
		if _, ok := out.ByObject[id]; !ok {
			out.ByObject[id] = nil
		}
	}
	return out
}
