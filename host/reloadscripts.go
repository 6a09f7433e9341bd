package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/catalog"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/supervise"
)

// candidate is a version that is not in service yet.
type candidate struct {
	version         *supervise.Version
	previous        *supervise.Version // version in service; nil: none, or a rollback
	path            string
	recentlyWritten bool              // the files may be half written
	sum             string            // checksum of the version, once it is staged
	tests           *supervise.Script // tests that it must pass; nil: none
	err             error
}

// scripts applies the files of tenants to the next snapshot. It keeps unchanged objects and
// removes missing ones. Jobs stage the changed ones.
func (l *reloader) scripts(ctx context.Context, f *catalog.Files) {
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
			l.h.log.Info("tenant removed", "tenant", string(name))
		}
	}
}

// tenant applies one tenant's files to the next snapshot.
func (l *reloader) tenant(ctx context.Context, name object.Tenant, found *catalog.TenantFiles) {
	was := l.next.Backends.Tenants[name]
	libs := found.Modules()
	var now *backend.Tenant
	if was == nil {
		now = l.newTenant(name, libs)
	} else {
		now = l.carryOver(name, was, found)
		if !catalog.SameLibs(libs, was.Libs.Scripts) {
			now.Libs = supervise.NewLibs(libs)
		}
	}
	l.next.Backends.Tenants[name] = now
	all := l.candidateVersions(now, found)
	if len(all) == 0 {
		return
	}
	key := "tenant " + string(name)
	if l.jobs[key] != 0 {
		l.changedInJob[name] = true
		return
	}
	if l.h.snap.Load().starting { // a fast start: the first call of each object loads it
		for _, c := range all {
			now.Objects[c.version.ID] = c.version
		}
		now.Worker.Activate(slices.Collect(maps.Values(now.Objects))...)
		return
	}
	worker := now.Worker
	l.startJob(ctx, key, func(ctx context.Context) { l.stage(ctx, worker, all) }, func(*generation) {
		now := l.next.Backends.Tenants[name]
		if now == nil || now.Worker != worker { // the worker was replaced during the job: stage again there
			for _, c := range all {
				worker.Discard(c.version)
			}
			l.changedInJob[name] = true
			return
		}
		now = &backend.Tenant{
			Worker:   now.Worker,
			Settings: now.Settings,
			Objects:  maps.Clone(now.Objects),
			Libs:     now.Libs,
		}
		l.next.Backends.Tenants[name] = now
		var taken []*supervise.Version
		for _, c := range all {
			if l.activate(now, c) {
				taken = append(taken, c.version)
			}
		}
		worker.Activate(taken...)
	})
}

// newTenant returns the runtime of a new tenant.
func (l *reloader) newTenant(name object.Tenant, libs map[string]supervise.Script) *backend.Tenant {
	now := &backend.Tenant{
		Settings: l.next.Policy.Tenant(name),
		Objects:  map[object.ID]*supervise.Version{},
		Libs:     supervise.NewLibs(libs),
	}
	now.Worker = l.h.backends.NewWorker(name, &now.Settings, nil) // activate adds the objects
	now.Worker.SetSecrets(l.next.secrets.ForTenant(name))
	return now
}

// carryOver returns a tenant's next runtime with its current objects, under the new settings.
// It removes objects whose files are missing for longer than settleDelay.
func (l *reloader) carryOver(name object.Tenant, was *backend.Tenant, found *catalog.TenantFiles) *backend.Tenant {
	now := &backend.Tenant{
		Worker:   was.Worker,
		Settings: l.next.Policy.Tenant(name),
		Objects:  maps.Clone(was.Objects),
		Libs:     was.Libs,
	}
	for id := range was.Objects {
		if _, there := found.Objects[id]; there {
			delete(l.missing, id)
		} else if !l.inGracePeriod(id, l.next.Policy.Serves(name)) {
			delete(now.Objects, id)
			l.history.NoteRemoved(id)
			l.h.log.Info("object removed", "object", string(id))
			l.h.record("removed", id, "")
		}
	}
	same := was.Fits(&now.Settings)
	var changed []*supervise.Version
	for id, v := range now.Objects {
		if limits := now.Settings.Limits(id).WithDefaults(); !same || limits != v.Limits {
			now.Objects[id] = supervise.NewVersion(id, v.Script, v.Libs, limits)
			if same {
				changed = append(changed, now.Objects[id])
			}
		}
	}
	if len(changed) > 0 {
		now.Worker.Activate(changed...)
	}
	if !same {
		now.Worker = l.h.backends.NewWorker(name, &now.Settings, now.Objects)
		now.Worker.SetSecrets(l.next.secrets.ForTenant(name))
		l.retired = append(l.retired, was.Worker)
		l.h.log.Info("tenant gets a new Worker: its isolation settings changed", "tenant", string(name))
	}
	return now
}

