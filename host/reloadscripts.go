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

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/supervise"
)

// candidate is a version on its way into service.
type candidate struct {
	version *supervise.Version
	was     *supervise.Version // the one before; nil: none, or this is a rollback
	path    string
	young   bool              // its files may be half written
	sum     string            // of the version, once it has been tried
	tests   *supervise.Script // to pass first; nil: none
	err     error
}

// scripts brings the tenants into the next snapshot: what is as it was, and what is gone.
// What has changed is tried by jobs.
func (l *reloader) scripts(ctx context.Context, f *files) {
	for name := range f.tenants {
		l.tenant(ctx, name, f.tenants[name])
	}
	for name := range maps.Clone(l.next.tenants) {
		if f.tenants[name] != nil {
			continue
		}
		l.tenant(ctx, name, &tenantFiles{})
		if t := l.next.tenants[name]; len(t.objects) == 0 {
			delete(l.next.tenants, name)
			l.retired = append(l.retired, leave(t.worker))
			l.h.log.Info("tenant is gone", "tenant", string(name))
		}
	}
}

// tenant brings one tenant into the next snapshot.
func (l *reloader) tenant(ctx context.Context, name object.Tenant, found *tenantFiles) {
	was := l.next.tenants[name]
	libs := found.modules()
	var now *served
	if was == nil {
		now = l.newTenant(name, libs)
	} else {
		now = l.keep(name, was, found)
		if !sameLibs(libs, was.libs.Scripts) {
			now.libs = supervise.NewLibs(libs)
		}
	}
	l.next.tenants[name] = now
	all := l.candidates(now, found)
	if len(all) == 0 {
		return
	}
	key := "tenant " + string(name)
	if l.jobs[key] != 0 {
		l.late[name] = true
		return
	}
	if l.h.snap.Load().starting { // each is loaded by its first call
		for _, c := range all {
			now.objects[c.version.ID] = c.version
		}
		now.worker.Use(slices.Collect(maps.Values(now.objects))...)
		return
	}
	worker := now.worker
	l.start(ctx, key, func(ctx context.Context) { l.try(ctx, worker, all) }, func(*generation) {
		now := l.next.tenants[name]
		if now == nil || now.worker != worker { // it was to be another meanwhile
			for _, c := range all {
				worker.Forget(c.version)
			}
			l.late[name] = true
			return
		}
		now = &served{worker: now.worker, settings: now.settings, objects: maps.Clone(now.objects), libs: now.libs}
		l.next.tenants[name] = now
		var taken []*supervise.Version
		for _, c := range all {
			if l.decide(now, c) {
				taken = append(taken, c.version)
			}
		}
		worker.Use(taken...)
	})
}

// newTenant is a tenant that was not there before.
func (l *reloader) newTenant(name object.Tenant, libs map[string]supervise.Script) *served {
	now := &served{settings: l.next.Policy.Tenant(name), objects: map[object.ID]*supervise.Version{}, libs: supervise.NewLibs(libs)}
	now.worker = l.h.newWorker(name, &now.settings, nil)
	now.worker.SetSecrets(l.next.secrets.ForTenant(name))
	return now
}

// keep is a tenant with the objects that it had, but for those whose files have been gone
// for long.
func (l *reloader) keep(name object.Tenant, was *served, found *tenantFiles) *served {
	now := &served{worker: was.worker, settings: l.next.Policy.Tenant(name), objects: maps.Clone(was.objects), libs: was.libs}
	for id := range was.objects {
		if _, there := found.objects[id]; there {
			delete(l.gone, id)
		} else if !l.lingers(id, l.next.Policy.Serves(name)) {
			delete(now.objects, id)
			l.history.vanish(id)
			l.h.log.Info("object is gone", "object", string(id))
			l.h.record("removed", id, "")
		}
	}
	same := sameWalls(&was.settings, &now.settings)
	var changed []*supervise.Version
	for id, v := range now.objects {
		if limits := now.settings.Limits(id).WithDefaults(); !same || limits != v.Limits {
			now.objects[id] = supervise.NewVersion(id, v.Script, v.Libs, limits)
			if same {
				changed = append(changed, now.objects[id])
			}
		}
	}
	if len(changed) > 0 {
		now.worker.Use(changed...)
	}
	if !same {
		now.worker = l.h.newWorker(name, &now.settings, now.objects)
		now.worker.SetSecrets(l.next.secrets.ForTenant(name))
		l.retired = append(l.retired, leave(was.worker))
		l.h.log.Info("tenant gets a new worker: the policy gives it other walls", "tenant", string(name))
	}
	return now
}

// lingers reports whether what is gone is served for a while yet: somebody may be about to
// put another there. named says that the policy has not taken it away, which counts at once.
func (l *reloader) lingers(id object.ID, named bool) bool {
	since, known := l.gone[id]
	if !known {
		since = time.Now()
		l.gone[id] = since
	}
	if named && time.Since(since) < settleTime {
		l.waits[id.Tenant()] = true
		return true
	}
	delete(l.gone, id)
	return false
}

