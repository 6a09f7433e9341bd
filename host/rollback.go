package host

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/catalog"
	"github.com/hearthhost/hearth/host/history"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/supervise"
)

// History returns the known versions of a script's object, oldest first.
func (h *Host) History(ctx context.Context, id object.ID) (all []history.VersionInfo, err error) {
	if doErr := h.inReloader(ctx, func(context.Context) { all, err = h.reloader.versions(id) }); doErr != nil {
		return nil, doErr
	}
	return all, err
}

// Rollback puts a version of an object back into service and returns the version's full
// name. version is a prefix of a name in History; "" is the version before the serving one.
// The rollback lasts until the object's file or one of its modules changes. A restart keeps it.
func (h *Host) Rollback(ctx context.Context, id object.ID, version string) (name string, err error) {
	done := make(chan error, 1)
	err = h.inReloader(ctx, func(ctx context.Context) {
		name, err = h.reloader.rollback(ctx, id, version, done)
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

// inReloader runs do in the reloader's goroutine and waits for it. It returns the cause of ctx if ctx is done first.
func (h *Host) inReloader(ctx context.Context, do func(context.Context)) error {
	done := make(chan struct{})
	select {
	case h.reloader.requests <- func(ctx context.Context) { defer close(done); do(ctx) }:
		<-done
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// servingVersion returns the serving version of a script's object. Plugins are CodeInvalid.
func (l *reloader) servingVersion(id object.ID) (*backend.Tenant, *supervise.Version, error) {
	snap := l.h.snap.Load()
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
func (l *reloader) versions(id object.ID) ([]history.VersionInfo, error) {
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
func (l *reloader) onDisk(id object.ID) string {
	t := l.reader.Last.Tenants[id.Tenant()]
	if t == nil {
		return ""
	}
	s, ok := t.Objects[id]
	if !ok {
		return ""
	}
	return catalog.SumOf(supervise.NewVersion(id, s.Script, supervise.NewLibs(t.Modules()), object.Limits{}))
}

// rollback starts a job that puts a version back. The job sends its result to done.
func (l *reloader) rollback(ctx context.Context, id object.ID, version string, done chan<- error) (string, error) {
	t, cur, err := l.servingVersion(id)
	if err != nil {
		return "", err
	}
	kept, err := l.history.List(id)
	if err != nil {
		return "", err
	}
	past, err := choose(kept, id, catalog.SumOf(cur), version)
	if err != nil {
		return "", err
	}
	key := "tenant " + string(id.Tenant())
	if l.jobs[key] != 0 {
		return "", object.Errorf(object.CodeInvalid, "a reload of the objects of %s is running: try again", id.Tenant())
	}
	c := &candidate{version: past.ToVersion(id, t.Settings.Limits(id)), path: past.Path}
	worker := t.Worker
	l.startJob(ctx, key, func(ctx context.Context) { l.stage(ctx, worker, []*candidate{c}) }, func(*generation) {
		now := l.next.Backends.Tenants[id.Tenant()]
		if c.err == nil && (now == nil || now.Worker != worker || now.Objects[id] != cur) {
			c.err = object.Errorf(object.CodeInvalid, "%s changed during the rollback: try again", id)
			worker.Discard(c.version)
		}
		if c.err == nil {
			c.err = l.history.SetOverride(id, history.Override{Of: l.onDisk(id), Version: past.Version})
		}
		if c.err != nil {
			var unloadable *supervise.LoadError
			if errors.As(c.err, &unloadable) {
				c.err = object.Errorf(object.CodeInvalid, "version %s does not load: %s", past.Version, unloadable.Msg)
			}
			done <- c.err
			return
		}
		now = &backend.Tenant{
			Worker:   worker,
			Settings: now.Settings,
			Objects:  maps.Clone(now.Objects),
			Libs:     now.Libs,
		}
		now.Objects[id] = c.version
		l.next.Backends.Tenants[id.Tenant()] = now
		worker.Activate(c.version)
		l.h.log.Warn("object rolled back until its file changes",
			"object", string(id), "version", past.Version, "from", catalog.SumOf(cur))
		l.h.record("rolled back", id, past.Version)
		l.afterStore = append(l.afterStore, func() { done <- nil }) // the caller may call the object next
	})
	return past.Version, nil
}

// choose returns the stored version for a prefix of its name, or for "" the one before the serving version.
func choose(kept []history.Version, id object.ID, serving, version string) (*history.Version, error) {
	var found *history.Version
	at := len(kept)
	for i := range kept {
		if kept[i].Version == serving {
			at = i
		}
	}
	for i := range kept {
		p := &kept[i]
		switch {
		case version == "" && i < at && p.Version != serving:
			found = p
		case version != "" && strings.HasPrefix(p.Version, version):
			if found != nil && found.Version != p.Version {
				return nil, object.Errorf(object.CodeInvalid,
					"several versions of %s begin with %s: give a longer prefix", id, version)
			}
			found = p
		}
	}
	switch {
	case found == nil && version == "":
		return nil, object.Errorf(object.CodeInvalid, "%s has no version before the one that serves", id)
	case found == nil:
		return nil, object.Errorf(object.CodeInvalid,
			"%s has no version %s: hearth history %s lists them", id, version, id)
	case found.Version == serving:
		return nil, object.Errorf(object.CodeInvalid, "version %s of %s is already serving", serving, id)
	}
	return found, nil
}

// storeVersions stores the new version in the history, and before it the replaced one, if
// that is not stored yet.
func (l *reloader) storeVersions(before, now *supervise.Version) {
	kept, err := l.history.Names(now.ID)
	sum := catalog.SumOf(before)
	if err == nil && !slices.ContainsFunc(kept, func(name string) bool { return history.IsVersion(name, sum) }) {
		taken, atStart := l.history.ServedSince(now.ID)
		err = l.history.Add(before, taken, atStart)
	}
	if err == nil {
		err = l.history.Add(now, time.Now(), false)
	}
	if err != nil {
		l.h.log.Warn("store a version for rollbacks: failed", "object", string(now.ID), "err", err)
	}
}
