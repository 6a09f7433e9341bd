package supervise

import (
	"context"
	"errors"
	"maps"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/process"
	"github.com/hearthhost/hearth/sandbox/script"
)

// Stage loads a version beside the one in use and returns its description. Calls are not affected. The error is a
// [*script.LoadError] if the script is wrong. Call Activate or Discard next.
func (t *Tenant) Stage(ctx context.Context, v *script.Version) (*object.Description, error) {
	for again := false; ; again = true {
		p, err := t.live(true)
		if err != nil {
			return nil, err
		}
		d, err := p.Stage(ctx, v)
		if errors.Is(err, process.ErrEnded) && !again {
			continue
		}
		if err != nil {
			p.Discard(v)
		}
		return d, err
	}
}

// Test runs the tests of a version. Calls are not affected. The error is a [*script.LoadError] if the version or the
// tests do not load.
func (t *Tenant) Test(ctx context.Context, v *script.Version, tests script.Script) ([]script.TestResult, error) {
	p, err := t.live(true)
	if err != nil {
		return nil, err
	}
	return p.Test(ctx, v, tests)
}

// Activate puts versions into use: they answer the calls that begin from now on. Running calls, sessions and streams
// stay on the version on which they began.
func (t *Tenant) Activate(all ...*script.Version) {
	if len(all) == 0 {
		return
	}
	t.updateObjects(func(objects map[object.ID]*script.Version) {
		for _, v := range all {
			objects[v.ID] = v
		}
	})
	t.clearQuarantine()
	if p := t.running(); p != nil {
		p.Activate(all...)
	}
}

// Discard removes a staged version that will not be activated.
func (t *Tenant) Discard(v *script.Version) {
	if p := t.running(); p != nil {
		p.Discard(v)
	}
}

// Remove removes objects. Running calls continue.
func (t *Tenant) Remove(ids ...object.ID) {
	t.updateObjects(func(objects map[object.ID]*script.Version) {
		for _, id := range ids {
			delete(objects, id)
		}
	})
	t.clearQuarantine()
	if p := t.running(); p != nil {
		p.Remove(ids...)
	}
}

// updateObjects replaces the map of objects by a changed copy.
func (t *Tenant) updateObjects(change func(map[object.ID]*script.Version)) {
	t.change.Lock()
	defer t.change.Unlock()
	all := maps.Clone(*t.objects.Load())
	change(all)
	t.objects.Store(&all)
}
