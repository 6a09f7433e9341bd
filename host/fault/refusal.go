package fault

import (
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
)

// Refusal is a file whose current content is not served, or another file of the host with a mistake.
type Refusal struct {
	ID   object.ID `json:"id,omitempty"` // object of the file, "" for a file of no object
	Path string    `json:"path"`
	Err  string    `json:"error"`
	At   time.Time `json:"at,omitzero"`
	// Note marks a refusal without effect yet: a folder of no tenant, or a certificate that expires soon.
	Note bool `json:"note,omitempty"`
}

// Refusals lists the files that are not served, or not in their latest version. It is immutable.
type Refusals struct {
	All    []Refusal
	IDs    []object.ID      // ids of their objects, sorted
	Listed *policy.Listings // objects among IDs that each caller may call
}

// Debugs returns the refused objects whose tracebacks the caller may see.
func (r *Refusals) Debugs(p *policy.Policy, caller object.Caller) []object.ID {
	if r.Listed.Cover(p, r.IDs) {
		return r.Listed.VisibleWithTracebacks(caller)
	}
	return p.NewListings(r.IDs).VisibleWithTracebacks(caller) // the call began under another policy
}
