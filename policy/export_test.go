package policy

import (
	"time"

	"github.com/hearthhost/hearth/object"
)

// ForgetCrossing takes crosses_tenants from every permit of a policy that has loaded, so
// that Prove has something to find.
func ForgetCrossing(p *Policy) {
	for _, subjects := range p.Subjects {
		for _, s := range subjects {
			for _, list := range s.Permits {
				for _, r := range list {
					r.CrossesTenants = false
				}
			}
		}
	}
}

// Holds reports whether the condition of the one forbid with a condition holds for a call at a time.
func Holds(p *Policy, caller *object.Caller, id object.ID, m object.Method, at time.Time) bool {
	for _, subjects := range p.Subjects {
		for _, s := range subjects {
			for _, list := range s.Forbids {
				for _, r := range list {
					f := p.context(caller, id, m, &at)
					defer f.Release()
					holds, err := r.When.Holds(f)
					return holds && err == nil
				}
			}
		}
	}
	panic("no forbid")
}

// Matches returns how often the rules of a policy were matched with a call or an object.
func Matches(p *Policy) int64 { return p.cache.matches.Load() }

// ListingBytes returns how many bytes Listings count, and of how many principals they know.
func ListingBytes(l *Listings) (bytes, principals int) { return l.size, len(l.known) }

// BoundListings sets the bound on those bytes.
func BoundListings(l *Listings, bytes int) { l.most = bytes }
