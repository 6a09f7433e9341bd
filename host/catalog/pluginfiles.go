package catalog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hearthhost/hearth/internal/watch"
	"github.com/hearthhost/hearth/plugins/binary"
	"github.com/hearthhost/hearth/policy"
)

// readPlugins adds the plugins of the policy whose files exist.
func (r *Reader) readPlugins(c *Files, p *policy.Policy) {
	pinned := map[string]bool{}
	for i := range p.Pins {
		pin := &p.Pins[i]
		path := PluginPath(p, pin)
		pinned[path] = true
		if _, err := os.Stat(path); err != nil {
			c.problem(path, fmt.Errorf("%s: %w", pin.Where, err))
			continue
		}
		clash := false
		for _, id := range pin.Objects {
			if c.Has(id) {
				c.problem(path, fmt.Errorf("%s: another script or plugin is %s already", pin.Where, id))
				clash = true
			}
		}
		if clash {
			continue
		}
		for _, id := range pin.Objects {
			c.Plugins[id] = pin
		}
	}
	r.findUnpinned(c, p, pinned)
}

// PluginPath returns the path of a plugin's executable.
func PluginPath(p *policy.Policy, pin *policy.Plugin) string {
	return filepath.Join(p.Plugins, string(pin.ID.Tenant()), pin.ID.Name())
}

// unpinned is an executable that no plugin block names.
type unpinned struct {
	file fs.FileInfo // when its checksum was computed
	why  error
}

// findUnpinned reports the executables that no plugin block names.
func (r *Reader) findUnpinned(c *Files, p *policy.Policy, pinned map[string]bool) {
	before := r.unpinned
	r.unpinned = map[string]unpinned{}
	tenants, err := os.ReadDir(p.Plugins)
	if err != nil {
		return // without the folder there are no executables to report
	}
	for _, t := range tenants {
		found, err := os.ReadDir(filepath.Join(p.Plugins, t.Name()))
		if err != nil {
			continue
		}
		for _, f := range found {
			path := filepath.Join(p.Plugins, t.Name(), f.Name())
			info, err := f.Info()
			if err != nil || !executable(info) || strings.HasPrefix(f.Name(), ".") || pinned[path] {
				continue
			}
			// A checksum reads the whole file: compute it again only if the file changed.
			u, known := before[path]
			if !known || !watch.Same(u.file, info) {
				u = unpinned{info, errors.New("no plugin block pins it")}
				if sum, err := binary.Sum(path); err == nil {
					u.why = fmt.Errorf("no plugin block pins it: add plugin %q with sha256 = %q to tenant %q",
						f.Name(), sum, t.Name())
				}
			}
			r.unpinned[path] = u
			c.problem(path, u.why)
		}
	}
}

// executable reports whether a file is regular and has an execute bit.
func executable(info fs.FileInfo) bool {
	return info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}
