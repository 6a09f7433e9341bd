package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins"
	"github.com/hearthhost/hearth/policy"
)

// readPlugins adds the plugins that the policy lets start and that are there.
func (c *catalog) readPlugins(p *policy.Policy) {
	pinned := map[string]bool{}
	for i := range p.Pins {
		pin := &p.Pins[i]
		path := pluginPath(p, pin)
		pinned[path] = true
		if _, err := os.Stat(path); err != nil {
			c.problem(path, fmt.Errorf("%s: %w", pin.Where, err))
			continue
		}
		clash := false
		for _, id := range pin.Objects {
			if c.has(id) {
				c.problem(path, fmt.Errorf("%s: another script or plugin is %s already", pin.Where, id))
				clash = true
			}
		}
		if clash {
			continue
		}
		for _, id := range pin.Objects {
			c.plugins[id] = pin
			c.ids = append(c.ids, id)
		}
	}
	c.findUnpinned(p, pinned)
}

func pluginPath(p *policy.Policy, pin *policy.Plugin) string {
	return filepath.Join(p.Plugins, string(pin.ID.Tenant()), pin.ID.Name())
}

// findUnpinned reports the executables that no plugin block names.
func (c *catalog) findUnpinned(p *policy.Policy, pinned map[string]bool) {
	tenants, err := os.ReadDir(p.Plugins)
	if err != nil {
		return // there are none
	}
	for _, t := range tenants {
		files, err := os.ReadDir(filepath.Join(p.Plugins, t.Name()))
		if err != nil {
			continue
		}
		for _, f := range files {
			path := filepath.Join(p.Plugins, t.Name(), f.Name())
			info, err := f.Info()
			if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 || strings.HasPrefix(f.Name(), ".") || pinned[path] {
				continue
			}
			why := errors.New("no plugin block pins it")
			if sum, err := plugins.Sum(path); err == nil {
				why = fmt.Errorf("no plugin block pins it: add plugin %q with sha256 = %q and unconfined = true to tenant %q", f.Name(), sum, t.Name())
			}
			c.problem(path, why)
		}
	}
}

// addPlugins prepares a backend for each plugin; it starts nothing.
func (h *Host) addPlugins(snap *snapshot) {
	made := map[object.ID]*plugins.Plugin{}
	for id, pin := range snap.catalog.plugins {
		b := made[pin.ID]
		if b == nil {
			b = plugins.New(plugins.Config{
				ID: pin.ID, Path: pluginPath(snap.policy, pin), SHA256: pin.SHA256, Unpinned: pin.Unpinned, Objects: pin.Objects,
				Shim: h.cfg.Shim, Dir: h.pluginSockets(), Proxy: h.proxy, Log: h.log,
			})
			made[pin.ID] = b
			h.plugins = append(h.plugins, b)
			if pin.Unpinned {
				h.log.Warn("plugin is not pinned: whoever can write to its file decides what it does", "object", string(pin.ID), "policy", pin.Where)
			}
		}
		snap.plugins[id] = b
	}
}

// pluginSockets is the folder of the sockets between host and plugins.
func (h *Host) pluginSockets() string { return filepath.Join(h.cfg.Policy.State, "plugins") }

// makePluginSockets makes that folder, which nobody else may enter, without what a host
// that was killed has left there.
func (h *Host) makePluginSockets() error {
	if len(h.plugins) == 0 {
		return nil
	}
	if err := os.RemoveAll(h.pluginSockets()); err != nil {
		return fmt.Errorf("clearing the folder of plugins' sockets: %w", err)
	}
	if err := os.MkdirAll(h.pluginSockets(), 0o700); err != nil {
		return fmt.Errorf("making the folder of plugins' sockets: %w", err)
	}
	return nil
}

// backend returns who runs an object of the catalogue.
func (s *snapshot) backend(id object.ID) object.Backend {
	if b := s.plugins[id]; b != nil {
		return b
	}
	return s.backends[id.Tenant()]
}
