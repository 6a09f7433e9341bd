package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/hearthhost/hearth/internal/watch"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins"
	"github.com/hearthhost/hearth/plugins/binary"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/confine"
)

// readPlugins adds the plugins that the policy lets start and that are there.
func (r *folderReader) readPlugins(c *files, p *policy.Policy) {
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
		}
	}
	r.findUnpinned(c, p, pinned)
}

func pluginPath(p *policy.Policy, pin *policy.Plugin) string {
	return filepath.Join(p.Plugins, string(pin.ID.Tenant()), pin.ID.Name())
}

// unpinned is an executable that no plugin block names, as it was when its sum was made.
type unpinned struct {
	file fs.FileInfo
	why  error
}

// findUnpinned reports the executables that no plugin block names.
func (r *folderReader) findUnpinned(c *files, p *policy.Policy, pinned map[string]bool) {
	before := r.unpinned
	r.unpinned = map[string]unpinned{}
	tenants, err := os.ReadDir(p.Plugins)
	if err != nil {
		return // there are none
	}
	for _, t := range tenants {
		found, err := os.ReadDir(filepath.Join(p.Plugins, t.Name()))
		if err != nil {
			continue
		}
		for _, f := range found {
			path := filepath.Join(p.Plugins, t.Name(), f.Name())
			info, err := f.Info()
			if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 || strings.HasPrefix(f.Name(), ".") || pinned[path] {
				continue
			}
			u, known := before[path]
			if !known || !watch.Same(u.file, info) {
				u = unpinned{info, errors.New("no plugin block pins it")}
				if sum, err := binary.Sum(path); err == nil {
					u.why = fmt.Errorf("no plugin block pins it: add plugin %q with sha256 = %q to tenant %q", f.Name(), sum, t.Name())
				}
			}
			r.unpinned[path] = u
			c.problem(path, u.why)
		}
	}
}

// servedPlugin is one plugin, with what it was made of.
type pluginRuntime struct {
	backend     *plugins.Plugin
	pin         policy.Plugin
	path        string
	confinement confine.Program
	idle        time.Duration
	file        fs.FileInfo // nil: it could not be looked at
}

// newPlugin prepares a plugin; it starts nothing.
func (h *Host) newPlugin(p *policy.Policy, pin *policy.Plugin) *pluginRuntime {
	path := pluginPath(p, pin)
	if pin.Unpinned {
		h.log.Warn("plugin is not pinned: whoever can write to its file decides what it does", "object", string(pin.ID), "policy", pin.Where)
	}
	info, _ := os.Stat(path)
	settings := p.Tenant(pin.ID.Tenant())
	walls := PluginConfinement(&settings, pin)
	return &pluginRuntime{pin: *pin, path: path, file: info, confinement: walls, idle: settings.Idle, backend: plugins.New(plugins.Config{
		ID: pin.ID, Path: path, SHA256: pin.SHA256, Unpinned: pin.Unpinned, Objects: pin.Objects,
		Confine: walls, Unconfined: pin.Unconfined,
		Shim: h.cfg.Shim, Dir: h.pluginSockets(), Idle: settings.Idle, ObjectCall: h.dispatch.ObjectCall, Log: h.log,
		Account: &h.ledger.Tenant(pin.ID.Tenant()).Processes, Budget: h.shares.Tenant(pin.ID.Tenant()),
		Secret: func(id object.ID, name string) (string, bool) { return h.snap.Load().secrets.Value(id, name) },
		Redact: func(text string, most int) string { return h.snap.Load().secrets.Redact(pin.ID.Tenant(), text, most) },
	})}
}

// asked reports whether a plugin is what a policy asks for, whatever lies in its file.
func (s *pluginRuntime) matchesPolicy(p *policy.Policy, pin *policy.Plugin) bool {
	was, now := s.pin, *pin
	was.Where, now.Where = "", ""
	settings := p.Tenant(pin.ID.Tenant())
	return s.idle == settings.Idle && reflect.DeepEqual(s.confinement, PluginConfinement(&settings, pin)) &&
		s.path == pluginPath(p, pin) && reflect.DeepEqual(was, now)
}

// untouched reports whether the file is as it was looked at.
func (s *pluginRuntime) fileUnchanged(info fs.FileInfo) bool {
	return s.file != nil && watch.Same(s.file, info) && !watch.Fresh(info)
}

// failsAgain reports whether a plugin that was refused would be again: neither the policy nor
// its file has changed.
func (s *pluginRuntime) failsAgain(p *policy.Policy, pin *policy.Plugin) bool {
	info, err := os.Stat(s.path)
	return err == nil && s.matchesPolicy(p, pin) && s.fileUnchanged(info)
}

// is reports whether a plugin is what a policy asks for and what lies in its file.
func (s *pluginRuntime) upToDate(p *policy.Policy, pin *policy.Plugin) bool {
	if !s.matchesPolicy(p, pin) {
		return false
	}
	info, err := os.Stat(s.path)
	if err != nil || s.fileUnchanged(info) {
		return true // what runs is a copy
	}
	if pin.SHA256 == "" {
		return s.file != nil && watch.Same(s.file, info)
	}
	sum, err := binary.Sum(s.path)
	if err == nil && sum == pin.SHA256 {
		s.file = info
		return true
	}
	return false
}

// PluginConfinement is how the operating system confines a plugin of a tenant: as the
// tenant's workers, but for what its block says that it needs.
func PluginConfinement(t *policy.TenantSettings, pin *policy.Plugin) confine.Program {
	return confine.Program{Spec: Confinement(t), Runtime: pin.Runtime, Files: pin.Files, TmpBytes: pin.TmpBytes, Fork: pin.Fork}
}

// checkPlugins refuses what can be told beforehand not to be possible.
func checkPlugins(p *policy.Policy) []error {
	var errs []error
	for i := range p.Pins {
		pin := &p.Pins[i]
		settings := p.Tenant(pin.ID.Tenant())
		program := PluginConfinement(&settings, pin)
		program.Spec = confine.Spec{} // its tenant's, checked there
		if err := program.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("%s: plugin %q: %w", pin.Where, pin.ID, err))
		}
	}
	return errs
}

// pluginSockets is the folder of the sockets between this host and plugins: one of its
// process's own, since another host may still be at work, or already.
func (h *Host) pluginSockets() string {
	return filepath.Join(h.cfg.Policy.State, "plugins", strconv.Itoa(os.Getpid()))
}

// makePluginSockets makes the folder of sockets, which nobody else may enter, and removes
// what others have left: all but the predecessor's, 0 if there is none.
func (h *Host) makePluginSockets(predecessor int) error {
	own := h.pluginSockets()
	if err := clearFolder(filepath.Dir(own), strconv.Itoa(predecessor)); err != nil {
		return fmt.Errorf("clearing the folder of plugins' sockets: %w", err)
	}
	if err := os.MkdirAll(own, 0o700); err != nil {
		return fmt.Errorf("making the folder of plugins' sockets: %w", err)
	}
	return nil
}

// clearFolder removes what is in a folder, but for one entry.
func clearFolder(dir, keep string) error {
	all, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range all {
		if e.Name() != keep {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// endPluginSockets removes what is left of the folder.
func (h *Host) removePluginSockets() {
	_ = os.RemoveAll(h.pluginSockets()) // the next host would
}
