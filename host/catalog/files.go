// Package catalog reads the scripts and plugins folders: objects, modules, tests and problems of their files.
package catalog

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
	"github.com/hearthhost/hearth/sandbox/script"
)

// Files is the content of the scripts and plugins folders. <tenant>/<name>.lua and
// <tenant>/<folder>/<name>.lua are objects. Files in <tenant>/lib/ are modules for require
// instead. It is immutable.
type Files struct {
	Tenants  map[object.Tenant]*TenantFiles
	Plugins  map[object.ID]*policy.Plugin // by the objects that they serve
	Problems []fault.Fault                // entries that cannot be served
}

// TenantFiles is the folder of one tenant.
type TenantFiles struct {
	Objects  map[object.ID]Script
	Libs     map[string]Script    // by module name
	Tests    map[object.ID]Script // by the tested object
	Problems []fault.Fault
}

// Modules returns the tenant's modules by name.
func (t *TenantFiles) Modules() map[string]script.Script {
	out := make(map[string]script.Script, len(t.Libs))
	for name, lib := range t.Libs {
		out[name] = lib.Script
	}
	return out
}

// Script is one file, as it was read.
type Script struct {
	script.Script
	read fs.FileInfo
}

// RecentlyWritten reports whether the file was written within [SettleDelay] of its reading.
func (s Script) RecentlyWritten() bool { return RecentlyWritten(s.read) }

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

// Reader reads the scripts folders, and afterwards only their changed files. The zero
// value is ready. It is not safe for concurrent use.
type Reader struct {
	Last *Files // nil: nothing was read
	seen map[object.Tenant]map[string]Script

	unpinned map[string]unpinned
}

// Read reads the policy's folders: those of the tenants in which and those not read yet, or
// all if which is nil. A missing scripts folder is an error; a bad file is only a problem.
func (r *Reader) Read(p *policy.Policy, which map[object.Tenant]bool) (*Files, error) {
	entries, err := os.ReadDir(p.Scripts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the scripts folder %s does not exist; make it, "+
			"or name another with scripts = \"…\" in the policy", p.Scripts)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the scripts folder: %w", err)
	}
	f := &Files{Tenants: map[object.Tenant]*TenantFiles{}, Plugins: map[object.ID]*policy.Plugin{}}
	seen := map[object.Tenant]map[string]Script{}
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
		case which != nil && !which[name] && r.Last != nil && r.Last.Tenants[name] != nil:
			f.Tenants[name], seen[name] = r.Last.Tenants[name], r.seen[name]
		default:
			f.Tenants[name], seen[name] = readTenant(path, name, r.seen[name])
		}
	}
	r.readPlugins(f, p)
	r.Last, r.seen = f, seen
	return f, nil
}

func (f *Files) problem(path string, err error) {
	f.Problems = append(f.Problems, fault.Fault{Path: path, Err: err, Warning: errors.Is(err, errNoTenant)})
}

// Filter returns the files that the new policy still serves, of those that were read under the old one. It returns nil
// if the new policy has other folders.
func (f *Files) Filter(now, before *policy.Policy) *Files {
	if f == nil || now.Scripts != before.Scripts || now.Plugins != before.Plugins {
		return nil
	}
	out := &Files{
		Tenants:  map[object.Tenant]*TenantFiles{},
		Plugins:  map[object.ID]*policy.Plugin{},
		Problems: f.Problems,
	}
	for name, t := range f.Tenants {
		if now.Serves(name) {
			out.Tenants[name] = t
		}
	}
	read := map[object.ID]bool{}
	for _, pin := range f.Plugins {
		read[pin.ID] = true
	}
	for i := range now.Pins {
		pin := &now.Pins[i]
		for _, id := range pin.Objects {
			if read[pin.ID] {
				out.Plugins[id] = pin
			}
		}
	}
	return out
}

// Has reports whether a file or plugin for the object exists.
func (f *Files) Has(id object.ID) bool {
	if f.Plugins[id] != nil {
		return true
	}
	t := f.Tenants[id.Tenant()]
	if t == nil {
		return false
	}
	_, ok := t.Objects[id]
	return ok
}

// ObjectIDs returns the ids of the objects that a host would serve under a policy, sorted. An object whose source has
// the setting of a keyed object has [object.AnyKey].
// A missing scripts folder is an error, as it is for the host.
func ObjectIDs(p *policy.Policy) ([]object.ID, error) {
	f, err := new(Reader).Read(p, nil)
	if err != nil {
		return nil, err
	}
	ids := slices.Collect(maps.Keys(f.Plugins))
	for _, t := range f.Tenants {
		for id, s := range t.Objects {
			if s.LooksKeyed() {
				id = id.WithKey(object.AnyKey)
			}
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}
