package dispatch

import (
	"context"
	"slices"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/object"
)

// Describe returns an object's description with the members that a caller may call. The error is ErrUnknown for an
// object that the caller may not see. If the object's backend is retired meanwhile, Describe retries once under the
// snapshot in force, as calls do.
func (d *Dispatcher) Describe(ctx context.Context, caller *object.Caller, id object.ID) (*object.Description, error) {
	shown, err := d.describe(ctx, caller, id)
	if object.Retired(err) {
		shown, err = d.describe(ctx, caller, id)
	}
	if object.Retired(err) { // retired twice: the host is shutting down or reloads constantly
		return nil, object.ErrShutdown
	}
	return shown, err
}

// describe is Describe under the current snapshot, without the retry.
func (d *Dispatcher) describe(ctx context.Context, caller *object.Caller, id object.ID) (*object.Description, error) {
	snap := d.cfg.Snapshot()
	to, ok := snap.Routes.Listed(id)
	if b := to.Builtin; ok && b != nil && (b.Visible == nil || b.Visible(caller)) {
		return to.Backend.Describe(ctx, id)
	}
	if !ok || to.Builtin != nil || !snap.Policy.Visible(*caller, id) {
		d.Hide(caller, id, "not an object that this principal may call")
		return nil, ErrUnknown
	}
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	full, err := to.Backend.Describe(ctx, id)
	if unknown(err) { // it is not keyed, and id has a key, or the other way round
		d.Hide(caller, id, "the object has no such instance")
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	shown := *full // a copy: the backend's description is shared
	shown.ID, shown.Members, shown.Warnings = id, nil, nil
	instances := snap.Policy.Examples(caller, id)
	permitted := func(allows func(id object.ID) bool) bool { return slices.ContainsFunc(instances, allows) }
	for _, m := range full.Members {
		may := (m.Method || m.Oneway || m.Get) && permitted(func(id object.ID) bool {
			return snap.Policy.Decide(*caller, id, m.Name).Permit
		})
		m.Method, m.Oneway = m.Method && may, m.Oneway && may
		m.Get = m.Get && may
		m.Set = m.Set && permitted(func(id object.ID) bool {
			return snap.Policy.DecideSet(*caller, id, m.Name).Permit
		})
		if may || m.Set {
			shown.Members = append(shown.Members, m)
		}
	}
	if shown.Members == nil && full.Members != nil {
		// The policy permits only methods that the object does not have.
		d.Hide(caller, id, "it has nothing that this principal may call")
		return nil, ErrUnknown
	}
	shown.Types = shown.UsedTypes() // a type may be confidential if no member of this caller uses it
	return &shown, nil
}

// Hide records that an object was hidden from a caller.
func (d *Dispatcher) Hide(caller *object.Caller, id object.ID, reason string) {
	d.Deny(&audit.Record{Event: "see", Caller: caller, Object: id, Reason: "denied: " + reason})
}
