package fault

import (
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// Refusal is a file that is not served as it is, or another of the host's files that is not as it should be.
type Refusal struct {
	ID   object.ID `json:"id,omitempty"` // "" if it is no object's
	Path string    `json:"path"`
	Err  string    `json:"error"`
	At   time.Time `json:"at,omitzero"`
	// Note says that nothing is wrong yet: no tenant has the folder, or a certificate ends soon.
	Note bool `json:"note,omitempty"`
}

// Refusals are the files that are not served, or not in their latest version. They do not change.
type Refusals struct {
	All    []Refusal
	IDs    []object.ID      // of objects among them, sorted
	Listed *policy.Listings // the objects among them that each caller may call
}

// Debugs returns the objects among the refusals of which a caller may see tracebacks.
func (r *Refusals) Debugs(p *policy.Policy, caller object.Caller) []object.ID {
	if r.Listed.Cover(p, r.IDs) {
		return r.Listed.VisibleWithTracebacks(caller)
	}
	return p.NewListings(r.IDs).VisibleWithTracebacks(caller) // the call began under another policy
}
