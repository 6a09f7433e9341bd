package backend

import (
	"io/fs"
	"os"
	"reflect"
	"time"

	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/host/catalog"
	"github.com/hearthhost/hearth/internal/watch"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins"
	"github.com/hearthhost/hearth/plugins/binary"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/confine"
)

// Plugin is a plugin with the settings and the file that it was made from.
type Plugin struct {
	Backend     *plugins.Plugin
	Pin         policy.Plugin // block of the policy
	Path        string        // executable
	confinement confine.Program
	idle        time.Duration
	file        fs.FileInfo // nil: stat failed
}

// NewPlugin returns a plugin. The first call starts its process.
func (m *Manager) NewPlugin(p *policy.Policy, pin *policy.Plugin) *Plugin {
	path := catalog.PluginPath(p, pin)
	if pin.Unpinned {
		m.cfg.Log.Warn("plugin is not pinned: every user who can write to its file controls the plugin",
			"object", string(pin.ID), "policy", pin.Where)
	}
	info, _ := os.Stat(path)
	settings := p.Tenant(pin.ID.Tenant())
	tenant := pin.ID.Tenant()
	confinement := PluginConfinement(&settings, pin)
	backend := plugins.New(plugins.Config{
		ID:         pin.ID,
		Path:       path,
		SHA256:     pin.SHA256,
		Unpinned:   pin.Unpinned,
		Objects:    pin.Objects,
		Confine:    confinement,
		Unconfined: pin.Unconfined,
		Shim:       m.cfg.Shim,
		Dir:        m.sockets(),
		Idle:       settings.Idle,
		ObjectCall: m.cfg.ObjectCall,
		Store:      m.cfg.Direct,
		ErrorClass: pyro.ErrorClass,
		Log:        m.cfg.Log,
		Account:    &m.cfg.Usage.Tenant(tenant).Processes,
		Budget:     m.cfg.Shares.Tenant(tenant),
		Secret:     func(id object.ID, name string) (string, bool) { return m.cfg.Secrets().Value(id, name) },
		Redact:     func(text string, most int) string { return m.cfg.Secrets().Redact(tenant, text, most) },
	})
	return &Plugin{
		Backend:     backend,
		Pin:         *pin,
		Path:        path,
		confinement: confinement,
		idle:        settings.Idle,
		file:        info,
	}
}

// matchesPolicy reports whether the plugin was made from these settings. It ignores the file.
func (s *Plugin) matchesPolicy(p *policy.Policy, pin *policy.Plugin) bool {
	was, now := s.Pin, *pin
	was.Where, now.Where = "", ""
	settings := p.Tenant(pin.ID.Tenant())
	return s.idle == settings.Idle && reflect.DeepEqual(s.confinement, PluginConfinement(&settings, pin)) &&
		s.Path == catalog.PluginPath(p, pin) && reflect.DeepEqual(was, now)
}

// fileUnchanged reports whether the file certainly has not changed since the plugin was made.
func (s *Plugin) fileUnchanged(info fs.FileInfo) bool {
	return s.file != nil && watch.Same(s.file, info) && !watch.Fresh(info)
}

// FailsAgain reports whether a refused plugin has the same settings and the same file as before.
func (s *Plugin) FailsAgain(p *policy.Policy, pin *policy.Plugin) bool {
	info, err := os.Stat(s.Path)
	return err == nil && s.matchesPolicy(p, pin) && s.fileUnchanged(info)
}

// UpToDate reports whether the plugin matches the policy and its file.
func (s *Plugin) UpToDate(p *policy.Policy, pin *policy.Plugin) bool {
	if !s.matchesPolicy(p, pin) {
		return false
	}
	info, err := os.Stat(s.Path)
	if err != nil || s.fileUnchanged(info) {
		return true // the process runs a copy, so a missing file does not stop it
	}
	if pin.SHA256 == "" {
		return s.file != nil && watch.Same(s.file, info)
	}
	// The time changed but the contents may not have: compare the checksum.
	sum, err := binary.Sum(s.Path)
	if err == nil && sum == pin.SHA256 {
		s.file = info
		return true
	}
	return false
}

// RecentlyWritten reports whether the plugin's file may have been half written when the plugin was made.
func (s *Plugin) RecentlyWritten() bool { return s.file != nil && catalog.RecentlyWritten(s.file) }