// candidates returns what lies in a tenant's folder and is not what is served, nor known
// not to load.
func (l *reloader) candidates(now *served, found *tenantFiles) []*candidate {
	libsYoung := slices.ContainsFunc(slices.Collect(maps.Values(found.libs)), script.young)
	var out []*candidate
	var libs asking
	for id, s := range found.objects {
		cur := now.objects[id]
		r := l.refused[string(id)]
		switch {
		case l.next.plugins[id] != nil:
			continue // until the plugin is gone
		case cur != nil && bytes.Equal(cur.Script.Source, s.Source) && !libs.touches(cur, now.libs):
			if r != nil {
				delete(l.refused, string(id))
				l.h.log.Info("object is as it is served again", "object", string(id))
			}
			continue
		}
		v := supervise.NewVersion(id, s.Script, now.libs, now.settings.Limits(id))
		if r != nil && r.version != nil && bytes.Equal(r.version.Script.Source, s.Source) && r.version.Limits == v.Limits &&
			sameLibs(r.version.Libs.Scripts, now.libs.Scripts) && r.tests == found.gate(id, now) {
			continue
		}
		past, err := l.history.insteadOf(v)
		if l.refuse("history "+string(id), id, l.history.folder(id), err) && err != nil {
			l.h.log.Error("what is to serve instead cannot be told: the file counts", "object", string(id), "err", err)
		}
		if past != nil {
			if cur != nil && sumOf(cur) == past.Version {
				continue
			}
			v = past.again(id, now.settings.Limits(id))
		}
		c := &candidate{version: v, path: filepath.Join(l.next.Policy.Scripts, filepath.FromSlash(s.File)),
			young: s.young() || libsYoung, was: cur}
		if test := found.tests[id]; found.gate(id, now) != "" && past == nil {
			c.tests, c.young = &test.Script, c.young || test.young()
		}
		out = append(out, c)
	}
	return out
}

// gate returns the tests that an object has to pass, "" if there are none.
func (t *tenantFiles) gate(id object.ID, of *served) string {
	if !of.settings.Gate {
		return ""
	}
	return string(t.tests[id].Source)
}

// try loads versions beside those in use, two at a time, and keeps those that can serve. Of
// very many new ones each is loaded by its first call, as when the host starts. It runs beside
// the reloader's goroutine, since all of it takes as long as the tenant makes it.
func (l *reloader) try(ctx context.Context, in worker, all []*candidate) {
	added := 0
	for _, c := range all {
		if c.was == nil {
			added++
		}
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2)
	for _, c := range all {
		if c.was == nil && added > maxTried {
			continue
		}
		if ctx.Err() != nil {
			c.err = context.Cause(ctx)
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			if c.tests != nil {
				if c.err = passes(ctx, in, c); c.err != nil {
					in.Forget(c.version)
				}
			}
			if c.err == nil {
				_, c.err = in.Try(ctx, c.version)
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
		c.sum = sumOf(c.version)
		if c.was != nil {
			changed = append(changed, c)
		}
	}
	if len(changed) > 0 {
		l.keepAll(ctx, changed)
	}
}

// keepPatience is how long the new versions of a tenant wait for the disk of the state folder to keep one old version.
const keepPatience = 5 * time.Second

// keepAll keeps the versions that changed ones replace. A disk that hangs does not keep the new ones from serving.
func (l *reloader) keepAll(ctx context.Context, changed []*candidate) {
	tenant := changed[0].version.ID.Tenant()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done, late := make(chan int, 1), time.AfterFunc(keepPatience, cancel)
	defer late.Stop()
	go func() { // ends with the disk's answer
		before, left := l.history.ever(tenant), 0
		for _, c := range changed {
			// One change of a module can be one of very many objects.
			if ctx.Err() != nil || l.history.ever(tenant)-before > l.history.most/2 {
				left++
				continue
			}
			l.keepPast(c.was, c.version)
			late.Reset(keepPatience)
		}
		done <- left
	}()
	select {
	case left := <-done:
		if left > 0 {
			l.h.log.Warn("too much has changed at once: not all versions are kept to be rolled back to", "tenant", string(tenant), "objects", left)
		}
	case <-ctx.Done():
		l.h.log.Warn("the disk of the state folder is too slow: not all versions are kept to be rolled back to", "tenant", string(tenant))
	}
}

// passes runs the tests that a version has to pass. That it does not is an error of the
// version.
func passes(ctx context.Context, in worker, c *candidate) error {
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

// decide takes a version that has been tried into the next snapshot, or not.
func (l *reloader) decide(now *served, c *candidate) (taken bool) {
	id := c.version.ID
	if c.err == nil {
		now.objects[id] = c.version
		if c.was == nil {
			l.history.appear(id)
		}
		delete(l.refused, string(id))
		delete(l.unripe, id)
		l.h.log.Info("object changed", "object", string(id), "version", c.sum, "new", c.was == nil)
		l.h.record("reloaded", id, c.sum)
		l.h.reloads.take()
		return true
	}
	var unloadable *supervise.LoadError
	isScript := errors.As(c.err, &unloadable)
	if isScript && c.young && l.ripens(id) {
		return false
	}
	delete(l.unripe, id)
	news := l.refuse(string(id), id, c.path, c.err)
	if isScript {
		r := l.refused[string(id)]
		r.version = c.version // not again as it is
		if c.tests != nil {
			r.tests = string(c.tests.Source)
		}
	}
	if !news {
		return false
	}
	served := "the version before"
	if c.was == nil {
		served = "nothing"
	}
	l.h.log.Error("object was not taken", "object", string(id), "path", c.path, "served", served, "err", errorText(c.err))
	l.h.record("refused", id, errorText(c.err))
	l.h.reloads.refused.Add(1)
	return false
}
