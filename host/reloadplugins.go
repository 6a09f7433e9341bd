package host

import (
	"context"
	"slices"

	"github.com/hearthhost/hearth/host/catalog"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/binary"
	"github.com/hearthhost/hearth/policy"
)

// plugins applies the policy's plugins to the next snapshot. It keeps unchanged plugins and
// removes missing ones. Jobs start the changed ones.
func (l *reloader) plugins(ctx context.Context, f *catalog.Files) {
	before := map[object.ID]*pluginRuntime{}
	for _, p := range l.next.plugins {
		before[p.pin.ID] = p
	}
	wanted := map[object.ID]*policy.Plugin{}
	for _, pin := range f.Plugins {
		wanted[pin.ID] = pin
	}
	for id, was := range before {
		named := slices.ContainsFunc(l.next.Policy.Pins, func(p policy.Plugin) bool { return p.ID == id })
		if wanted[id] != nil {
			delete(l.missing, id)
		} else if !l.inGracePeriod(id, named) {
			l.removePlugin(was)
			l.h.log.Info("plugin removed", "object", string(id))
			l.h.record("removed", id, "")
		}
	}
	for id, pin := range wanted {
		l.plugin(ctx, before[id], pin)
	}
}

// removePlugin removes a plugin from the next snapshot and retires it.
func (l *reloader) removePlugin(was *pluginRuntime) {
	for _, id := range was.pin.Objects {
		if l.next.plugins[id] == was {
			delete(l.next.plugins, id)
		}
	}
	l.cleanups = append(l.cleanups, retire(was.backend))
}

// addPlugin puts a plugin into the next snapshot. It replaces was, unless that is nil.
func (l *reloader) addPlugin(was, now *pluginRuntime) {
	if was != nil {
		l.removePlugin(was)
	}
	for _, id := range now.pin.Objects {
		l.next.plugins[id] = now
	}
}

// plugin starts a job for a plugin that does not match the policy or its file.
func (l *reloader) plugin(ctx context.Context, was *pluginRuntime, pin *policy.Plugin) {
	key := "plugin " + string(pin.ID)
	if r := l.refused[key]; r != nil && r.plugin != nil && r.plugin.failsAgain(l.next.Policy, pin) {
		return
	}
	if was != nil && was.upToDate(l.next.Policy, pin) {
		delete(l.refused, key)
		return
	}
	if l.jobs[key] != 0 {
		return
	}
	now := l.h.newPlugin(l.next.Policy, pin)
	if l.h.snap.Load().starting {
		if err := binary.Check(now.path, pin.SHA256); err != nil {
			l.refusePlugin(key, now, "nothing", err)
			return
		}
		l.addPlugin(was, now)
		return
	}
	var err error
	run := func(ctx context.Context) {
		if err = binary.Check(now.path, pin.SHA256); err == nil {
			_, err = now.backend.Describe(ctx, pin.Objects[0])
		}
	}
	l.startJob(ctx, key, run, func(*generation) {
		var was *pluginRuntime
		for _, p := range l.next.plugins { // the old one may have other objects
			if p.pin.ID == pin.ID {
				was = p
			}
		}
		matches := func(p policy.Plugin) bool { return now.upToDate(l.next.Policy, &p) }
		if err == nil && slices.ContainsFunc(l.next.Policy.Pins, matches) {
			l.addPlugin(was, now)
			delete(l.refused, key)
			delete(l.settling, pin.ID)
			l.h.log.Info("plugin changed", "object", string(pin.ID))
			l.h.record("reloaded", pin.ID, pin.SHA256)
			l.h.reloads.accept()
			return
		}
		l.cleanups = append(l.cleanups, retire(now.backend))
		if err == nil { // the policy or the file changed during the job: scan again
			l.unsettled[pin.ID.Tenant()] = true
			return
		}
		if now.file != nil && catalog.RecentlyWritten(now.file) && l.waitToSettle(pin.ID) {
			return
		}
		delete(l.settling, pin.ID)
		served := "nothing"
		if was != nil {
			served = "the previous version"
		}
		l.refusePlugin(key, now, served, err)
	})
}

// refusePlugin notes why a plugin is refused, and logs it with the plugin that is served. The plugin is not started
// again before its file or its block of the policy changes.
func (l *reloader) refusePlugin(key string, p *pluginRuntime, served string, err error) {
	news := l.setRefusal(key, p.pin.ID, p.path, err)
	l.refused[key].plugin = p
	if !news {
		return
	}
	l.h.log.Error("plugin refused",
		"object", string(p.pin.ID), "path", p.path, "served", served, "err", errorText(err))
	l.h.record("refused", p.pin.ID, errorText(err))
	l.h.reloads.refused.Add(1)
}
