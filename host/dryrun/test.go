package dryrun

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/host/catalog"
	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/script"
)

// Tested is the result of the tests of one object.
type Tested struct {
	ID    object.ID           `json:"id"`
	File  string              `json:"file"` // file of the tests, relative to the scripts folder
	Tests []script.TestResult `json:"tests"`
	Err   string              `json:"error,omitempty"` // reason that no test ran
	// Warnings are the wrong annotations of the object's program, each with file and line.
	Warnings []string `json:"warnings,omitempty"`
}

// Test runs the tests of the objects whose ids begin with prefix, and calls report for each
// object. Each tenant has a separate worker. It returns an error if it cannot read the
// scripts folder or ctx is done.
func Test(ctx context.Context, cfg Config, prefix string, report func(*Tested)) error {
	f, err := new(catalog.Reader).Read(cfg.Policy, nil)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(f.Tenants)) {
		t := f.Tenants[name]
		ids := slices.DeleteFunc(slices.Sorted(maps.Keys(t.Tests)), func(id object.ID) bool {
			return !strings.HasPrefix(string(id), prefix)
		})
		if len(ids) == 0 {
			continue
		}
		if err := testTenant(ctx, cfg, name, t, ids, report); err != nil {
			return err
		}
	}
	return nil
}

func testTenant(
	ctx context.Context, cfg Config, name object.Tenant, t *catalog.TenantFiles, ids []object.ID, report func(*Tested),
) error {
	settings := cfg.Policy.Tenant(name)
	w := scratchWorker(cfg, name, &settings)
	defer func() { _ = w.Close(ctx) }()
	shared := script.NewLibs(t.Modules())
	for _, id := range ids {
		out := &Tested{ID: id, File: t.Tests[id].File}
		s, there := t.Objects[id]
		var err error
		if there {
			v := script.NewVersion(id, s.Script, shared, settings.Limits(id))
			out.Tests, err = w.Test(ctx, v, t.Tests[id].Script)
			if about, err := w.Stage(ctx, v); err == nil {
				out.Warnings = about.Warnings
				w.Discard(v)
			}
		} else {
			err = object.Errorf(object.CodeNotFound, "there is no object %s beside it", id)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			out.Err = fault.Text(err)
		}
		report(out)
	}
	return nil
}
