// Package snapshot defines the immutable state of one generation on which a call depends: policy, routes and
// credentials.
package snapshot

import (
	"maps"
	"slices"

	"github.com/hearthhost/hearth/host/credential"
	"github.com/hearthhost/hearth/host/route"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// Snapshot is one generation. A call keeps the snapshot with which it began. Do not modify it.
type Snapshot struct {
	Policy      *policy.Policy
	Credentials *credential.Store
	Routes      *route.Table     // routes of all objects, built-in objects included
	IDs         []object.ID      // objects of tenants, sorted; a keyed object with [object.AnyKey]
	Listed      *policy.Listings // objects that each caller may see
}

// SetRoutes replaces the routes, the ids and the listings. Listings of before are kept if they still hold. before may
// be nil.
func (s *Snapshot) SetRoutes(tenants, builtin map[object.ID]route.Route, before *policy.Listings) {
	s.IDs = make([]object.ID, 0, len(tenants))
	for id, r := range tenants {
		if r.Keyed {
			id = id.WithKey(object.AnyKey)
		}
		s.IDs = append(s.IDs, id)
	}
	slices.Sort(s.IDs)
	all := maps.Clone(tenants)
	maps.Copy(all, builtin)
	s.Routes = route.New(all)
	s.Listed = before
	if !s.Listed.Cover(s.Policy, s.IDs) {
		s.Listed = s.Policy.NewListings(s.IDs)
	}
}

// Has reports whether a tenant has an object of this id.
func (s *Snapshot) Has(id object.ID) bool {
	r, ok := s.Routes.Lookup(id)
	return ok && r.Builtin == nil
}

// Decide returns the policy's decision on a call other than a batch, and the method's name in rules and logs: "x=" for
// setting attribute x.
func (s *Snapshot) Decide(call *object.Call) (object.Method, policy.Decision) {
	if call.Kind == object.Set {
		return call.Method + "=", s.Policy.DecideSet(call.Caller, call.ID, call.Method)
	}
	return call.Method, s.Policy.Decide(call.Caller, call.ID, call.Method)
}

// Permits reports whether the policy permits a call, or the first method of a batch.
func (s *Snapshot) Permits(call *object.Call) bool {
	if call.Kind == object.Batch {
		return len(call.Batch) > 0 && s.Policy.Decide(call.Caller, call.ID, call.Batch[0]).Permit
	}
	_, d := s.Decide(call)
	return d.Permit
}

// PermitsAll reports whether the policy permits a call, and each method if it is a batch.
func (s *Snapshot) PermitsAll(call *object.Call) bool {
	if call.Kind != object.Batch {
		return s.Permits(call)
	}
	for _, m := range call.Batch {
		if !s.Policy.Decide(call.Caller, call.ID, m).Permit {
			return false
		}
	}
	return true
}
