package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/supervise"
)

// files is what the folders of scripts and plugins hold: <tenant>/<name>.lua are objects,
// <tenant>/<folder>/<name>.lua too, <tenant>/lib/ are modules for require. It is immutable.
type files struct {
	tenants  map[object.Tenant]*tenantFiles
	plugins  map[object.ID]*policy.Plugin // by the objects that they serve
	problems []problem                    // what lies there and is not served
}

// tenantFiles is the folder of one tenant.
type tenantFiles struct {
	objects  map[object.ID]script
	libs     map[string]script    // by module name
	tests    map[object.ID]script // by the object that they are of
	problems []problem
}

// script is one file, as it was read.
type script struct {
	supervise.Script
	read fs.FileInfo
}

// young reports whether a file was written just now, and perhaps not to its end.
func (s script) young() bool { return time.Since(s.read.ModTime()) < settleTime }

// problem is a file that is not served, and why.
type problem struct {
	path string
	err  error
}

// Bounds on what is read of a tenant's folder, which may be the tenant's to write to. The
// engine's own bound of a script is lower and says so with the object's name.
const (
	maxSourceBytes = 1 << 20  // of one file
	maxLibBytes    = 8 << 20  // of the modules together, which every version of an object keeps
	maxTenantBytes = 64 << 20 // of all files together
	maxEntries     = 20_000   // files and folders, of whatever kind
)

// reader reads the folders of scripts, and only what has changed of them. Its zero value
// has read nothing. It is not for concurrent use.
type reader struct {
	last *files // nil: nothing was read
	seen map[object.Tenant]map[string]script

	unpinned map[string]unpinned
}

// read reads the folders that a policy names: those of some tenants, and what it has not
// read yet, or of all if which is nil. A missing folder of scripts is an error, a bad file
// only a problem.
func (r *reader) read(p *policy.Policy, which map[object.Tenant]bool) (*files, error) {
	entries, err := os.ReadDir(p.Scripts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the scripts folder %s does not exist; make it, or name another with scripts = \"…\" in the policy", p.Scripts)
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
			f.problem(path, fmt.Errorf("the policy has no tenant %q { }", name))
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
	f.problems = append(f.problems, problem{path, err})
}

// has reports whether there is a file that serves an object.
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

// readTenant reads one tenant's folder, but for the files that are as they were before. It
// returns what there is, and all files by their paths.
func readTenant(root string, tenant object.Tenant, before map[string]script) (*tenantFiles, map[string]script) {
	t := &tenantFiles{objects: map[object.ID]script{}, libs: map[string]script{}, tests: map[object.ID]script{}}
	seen := make(map[string]script, len(before))
	folder, err := os.OpenRoot(root)
	if err != nil {
		t.problem(root, err)
		return t, seen
	}
	defer folder.Close()
	libBytes, total, entries := 0, 0, 0
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if entries++; entries > maxEntries {
			t.problem(root, fmt.Errorf("the folder holds more than %d files and folders: the rest is not looked at", maxEntries))
			return fs.SkipAll
		}
		hidden := path != root && strings.HasPrefix(e.Name(), ".") // an editor's, or the inside of a mounted volume
		switch {
		case err != nil:
			t.problem(path, err)
			return nil
		case e.IsDir() && hidden:
			return fs.SkipDir
		case e.IsDir() || hidden || !strings.HasSuffix(path, ".lua"):
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		s, err := readScript(folder, rel, before[path])
		if err != nil {
			t.problem(path, err)
			return nil
		}
		if total += len(s.Source); total > maxTenantBytes {
			t.problem(root, fmt.Errorf("the scripts have more than %d bytes together: the rest is not looked at", maxTenantBytes))
			return fs.SkipAll
		}
		s.File = string(tenant) + "/" + rel
		of, isTest := strings.CutSuffix(rel, "_test.lua")
		if isTest {
			rel = of + ".lua"
		}
		id, lib, err := named(tenant, rel)
		switch {
		case err != nil:
			t.problem(path, err)
			return nil
		case isTest:
			t.tests[id] = s
		case lib == "":
			t.objects[id] = s
		case libBytes+len(s.Source) > maxLibBytes:
			t.problem(path, fmt.Errorf("the modules of tenant %s have more than %d bytes together", tenant, maxLibBytes))
			return nil
		default:
			libBytes += len(s.Source)
			t.libs[lib] = s
		}
		seen[path] = s
		return nil
	})
	if err != nil {
		t.problem(root, err)
	}
	return t, seen
}

func (t *tenantFiles) problem(path string, err error) {
	t.problems = append(t.problems, problem{path, err})
}

// named says what a file of a tenant's folder is: an object, or a module.
func named(tenant object.Tenant, rel string) (id object.ID, lib string, err error) {
	name := strings.ReplaceAll(strings.TrimSuffix(rel, ".lua"), "/", ".")
	if strings.Count(name, ".") != strings.Count(rel, "/") {
		return "", "", errors.New("a dot in a file or folder name: an object's name has letters, digits, '_' and '-'")
	}
	if id, err = object.ParseID(string(tenant) + "." + name); err != nil {
		return "", "", err
	}
	lib, _ = strings.CutPrefix(name, "lib.")
	if lib == name {
		lib = ""
	}
	return id, lib, nil
}

// readScript reads a regular file of bounded size: not a pipe that never ends, and not a
// link that leads out of the tenant's folder to somebody else's file. One that is as it was
// before is not read again.
func readScript(root *os.Root, rel string, before script) (script, error) {
	f, err := root.OpenFile(rel, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return script{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return script{}, err
	}
	if !info.Mode().IsRegular() {
		return script{}, errors.New("not a regular file")
	}
	if before.read != nil && same(before.read, info) && !fresh(info) {
		return before, nil
	}
	src, err := io.ReadAll(io.LimitReader(f, maxSourceBytes+1))
	if err != nil {
		return script{}, err
	}
	if len(src) > maxSourceBytes {
		return script{}, fmt.Errorf("larger than %d bytes", maxSourceBytes)
	}
	if bytes.Equal(src, before.Source) {
		src = before.Source // one copy of it is enough
	}
	return script{Script: supervise.Script{Source: src}, read: info}, nil
}

// fresh reports whether a file may have been written in the same tick of the clock as
// another version of it, so that its time proves nothing. One from the future always may.
func fresh(info fs.FileInfo) bool { return time.Since(info.ModTime()) < settled }

// ObjectIDs returns the ids of the objects that a host would serve under a policy, sorted.
// A missing scripts folder is an error, as it is for the host.
func ObjectIDs(p *policy.Policy) ([]object.ID, error) {
	f, err := new(reader).read(p, nil)
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
