package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"time"

	"github.com/hearthhost/hearth/host/catalog"
	"github.com/hearthhost/hearth/internal/watch"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins"
	"github.com/hearthhost/hearth/plugins/binary"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/confine"
)

// pluginRuntime is a plugin with the settings and the file that it was made from.
type pluginRuntime struct {
	backend     *plugins.Plugin
	pin         policy.Plugin
	path        string
	confinement confine.Program
	idle        time.Duration
	file        fs.FileInfo // nil: stat failed
}

// newPlugin returns a plugin. The first call starts its process.
func (h *Host) newPlugin(p *policy.Policy, pin *policy.Plugin) *pluginRuntime {
	path := catalog.PluginPath(p, pin)
	if pin.Unpinned {
		h.log.Warn("plugin is not pinned: every user who can write to its file controls the plugin",
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
		Shim:       h.cfg.Shim,
		Dir:        h.pluginSockets(),
		Idle:       settings.Idle,
		ObjectCall: h.dispatch.ObjectCall,
		Log:        h.log,
		Account:    &h.usage.Tenant(tenant).Processes,
		Budget:     h.shares.Tenant(tenant),
		Secret:     func(id object.ID, name string) (string, bool) { return h.snap.Load().secrets.Value(id, name) },
		Redact:     func(text string, most int) string { return h.snap.Load().secrets.Redact(tenant, text, most) },
	})
	return &pluginRuntime{
		backend:     backend,
		pin:         *pin,
		path:        path,
		confinement: confinement,
		idle:        settings.Idle,
		file:        info,
	}
}

// matchesPolicy reports whether the plugin was made from these settings. It ignores the file.
func (s *pluginRuntime) matchesPolicy(p *policy.Policy, pin *policy.Plugin) bool {
	was, now := s.pin, *pin
	was.Where, now.Where = "", ""
	settings := p.Tenant(pin.ID.Tenant())
	return s.idle == settings.Idle && reflect.DeepEqual(s.confinement, PluginConfinement(&settings, pin)) &&
		s.path == catalog.PluginPath(p, pin) && reflect.DeepEqual(was, now)
}

// fileUnchanged reports whether the file certainly has not changed since the plugin was made.
func (s *pluginRuntime) fileUnchanged(info fs.FileInfo) bool {
	return s.file != nil && watch.Same(s.file, info) && !watch.Fresh(info)
}

// failsAgain reports whether a refused plugin has the same settings and the same file as before.
func (s *pluginRuntime) failsAgain(p *policy.Policy, pin *policy.Plugin) bool {
	info, err := os.Stat(s.path)
	return err == nil && s.matchesPolicy(p, pin) && s.fileUnchanged(info)
}

// upToDate reports whether the plugin matches the policy and its file.
func (s *pluginRuntime) upToDate(p *policy.Policy, pin *policy.Plugin) bool {
	if !s.matchesPolicy(p, pin) {
		return false
	}
	info, err := os.Stat(s.path)
	if err != nil || s.fileUnchanged(info) {
		return true // the process runs a copy, so a missing file does not stop it
	}
	if pin.SHA256 == "" {
		return s.file != nil && watch.Same(s.file, info)
	}
	// The time changed but the contents may not have: compare the checksum.
	sum, err := binary.Sum(s.path)
	if err == nil && sum == pin.SHA256 {
		s.file = info
		return true
	}
	return false
}

// PluginConfinement returns the operating system's confinement of a plugin. It is that of
// the tenant's workers, with the exceptions of the plugin's block.
func PluginConfinement(t *policy.TenantSettings, pin *policy.Plugin) confine.Program {
	return confine.Program{
		Spec:     Confinement(t),
		Runtime:  pin.Runtime,
		Files:    pin.Files,
		TmpBytes: pin.TmpBytes,
		Fork:     pin.Fork,
	}
}

// checkPlugins rejects plugin blocks that no confinement can apply.
func checkPlugins(p *policy.Policy) []error {
	var errs []error
	for i := range p.Pins {
		pin := &p.Pins[i]
		settings := p.Tenant(pin.ID.Tenant())
		program := PluginConfinement(&settings, pin)
		program.Spec = confine.Spec{} // checkTenants checks the tenant's part
		if err := program.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("%s: plugin %q: %w", pin.Where, pin.ID, err))
		}
	}
	return errs
}

// pluginSockets returns the folder of the sockets between this host and its plugins. Its
// name has the process id, because two hosts run at once during an upgrade.
func (h *Host) pluginSockets() string {
	return filepath.Join(h.cfg.Policy.State, "plugins", strconv.Itoa(os.Getpid()))
}

// makePluginSockets makes the folder of sockets, with mode 0700. It removes the folders of
// ended hosts, except that of the predecessor with this process id (0: no predecessor).
func (h *Host) makePluginSockets(predecessor int) error {
	own := h.pluginSockets()
	if err := clearFolder(filepath.Dir(own), strconv.Itoa(predecessor)); err != nil {
		return fmt.Errorf("clear the folder of plugin sockets: %w", err)
	}
	if err := os.MkdirAll(own, 0o700); err != nil {
		return fmt.Errorf("make the folder of plugin sockets: %w", err)
	}
	return nil
}

// clearFolder removes all entries of a folder except keep. A missing folder is not an error.
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

// removePluginSockets removes the folder of sockets.
func (h *Host) removePluginSockets() {
	_ = os.RemoveAll(h.pluginSockets()) // after an error the next host removes it
}
