package analysis

import (
	"maps"
	"slices"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// Proof is the result of asking about everybody, everything and every method whether
// tenants are kept apart.
type Proof struct {
	Principals int `json:"principals"`
	Objects    int `json:"objects"`   // of the catalogue, and one for each pattern without any
	Decisions  int `json:"decisions"` // that rules tell apart
	// Crossing are the permits by which a principal reaches another tenant, as they say
	// that they do; sorted.
	Crossing []string `json:"crossing,omitempty"`
	// Counter are decisions that let a principal reach another tenant by a permit that
	// does not say so.
	Counter []CounterExample `json:"counter_examples,omitempty"`
}

// CounterExample is one decision that should not be.
type CounterExample struct {
	Principal object.Principal `json:"principal"`
	Tenant    object.Tenant    `json:"tenant"` // to which the principal belongs
	Object    object.ID        `json:"object"`
	Method    object.Method    `json:"method"` // "*": any that no rule names
	Rule      string           `json:"rule"`
}

// Prove asks about every declared principal, every object of ids as a caller and as what
// is called, and every method, whether a principal can reach an object of another tenant
// than its own but by a permit with crosses_tenants. Conditions count as met, unless they
// forbid. A policy that loads has no counter-example, for a simpler reason; this shows it
// by another way, on the objects that there are.
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
		who, home := class[0], p.OwnerTenant(class[0])
		for _, what := range u.objects {
			id := what[0].id
			methods := u.distinctMethods(who, id)
			out.Decisions += len(methods)
			if home == "" || home == id.Tenant() || !p.Addressable(id) {
				continue
			}
			for _, m := range methods {
				found := p.Match(who, id, u.representative(m, methods))
				if len(found.Forbids) > 0 && found.Forbids[0].When == nil {
					continue
				}
				for _, r := range found.Permits {
					if r.CrossesTenants {
						crossing[r.Reason] = struct{}{}
						continue
					}
					out.Counter = append(out.Counter, CounterExample{who, home, id, m, r.Reason})
				}
			}
		}
	}
	out.Crossing = slices.Sorted(maps.Keys(crossing))
	return out
}
