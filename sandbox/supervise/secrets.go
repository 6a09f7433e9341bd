package supervise

import (
	"maps"
	"slices"

	"github.com/hearthhost/hearth/internal/redact"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// Secrets are the secrets of one tenant: the values that each object may know, by name.
// They are not modified after they were handed over.
type Secrets struct {
	ByObject map[object.ID]map[string]string
	Known    *redact.Set // these, and what they were before
}

// SetSecrets says what the tenant's objects may know from now on. A running worker is
// told before any call that is asked for later. nil is none: what was known is taken away.
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
	p.mu.Lock() // an object that is known later finds what was stored above
	defer p.mu.Unlock()
	for id := range p.maxDurations {
		p.grant(id)
	}
}

// grant sends what an object may know; callers hold mu. Objects that never had a secret
// are not bothered.
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

// redact takes the tenant's secrets out of a text of its worker for the log, which has link.MaxLogLineBytes bytes of it.
func (t *Tenant) redact(text string) string {
	if s := t.secrets.Load(); s != nil {
		return s.Known.Cut(text, link.MaxLogLineBytes)
	}
	return text[:min(len(text), link.MaxLogLineBytes)]
}

// revokeMissing returns s with nothing for the objects that had something before.
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
