package reload

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/catalog"
	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/host/stage"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/script"
)

// scripts applies the files of tenants to the next snapshot. It keeps unchanged objects and
// removes missing ones. Jobs stage the changed ones.
func (l *Reloader) scripts(ctx context.Context, f *catalog.Files) {
	for name := range f.Tenants {
		l.tenant(ctx, name, f.Tenants[name])
	}
	for name := range maps.Clone(l.next.Backends.Tenants) {
		if f.Tenants[name] != nil {
			continue
		}
		l.tenant(ctx, name, &catalog.TenantFiles{})
		if t := l.next.Backends.Tenants[name]; len(t.Objects) == 0 {
			delete(l.next.Backends.Tenants, name)
			l.retired = append(l.retired, t.Worker)
			l.cfg.Log.Info("tenant removed", "tenant", string(name))
		}
	}
}

// tenant applies one tenant's files to the next snapshot.
func (l *Reloader) tenant(ctx context.Context, name object.Tenant, found *catalog.TenantFiles) {
	was := l.next.Backends.Tenants[name]
	libs := found.Modules()
	var now *backend.Tenant
	if was == nil {
		now = l.newTenant(name, libs)
	} else {
		now = l.carryOver(name, was, found)
		if !catalog.SameLibs(libs, was.Libs.Scripts) {
			now.Libs = script.NewLibs(libs)
		}
	}
	l.next.Backends.Tenants[name] = now
	all := l.candidateVersions(now, found)
	if len(all) == 0 {
		return
	}
	key := "tenant " + string(name)
	if l.jobs.has(key) {
		l.changedInJob[name] = true
		return
	}
	if l.starting { // a fast start: the first call of each object loads it
		for _, c := range all {
			now.Objects[c.Version.ID] = c.Version
		}
		now.Worker.Activate(slices.Collect(maps.Values(now.Objects))...)
		return
	}
	worker := now.Worker
	l.jobs.start(ctx, key, func(ctx context.Context) { l.stager.Stage(ctx, worker, all) }, func(*Generation) {
		now := l.next.Backends.Tenants[name]
		if now == nil || now.Worker != worker { // the worker was replaced during the job: stage again there
			for _, c := range all {
				worker.Discard(c.Version)
			}
			l.changedInJob[name] = true
			return
		}
		now = now.Clone()
		l.next.Backends.Tenants[name] = now
		var taken []*script.Version
		for _, c := range all {
			if l.activate(now, c) {
				taken = append(taken, c.Version)
			}
		}
		worker.Activate(taken...)
	})
}

// newTenant returns the runtime of a new tenant.
func (l *Reloader) newTenant(name object.Tenant, libs map[string]script.Script) *backend.Tenant {
	now := &backend.Tenant{
		Settings: l.next.Policy.Tenant(name),
		Objects:  map[object.ID]*script.Version{},
		Libs:     script.NewLibs(libs),
	}
	now.Worker = l.cfg.Backends.NewWorker(name, &now.Settings, nil) // activate adds the objects
	now.Worker.SetSecrets(l.next.Secrets.ForTenant(name))
	return now
}

// carryOver returns a tenant's next runtime with its current objects, under the new settings.
// It removes objects whose files are missing for longer than settleDelay.
func (l *Reloader) carryOver(name object.Tenant, was *backend.Tenant, found *catalog.TenantFiles) *backend.Tenant {
	now := was.Clone()
	now.Settings = l.next.Policy.Tenant(name)
	for id := range was.Objects {
		if _, there := found.Objects[id]; there {
			delete(l.missing, id)
		} else if !l.inGracePeriod(id, l.next.Policy.Serves(name)) {
			delete(now.Objects, id)
			l.history.NoteRemoved(id)
			l.cfg.Log.Info("object removed", "object", string(id))
			l.cfg.Record("removed", id, "")
		}
	}
	same := was.Fits(&now.Settings)
	var changed []*script.Version
	for id, v := range now.Objects {
		if limits := now.Settings.Limits(id).WithDefaults(); !same || limits != v.Limits {
			now.Objects[id] = script.NewVersion(id, v.Script, v.Libs, limits)
			if same {
				changed = append(changed, now.Objects[id])
			}
		}
	}
	if len(changed) > 0 {
		now.Worker.Activate(changed...)
	}
	if !same {
		now.Worker = l.cfg.Backends.NewWorker(name, &now.Settings, now.Objects)
		now.Worker.SetSecrets(l.next.Secrets.ForTenant(name))
		l.retired = append(l.retired, was.Worker)
		l.cfg.Log.Info("tenant gets a new worker: its isolation settings changed", "tenant", string(name))
	}
	return now
}

