package host

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/supervise"
)

// files is the content of the scripts and plugins folders. <tenant>/<name>.lua and
// <tenant>/<folder>/<name>.lua are objects. Files in <tenant>/lib/ are modules for require
// instead. It is immutable.
type files struct {
	tenants  map[object.Tenant]*tenantFiles
	plugins  map[object.ID]*policy.Plugin // by the objects that they serve
	problems []fault.Fault                // entries that cannot be served
}

// tenantFiles is the folder of one tenant.
type tenantFiles struct {
	objects  map[object.ID]script
	libs     map[string]script    // by module name
	tests    map[object.ID]script // by the tested object
	problems []fault.Fault
}

// modules returns the tenant's modules by name.
func (t *tenantFiles) modules() map[string]supervise.Script {
	out := make(map[string]supervise.Script, len(t.libs))
	for name, lib := range t.libs {
		out[name] = lib.Script
	}
	return out
}

// script is one file, as it was read.
type script struct {
	supervise.Script
	read fs.FileInfo
}

func (s script) recentlyWritten() bool { return recentlyWritten(s.read) }

// errNoTenant means that a folder belongs to no tenant of the policy. That is only a note:
// another host may serve it, or its tenant is not declared yet.
var errNoTenant = errors.New("the policy has no tenant")

// Bounds on the reading of a tenant's folder, since the tenant may write there. The engine
// has a lower bound for a script, and its error names the object.
const (
	maxSourceBytes = 1 << 20  // of one file
	maxLibBytes    = 8 << 20  // of the modules together; every version of an object holds them
	maxTenantBytes = 64 << 20 // of all files together
	maxEntries     = 20_000   // files and folders of any kind
	maxProblems    = 100      // reported for a tenant
)

// folderReader reads the scripts folders, and afterwards only their changed files. The zero
// value is ready. It is not safe for concurrent use.
type folderReader struct {
	last *files // nil: nothing was read
	seen map[object.Tenant]map[string]script

	unpinned map[string]unpinned
}

// read reads the policy's folders: those of the tenants in which and those not read yet, or
// all if which is nil. A missing scripts folder is an error; a bad file is only a problem.
func (r *folderReader) read(p *policy.Policy, which map[object.Tenant]bool) (*files, error) {
	entries, err := os.ReadDir(p.Scripts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the scripts folder %s does not exist; make it, "+
			"or name another with scripts = \"…\" in the policy", p.Scripts)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the scripts folder: %w", err)
	}
	f := &files{tenants: map[object.Tenant]*tenantFiles{}, plugins: map[object.ID]*policy.Plugin{}}
	seen := map[object.Tenant]map[string]script{}
	for _, e := range entries {
		name := object.Tenant(e.Name())
		path := filepath.Join(p.Scripts, e.Name())
		switch {
		case !e.IsDir() || strings.HasPrefix(e.Name(), "."):
			continue
		case !object.ValidName(e.Name()) || name == "Pyro":
			f.problem(path, errors.New("not a tenant's name: letters, digits, '_' and '-', and not Pyro"))
		case !p.Serves(name):
			f.problem(path, fmt.Errorf("%w %q { }", errNoTenant, name))
		case which != nil && !which[name] && r.last != nil && r.last.tenants[name] != nil:
			f.tenants[name], seen[name] = r.last.tenants[name], r.seen[name]
		default:
			f.tenants[name], seen[name] = readTenant(path, name, r.seen[name])
		}
	}
	r.readPlugins(f, p)
	r.last, r.seen = f, seen
	return f, nil
}

func (f *files) problem(path string, err error) {
	f.problems = append(f.problems, fault.Fault{Path: path, Err: err, Warning: errors.Is(err, errNoTenant)})
}

// filter returns the files that the new policy still serves, of those that were read under the old one. It returns nil
// if the new policy has other folders.
func (f *files) filter(now, before *policy.Policy) *files {
	if f == nil || now.Scripts != before.Scripts || now.Plugins != before.Plugins {
		return nil
	}
	out := &files{
		tenants:  map[object.Tenant]*tenantFiles{},
		plugins:  map[object.ID]*policy.Plugin{},
		problems: f.problems,
	}
	for name, t := range f.tenants {
		if now.Serves(name) {
			out.tenants[name] = t
		}
	}
	read := map[object.ID]bool{}
	for _, pin := range f.plugins {
		read[pin.ID] = true
	}
	for i := range now.Pins {
		pin := &now.Pins[i]
		for _, id := range pin.Objects {
			if read[pin.ID] {
				out.plugins[id] = pin
			}
		}
	}
	return out
}

// has reports whether a file or plugin for the object exists.
func (f *files) has(id object.ID) bool {
	if f.plugins[id] != nil {
		return true
	}
	t := f.tenants[id.Tenant()]
	if t == nil {
		return false
	}
	_, ok := t.objects[id]
	return ok
}

// ObjectIDs returns the ids of the objects that a host would serve under a policy, sorted.
// A missing scripts folder is an error, as it is for the host.
func ObjectIDs(p *policy.Policy) ([]object.ID, error) {
	f, err := new(folderReader).read(p, nil)
	if err != nil {
		return nil, err
	}
	ids := slices.Collect(maps.Keys(f.plugins))
	for _, t := range f.tenants {
		ids = slices.AppendSeq(ids, maps.Keys(t.objects))
	}
	slices.Sort(ids)
	return ids, nil
}
