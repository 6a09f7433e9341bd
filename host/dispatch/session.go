package dispatch

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/route"
	"github.com/hearthhost/hearth/object"
)

// Session is the origin of a series of calls, usually a client's connection. Objects of instance mode "session" have
// one instance for each. It is safe for concurrent use.
type Session struct {
	d    *Dispatcher
	id   uint64
	flow admit.Flow // of calls that belong to no tenant

	auditCaller audit.CallerCache // of the records of its calls
	called      atomic.Bool       // it has made an authorized call of an object of a tenant

	mu       sync.Mutex                  // guards the fields below
	first    object.Backend              // the first backend that may have an instance of the session; nil: none
	backends map[object.Backend]struct{} // the others; most sessions call one tenant, and a map takes 250 bytes
	objects  map[object.ID]struct{}      // called objects that may have mode "session"
	last     object.ID                   // the latest one of these
}

// sessions is the set of sessions that have not ended.
type sessions struct {
	last atomic.Uint64

	mu   sync.Mutex // guards open
	open map[*Session]struct{}
}

func (s *sessions) init() { s.open = map[*Session]struct{}{} }

// NewSession returns a session of a caller that has not been identified; see [Session.SetPrincipal].
func (d *Dispatcher) NewSession() *Session {
	s := &Session{d: d, id: d.sessions.last.Add(1)}
	d.sessions.mu.Lock()
	d.sessions.open[s] = struct{}{}
	d.sessions.mu.Unlock()
	return s
}

// SetPrincipal sets the principal of the session's calls. Call it before the first call.
func (s *Session) SetPrincipal(p object.Principal) { s.flow = admit.PrincipalFlow(p) }

// ID returns the session's number, which is not 0 and not reused.
func (s *Session) ID() uint64 { return s.id }

// Flow returns the principal's share of the fair queue.
func (s *Session) Flow() admit.Flow { return s.flow }

// touch records that a backend may have an instance of the session for an object. mode is that of the object's route.
func (s *Session) touch(b object.Backend, id object.ID, mode object.InstanceMode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id != s.last && (mode == "" || mode == object.Session) {
		s.touchObject(id)
	}
	switch {
	case s.first == nil:
		if delete(s.backends, b); len(s.backends) == 0 {
			s.backends = nil
		}
		s.first = b
	case s.first != b:
		if s.backends == nil {
			s.backends = map[object.Backend]struct{}{}
		}
		s.backends[b] = struct{}{}
	}
}

// touchObject records an object. Those with a key are keyed.
func (s *Session) touchObject(id object.ID) {
	if _, _, keyed := id.Split(); keyed {
		return
	}
	if s.objects == nil {
		s.objects = map[object.ID]struct{}{}
	}
	s.objects[id], s.last = struct{}{}, id
}

// Stateless reports whether another process can continue a session: it has no instances of mode "session", and its
// principal has no open item stream. No call of the session may run.
func (d *Dispatcher) Stateless(ctx context.Context, s *Session, owner object.Principal) bool {
	if d.streams.of(owner) > 0 {
		return false
	}
	s.mu.Lock()
	ids := slices.Collect(maps.Keys(s.objects))
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	routes := d.cfg.Snapshot().Routes
	for _, id := range ids {
		to, ok := routes.Lookup(id)
		if !ok {
			continue
		}
		switch full, err := to.Backend.Describe(ctx, id); {
		case unknown(err): // removed, or keyed
		case err != nil, full.Instance == object.Session:
			return false
		}
	}
	return true
}

// End frees the session's instances and starts the linger time of its streams.
func (s *Session) End() {
	s.d.sessions.mu.Lock()
	delete(s.d.sessions.open, s)
	s.d.sessions.mu.Unlock()
	s.mu.Lock()
	first, others := s.first, s.backends
	s.first, s.backends = nil, nil
	s.mu.Unlock()
	if first != nil {
		first.EndConn(s.id)
	}
	for b := range others {
		b.EndConn(s.id)
	}
	s.d.streams.orphan(s.id)
}

// ForgetBackends removes from all sessions the backends that a routing table no longer serves. The instances of
// sessions end with those backends.
func (d *Dispatcher) ForgetBackends(t *route.Table) {
	d.sessions.mu.Lock()
	defer d.sessions.mu.Unlock()
	for s := range d.sessions.open {
		s.mu.Lock()
		if s.first != nil && !t.Serves(s.first) {
			s.first = nil
		}
		maps.DeleteFunc(s.backends, func(b object.Backend, _ struct{}) bool { return !t.Serves(b) })
		s.mu.Unlock()
	}
}