// inGracePeriod reports whether an object without a file is still served: an editor may be
// about to replace the file. named is false if the policy removed the object, which ends
// the grace period at once.
func (l *Reloader) inGracePeriod(id object.ID, named bool) bool {
	since, known := l.missing[id]
	if !known {
		since = time.Now()
		l.missing[id] = since
	}
	if named && time.Since(since) < catalog.SettleDelay {
		l.unsettled[id.Tenant()] = true
		return true
	}
	delete(l.missing, id)
	return false
}

// candidateVersions returns the scripts that differ from the served version and have not
// already failed unchanged.
func (l *Reloader) candidateVersions(now *backend.Tenant, found *catalog.TenantFiles) []*stage.Candidate {
	libsYoung := slices.ContainsFunc(slices.Collect(maps.Values(found.Libs)), catalog.Script.RecentlyWritten)
	var out []*stage.Candidate
	var libs catalog.RequireGraph
	for id, s := range found.Objects {
		cur := now.Objects[id]
		r := l.refused[string(id)]
		switch {
		case l.next.Backends.Plugins[id] != nil:
			continue // a plugin serves this id: wait until it is removed
		case cur != nil && bytes.Equal(cur.Script.Source, s.Source) && !libs.Changes(cur, now.Libs):
			if r != nil {
				delete(l.refused, string(id))
				l.cfg.Log.Info("the file has the served version again", "object", string(id))
			}
			continue
		}
		v := script.NewVersion(id, s.Script, now.Libs, now.Settings.Limits(id))
		if r != nil && r.version != nil && bytes.Equal(r.version.Script.Source, s.Source) &&
			r.version.Limits == v.Limits &&
			catalog.SameLibs(r.version.Libs.Scripts, now.Libs.Scripts) && r.tests == testGate(found, id, now) {
			continue
		}
		past, err := l.history.OverrideFor(v)
		if l.refused.set("history "+string(id), id, l.history.Folder(id), err) && err != nil {
			l.cfg.Log.Error("read the rollback of an object: failed, its file is served",
				"object", string(id), "err", err)
		}
		if past != nil {
			if cur != nil && catalog.SumOf(cur) == past.Version {
				continue
			}
			v = past.ToVersion(id, now.Settings.Limits(id))
		}
		c := &stage.Candidate{Version: v, Path: filepath.Join(l.next.Policy.Scripts, filepath.FromSlash(s.File)),
			RecentlyWritten: s.RecentlyWritten() || libsYoung, Previous: cur}
		if test := found.Tests[id]; testGate(found, id, now) != "" && past == nil {
			c.Tests, c.RecentlyWritten = &test.Script, c.RecentlyWritten || test.RecentlyWritten()
		}
		out = append(out, c)
	}
	return out
}

// testGate returns the source of the tests that an object must pass, "" without such tests.
func testGate(t *catalog.TenantFiles, id object.ID, of *backend.Tenant) string {
	if !of.Settings.Gate {
		return ""
	}
	return string(t.Tests[id].Source)
}

// activate puts a staged version into the next snapshot, or notes why it failed. A file that may be half written is
// staged again later.
func (l *Reloader) activate(now *backend.Tenant, c *stage.Candidate) (taken bool) {
	id := c.Version.ID
	if c.Err == nil {
		now.Objects[id] = c.Version
		if c.Previous == nil {
			l.history.NoteNew(id)
		}
		delete(l.refused, string(id))
		delete(l.settling, id)
		l.cfg.Log.Info("object changed", "object", string(id), "version", c.Sum, "new", c.Previous == nil)
		l.cfg.Record("reloaded", id, c.Sum)
		l.counts.accept()
		return true
	}
	var unloadable *script.LoadError
	isScript := errors.As(c.Err, &unloadable) // other errors, such as a dead worker, may pass: stage again
	if isScript && c.RecentlyWritten && l.waitToSettle(id) {
		return false
	}
	delete(l.settling, id)
	news := l.refused.set(string(id), id, c.Path, c.Err)
	if isScript {
		r := l.refused[string(id)]
		r.version = c.Version // unchanged it is not staged again
		if c.Tests != nil {
			r.tests = string(c.Tests.Source)
		}
	}
	if !news {
		return false
	}
	served := "the previous version"
	if c.Previous == nil {
		served = "nothing"
	}
	l.cfg.Log.Error("object refused",
		"object", string(id), "path", c.Path, "served", served, "err", fault.Text(c.Err))
	l.cfg.Record("refused", id, fault.Text(c.Err))
	l.counts.refused.Add(1)
	return false
}