// inGracePeriod reports whether an object without a file is still served: an editor may be
// about to replace the file. named is false if the policy removed the object, which ends
// the grace period at once.
func (l *reloader) inGracePeriod(id object.ID, named bool) bool {
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
func (l *reloader) candidateVersions(now *backend.Tenant, found *catalog.TenantFiles) []*candidate {
	libsYoung := slices.ContainsFunc(slices.Collect(maps.Values(found.Libs)), catalog.Script.RecentlyWritten)
	var out []*candidate
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
				l.h.log.Info("the file has the served version again", "object", string(id))
			}
			continue
		}
		v := supervise.NewVersion(id, s.Script, now.Libs, now.Settings.Limits(id))
		if r != nil && r.version != nil && bytes.Equal(r.version.Script.Source, s.Source) &&
			r.version.Limits == v.Limits &&
			catalog.SameLibs(r.version.Libs.Scripts, now.Libs.Scripts) && r.tests == testGate(found, id, now) {
			continue
		}
		past, err := l.history.OverrideFor(v)
		if l.setRefusal("history "+string(id), id, l.history.Folder(id), err) && err != nil {
			l.h.log.Error("read the rollback of an object: failed, its file is served",
				"object", string(id), "err", err)
		}
		if past != nil {
			if cur != nil && catalog.SumOf(cur) == past.Version {
				continue
			}
			v = past.ToVersion(id, now.Settings.Limits(id))
		}
		c := &candidate{version: v, path: filepath.Join(l.next.Policy.Scripts, filepath.FromSlash(s.File)),
			recentlyWritten: s.RecentlyWritten() || libsYoung, previous: cur}
		if test := found.Tests[id]; testGate(found, id, now) != "" && past == nil {
			c.tests, c.recentlyWritten = &test.Script, c.recentlyWritten || test.RecentlyWritten()
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

// stage loads versions beside those in service, two at a time, and stores the old versions
// for a rollback. It skips new objects if there are more than maxStaged: the first call loads
// each of them. Tenants' code can be slow, so stage runs in a job.
func (l *reloader) stage(ctx context.Context, in backend.Worker, all []*candidate) {
	added := 0
	for _, c := range all {
		if c.previous == nil {
			added++
		}
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2)
	for _, c := range all {
		if c.previous == nil && added > maxStaged {
			continue
		}
		if ctx.Err() != nil {
			c.err = context.Cause(ctx)
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			if c.tests != nil {
				if c.err = runTests(ctx, in, c); c.err != nil {
					in.Discard(c.version)
				}
			}
			if c.err == nil {
				_, c.err = in.Stage(ctx, c.version)
			}
			<-slots
		})
	}
	wg.Wait()
	var changed []*candidate
	for _, c := range all {
		if c.err != nil {
			continue
		}
		c.sum = catalog.SumOf(c.version)
		if c.previous != nil {
			changed = append(changed, c)
		}
	}
	if len(changed) > 0 {
		l.storeReplaced(ctx, changed)
	}
}

// storeTimeout bounds how long a tenant's new versions wait for the disk to store one old version.
const storeTimeout = 5 * time.Second

// storeReplaced stores the versions that changed ones replace. A hung disk does not stop the new versions.
func (l *reloader) storeReplaced(ctx context.Context, changed []*candidate) {
	tenant := changed[0].version.ID.Tenant()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done, late := make(chan int, 1), time.AfterFunc(storeTimeout, cancel)
	defer late.Stop()
	go func() { // ends when the disk answers
		before, left := l.history.TotalWritten(tenant), 0
		for _, c := range changed {
			// One change of a module can change very many Objects: it must not evict the whole history.
			if ctx.Err() != nil || l.history.TotalWritten(tenant)-before > l.history.MaxBytes/2 {
				left++
				continue
			}
			l.storeVersions(c.previous, c.version)
			late.Reset(storeTimeout)
		}
		done <- left
	}()
	select {
	case left := <-done:
		if left > 0 {
			l.h.log.Warn("too many changes at once: not all old versions are stored for a rollback",
				"tenant", string(tenant), "objects", left)
		}
	case <-ctx.Done():
		l.h.log.Warn("the disk of the state folder is too slow: not all old versions are stored for a rollback",
			"tenant", string(tenant))
	}
}

// runTests runs the tests that a version must pass. A failed test is a LoadError of the version.
func runTests(ctx context.Context, in backend.Worker, c *candidate) error {
	results, err := in.Test(ctx, c.version, *c.tests)
	if err != nil {
		return err
	}
	var failed []string
	for _, r := range results {
		if r.Err != "" {
			failed = append(failed, fmt.Sprintf("%s: test %s failed: %s", c.tests.File, r.Name, r.Err))
		}
	}
	if len(failed) > 0 {
		return &supervise.LoadError{Msg: strings.Join(failed, "; ")}
	}
	return nil
}

// activate puts a staged version into the next snapshot, or notes why it failed. A file that may be half written is
// staged again later.
func (l *reloader) activate(now *backend.Tenant, c *candidate) (taken bool) {
	id := c.version.ID
	if c.err == nil {
		now.Objects[id] = c.version
		if c.previous == nil {
			l.history.NoteNew(id)
		}
		delete(l.refused, string(id))
		delete(l.settling, id)
		l.h.log.Info("object changed", "object", string(id), "version", c.sum, "new", c.previous == nil)
		l.h.record("reloaded", id, c.sum)
		l.h.reloads.accept()
		return true
	}
	var unloadable *supervise.LoadError
	isScript := errors.As(c.err, &unloadable) // other errors, such as a dead worker, may pass: stage again
	if isScript && c.recentlyWritten && l.waitToSettle(id) {
		return false
	}
	delete(l.settling, id)
	news := l.setRefusal(string(id), id, c.path, c.err)
	if isScript {
		r := l.refused[string(id)]
		r.version = c.version // unchanged it is not staged again
		if c.tests != nil {
			r.tests = string(c.tests.Source)
		}
	}
	if !news {
		return false
	}
	served := "the previous version"
	if c.previous == nil {
		served = "nothing"
	}
	l.h.log.Error("object refused",
		"object", string(id), "path", c.path, "served", served, "err", errorText(c.err))
	l.h.record("refused", id, errorText(c.err))
	l.h.reloads.refused.Add(1)
	return false
}
