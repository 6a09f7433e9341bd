package supervise

import (
	"maps"
	"slices"

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
	t.mu.Lock()
	p := t.proc
	t.mu.Unlock()
	if p == nil {
		return
	}
	p.mu.Lock() // an object that is loaded later gets the secrets that were stored above
	defer p.mu.Unlock()
	for id := range p.maxDurations {
		p.grant(id)
	}
}

// grant pushes the secrets of an object to the worker. Callers hold mu. It sends nothing for an object that never had a
// secret.
func (p *process) grant(id object.ID) {
	s := p.t.secrets.Load()
	if s == nil {
		return
	}
	values, ok := s.ByObject[id]
	if !ok {
		return
	}
	var e link.Encoder
	e.Begin(link.HostPush, 0)
	e.PutPush(link.Secrets, link.SecretsGrant)
	e.PutSecrets(id, slices.Sorted(maps.Keys(values)), values)
	p.postFrame(e.Frame())
}

// redact returns the first link.MaxLogLineBytes bytes of a text of the worker, with the tenant's secrets replaced.
func (t *Tenant) redact(text string) string {
	if s := t.secrets.Load(); s != nil {
		return s.Known.Cut(text, link.MaxLogLineBytes)
	}
	return text[:min(len(text), link.MaxLogLineBytes)]
}

// logLines returns the limit of log lines per second of an object. An object that was removed while it runs has the
// default.
func (t *Tenant) logLines(id object.ID) int {
	if v := t.version(id); v != nil {
		return v.Limits.LogLines
	}
	return object.Limits{}.WithDefaults().LogLines
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
