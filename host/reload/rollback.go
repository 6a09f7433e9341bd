package reload

import (
	"context"
	"errors"
	"slices"

	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/catalog"
	"github.com/hearthhost/hearth/host/history"
	"github.com/hearthhost/hearth/host/stage"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/script"
)

// History returns the known versions of a script's object, oldest first.
func (l *Reloader) History(ctx context.Context, id object.ID) (all []history.VersionInfo, err error) {
	if doErr := l.do(ctx, func(context.Context) { all, err = l.versions(id) }); doErr != nil {
		return nil, doErr
	}
	return all, err
}

// Rollback puts a version of an object back into service and returns the version's full name. version is a prefix of a
// name in History; "" is the version before the serving one. The rollback lasts until the object's file or one of its
// modules changes. A restart keeps it.
func (l *Reloader) Rollback(ctx context.Context, id object.ID, version string) (name string, err error) {
	done := make(chan error, 1)
	err = l.do(ctx, func(ctx context.Context) {
		name, err = l.rollback(ctx, id, version, done)
		if err != nil {
			done <- err
		}
	})
	if err != nil {
		return "", err
	}
	select {
	case err := <-done:
		return name, err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// servingVersion returns the serving version of a script's object. Plugins are CodeInvalid.
func (l *Reloader) servingVersion(id object.ID) (*backend.Tenant, *script.Version, error) {
	snap := l.cfg.Current.Load()
	if snap.Backends.Plugins[id] != nil {
		return nil, nil, object.Errorf(object.CodeInvalid,
			"%s is a plugin: restore its previous file, and its previous sha256 in the policy", id)
	}
	t := snap.Backends.Tenants[id.Tenant()]
	if t == nil || t.Objects[id] == nil {
		return nil, nil, object.Errorf(object.CodeNotFound, "object %s not found: hearth ls lists all objects", id)
	}
	return t, t.Objects[id], nil
}

// versions returns the versions of an object, oldest first.
func (l *Reloader) versions(id object.ID) ([]history.VersionInfo, error) {
	_, cur, err := l.servingVersion(id)
	if err != nil {
		return nil, err
	}
	kept, err := l.history.List(id)
	if err != nil {
		return nil, err
	}
	serving := catalog.SumOf(cur)
	out := make([]history.VersionInfo, 0, len(kept)+2)
	for _, p := range kept {
		out = append(out, history.VersionInfo{Version: p.Version, Taken: p.Taken, AtStart: p.AtStart})
	}
	// The history stores a version when a new one replaces it. Until then the serving version is missing there.
	if !slices.ContainsFunc(out, func(p history.VersionInfo) bool { return p.Version == serving }) {
		taken, atStart := l.history.ServedSince(id)
		out = append(out, history.VersionInfo{Version: serving, Taken: taken.UTC(), AtStart: atStart})
	}
	// A version may be listed twice, if it came back: mark the newest entry.
	mark := func(version string, set func(*history.VersionInfo)) {
		for i := len(out) - 1; i >= 0; i-- {
			if out[i].Version == version {
				set(&out[i])
				return
			}
		}
	}
	mark(serving, func(p *history.VersionInfo) { p.Serving = true })
	mark(l.onDisk(id), func(p *history.VersionInfo) { p.InFile = true })
	return out, nil
}

// onDisk returns the name of the version in the scripts folder, "" without a file.
func (l *Reloader) onDisk(id object.ID) string {
	t := l.reader.Last.Tenants[id.Tenant()]
	if t == nil {
		return ""
	}
	s, ok := t.Objects[id]
	if !ok {
		return ""
	}
	return catalog.SumOf(script.NewVersion(id, s.Script, script.NewLibs(t.Modules()), object.Limits{}))
}

// rollback starts a job that puts a version back. The job sends its result to done.
func (l *Reloader) rollback(ctx context.Context, id object.ID, version string, done chan<- error) (string, error) {
	t, cur, err := l.servingVersion(id)
	if err != nil {
		return "", err
	}
	kept, err := l.history.List(id)
	if err != nil {
		return "", err
	}
	past, err := history.Choose(kept, id, catalog.SumOf(cur), version)
	if err != nil {
		return "", err
	}
	key := "tenant " + string(id.Tenant())
	if l.jobs.has(key) {
		return "", object.Errorf(object.CodeInvalid, "a reload of the objects of %s is running: try again", id.Tenant())
	}
	c := &stage.Candidate{Version: past.ToVersion(id, t.Settings.Limits(id)), Path: past.Path}
	worker := t.Worker
	run := func(ctx context.Context) { l.stager.Stage(ctx, worker, []*stage.Candidate{c}) }
	l.jobs.start(ctx, key, run, func(*Generation) {
		now := l.next.Backends.Tenants[id.Tenant()]
		if now == nil || now.Worker != worker || now.Objects[id] != cur {
			if c.Err == nil {
				worker.Discard(c.Version)
			}
			if c.Err == nil || object.Retired(c.Err) { // the worker was replaced, or closed since
				c.Err = object.Errorf(object.CodeInvalid, "%s changed during the rollback: try again", id)
			}
		}
		if c.Err == nil {
			c.Err = l.history.SetOverride(id, history.Override{Of: l.onDisk(id), Version: past.Version})
		}
		if c.Err != nil {
			var unloadable *script.LoadError
			if errors.As(c.Err, &unloadable) {
				c.Err = object.Errorf(object.CodeInvalid, "version %s does not load: %s", past.Version, unloadable.Msg)
			}
			done <- c.Err
			return
		}
		now = now.Clone()
		now.Objects[id] = c.Version
		l.next.Backends.Tenants[id.Tenant()] = now
		worker.Activate(c.Version)
		l.cfg.Log.Warn("object rolled back until its file changes",
			"object", string(id), "version", past.Version, "from", catalog.SumOf(cur))
		l.cfg.Record("rolled back", id, past.Version)
		l.afterStore = append(l.afterStore, func() { done <- nil }) // the caller may call the object next
	})
	return past.Version, nil
}
