package host

import (
	"maps"
	"slices"

	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/supervise"
)

// snapshot is one immutable generation of all that a call depends on. A call keeps the
// one that it began with.
type snapshot struct {
	policy  *policy.Policy
	vault   *credential.Store
	secrets *credential.Secrets
	tenants map[object.Tenant]*served
	plugins map[object.ID]*servedPlugin // by the objects that they serve
	ids     []object.ID                 // of all objects, sorted
	listed  *policy.Listings            // which of them callers may call

	starting bool // it is the first, and empty: nothing is tried
}

// served is what one tenant's scripts run in, and on.
type served struct {
	worker   worker
	settings policy.TenantSettings
	objects  map[object.ID]*supervise.Version
	libs     *supervise.Libs // the last reading; a version may have an older one
}

// has reports whether there is an object.
func (s *snapshot) has(id object.ID) bool {
	if s.plugins[id] != nil {
		return true
	}
	t := s.tenants[id.Tenant()]
	return t != nil && t.objects[id] != nil
}

// decide asks the policy about a call that is no batch. It returns the method as rules and
// the log call it.
func (s *snapshot) decide(call *object.Call) (object.Method, policy.Decision) {
	if call.Kind == object.Set {
		return call.Method + "=", s.policy.DecideSet(call.Caller, call.ID, call.Method)
	}
	return call.Method, s.policy.Decide(call.Caller, call.ID, call.Method)
}

// permits reports whether the policy lets a call be made, or begun if it is a batch.
func (s *snapshot) permits(call *object.Call) bool {
	if call.Kind == object.Batch {
		return len(call.Batch) > 0 && s.policy.Decide(call.Caller, call.ID, call.Batch[0]).Permit
	}
	_, d := s.decide(call)
	return d.Permit
}

// permitsAll reports whether the policy lets all of a call be made.
func (s *snapshot) permitsAll(call *object.Call) bool {
	if call.Kind != object.Batch {
		return s.permits(call)
	}
	for _, m := range call.Batch {
		if !s.policy.Decide(call.Caller, call.ID, m).Permit {
			return false
		}
	}
	return true
}

// backend returns who runs an object that there is.
func (s *snapshot) backend(id object.ID) object.Backend {
	if p := s.plugins[id]; p != nil {
		return p.backend
	}
	return s.tenants[id.Tenant()].worker
}

// uses reports whether a backend is that of an object, or of its tenant.
func (s *snapshot) uses(b object.Backend, id object.ID) bool {
	if p := s.plugins[id]; p != nil && object.Backend(p.backend) == b {
		return true
	}
	t := s.tenants[id.Tenant()]
	return t != nil && object.Backend(t.worker) == b
}

// index fills in ids and listed. What the snapshot before remembers of listings is kept if it still holds.
func (s *snapshot) index(before *snapshot) {
	s.ids = slices.Collect(maps.Keys(s.plugins))
	for _, t := range s.tenants {
		s.ids = slices.AppendSeq(s.ids, maps.Keys(t.objects))
	}
	slices.Sort(s.ids)
	if s.listed = before.listed; !s.listed.Cover(s.policy, s.ids) {
		s.listed = s.policy.NewListings(s.ids)
	}
}
