package reload

import (
	"context"
	"slices"

	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/catalog"
	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/binary"
	"github.com/hearthhost/hearth/policy"
)

// plugins applies the policy's plugins to the next snapshot. It keeps unchanged plugins and
// removes missing ones. Jobs start the changed ones.
func (l *Reloader) plugins(ctx context.Context, f *catalog.Files) {
	before := map[object.ID]*backend.Plugin{}
	for _, p := range l.next.Backends.Plugins {
		before[p.Pin.ID] = p
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
			l.cfg.Log.Info("plugin removed", "object", string(id))
			l.cfg.Record("removed", id, "")
		}
	}
	for id, pin := range wanted {
		l.plugin(ctx, before[id], pin)
	}
}

// removePlugin removes a plugin from the next snapshot and retires it.
func (l *Reloader) removePlugin(was *backend.Plugin) {
	for _, id := range was.Pin.Objects {
		if l.next.Backends.Plugins[id] == was {
			delete(l.next.Backends.Plugins, id)
		}
	}
	l.retired = append(l.retired, was.Backend)
}

// addPlugin puts a plugin into the next snapshot. It replaces was, unless that is nil.
func (l *Reloader) addPlugin(was, now *backend.Plugin) {
	if was != nil {
		l.removePlugin(was)
	}
	for _, id := range now.Pin.Objects {
		l.next.Backends.Plugins[id] = now
	}
}

// plugin starts a job for a plugin that does not match the policy or its file.
func (l *Reloader) plugin(ctx context.Context, was *backend.Plugin, pin *policy.Plugin) {
	key := "plugin " + string(pin.ID)
	if r := l.refused[key]; r != nil && r.plugin != nil && r.plugin.FailsAgain(l.next.Policy, pin) {
		return
	}
	if was != nil && was.UpToDate(l.next.Policy, pin) {
		delete(l.refused, key)
		return
	}
	if l.jobs.has(key) {
		return
	}
	now := l.cfg.Backends.NewPlugin(l.next.Policy, pin)
	if l.starting {
		if err := binary.Check(now.Path, pin.SHA256); err != nil {
			l.refusePlugin(key, now, "nothing", err)
			return
		}
		l.addPlugin(was, now)
		return
	}
	var err error
	run := func(ctx context.Context) {
		if err = binary.Check(now.Path, pin.SHA256); err == nil {
			_, err = now.Backend.Describe(ctx, pin.Objects[0])
		}
	}
	l.jobs.start(ctx, key, run, func(*Generation) {
		var was *backend.Plugin
		for _, p := range l.next.Backends.Plugins { // the old one may have other objects
			if p.Pin.ID == pin.ID {
				was = p
			}
		}
		matches := func(p policy.Plugin) bool { return now.UpToDate(l.next.Policy, &p) }
		if err == nil && slices.ContainsFunc(l.next.Policy.Pins, matches) {
			l.addPlugin(was, now)
			delete(l.refused, key)
			delete(l.settling, pin.ID)
			l.cfg.Log.Info("plugin changed", "object", string(pin.ID))
			l.cfg.Record("reloaded", pin.ID, pin.SHA256)
			l.counts.accept()
			return
		}
		l.retired = append(l.retired, now.Backend)
		if err == nil { // the policy or the file changed during the job: scan again
			l.unsettled[pin.ID.Tenant()] = true
			return
		}
		if now.RecentlyWritten() && l.waitToSettle(pin.ID) {
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
func (l *Reloader) refusePlugin(key string, p *backend.Plugin, served string, err error) {
	news := l.refused.set(key, p.Pin.ID, p.Path, err)
	l.refused[key].plugin = p
	if !news {
		return
	}
	l.cfg.Log.Error("plugin refused",
		"object", string(p.Pin.ID), "path", p.Path, "served", served, "err", fault.Text(err))
	l.cfg.Record("refused", p.Pin.ID, fault.Text(err))
	l.counts.refused.Add(1)
}
