package analysis

import (
	"maps"
	"slices"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// Proof is the result of a check that tenants are isolated from each other.
type Proof struct {
	Principals int `json:"principals"`
	Objects    int `json:"objects"`   // objects of the catalog, and one for each pattern without an object
	Decisions  int `json:"decisions"` // distinct decisions
	// Crossing are the permits with crosses_tenants by which a principal reaches another tenant; sorted.
	Crossing []string `json:"crossing,omitempty"`
	// Counter are decisions by which a principal reaches another tenant without crosses_tenants.
	Counter []CounterExample `json:"counter_examples,omitempty"`
}

// CounterExample is one decision that breaks the isolation of tenants.
type CounterExample struct {
	Principal object.Principal `json:"principal"`
	Tenant    object.Tenant    `json:"tenant"` // owner tenant of the principal
	Object    object.ID        `json:"object"`
	Method    object.Method    `json:"method"` // "*": any method that no rule names
	Rule      string           `json:"rule"`
}

// Prove checks that no principal with an owner tenant reaches an object of another tenant, except by a permit with
// crosses_tenants.
//
// It decides for every declared principal and every object of ids as caller, every object and every method. Conditions
// of permits count as true, conditions of forbids as false. Loading a policy already rejects such permits by a simpler
// check. Prove confirms that by the decisions on the objects that exist.
func Prove(p *policy.Policy, ids []object.ID) Proof {
	u := newPartition(ids, p)
	var out Proof
	for _, who := range u.principals {
		out.Principals += len(who)
	}
	for _, what := range u.objects {
		out.Objects += len(what)
	}
	crossing := map[string]struct{}{}
	for _, class := range u.principals {
		who, owner := class[0], p.OwnerTenant(class[0])
		for _, what := range u.objects {
			id := what[0].id
			methods := u.distinctMethods(who, id)
			out.Decisions += len(methods)
			if owner == "" || owner == id.Tenant() || !p.Addressable(id) {
				continue
			}
			for _, m := range methods {
				found := p.Match(who, id, u.representative(m, methods))
				if len(found.Forbids) > 0 && found.Forbids[0].When == nil { // unconditional
					continue
				}
				for _, r := range found.Permits {
					if r.CrossesTenants {
						crossing[r.Reason] = struct{}{}
						continue
					}
					out.Counter = append(out.Counter, CounterExample{
						Principal: who, Tenant: owner, Object: id, Method: m, Rule: r.Reason,
					})
				}
			}
		}
	}
	out.Crossing = slices.Sorted(maps.Keys(crossing))
	return out
}
