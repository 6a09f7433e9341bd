package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/internal/safefile"
	"github.com/hearthhost/hearth/internal/safewalk"
	"github.com/hearthhost/hearth/internal/watch"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/script"
)

// readTenant reads the changed files of a tenant's folder. It returns the content of the
// folder, and all files by path in it. An unreadable file keeps its content of before.
func readTenant(root string, tenant object.Tenant, before map[string]Script) (*TenantFiles, map[string]Script) {
	r := tenantReader{root: root, tenant: tenant, before: before, seen: make(map[string]Script, len(before)),
		found: &TenantFiles{Objects: map[object.ID]Script{}, Libs: map[string]Script{}, Tests: map[object.ID]Script{}}}
	folder, err := os.OpenRoot(root)
	switch {
	case err == nil:
		defer folder.Close()
		r.walk(folder)
	case !errors.Is(err, fs.ErrNotExist):
		r.keepOld(".", err)
	}
	return r.found, r.seen
}

// tenantReader reads one tenant's folder, once.
type tenantReader struct {
	root   string
	tenant object.Tenant
	before map[string]Script // by path in the folder, with slashes

	found    *TenantFiles
	seen     map[string]Script // by the same paths
	total    int               // bytes of all scripts
	libBytes int               // of modules
}

func (r *tenantReader) walk(folder *os.Root) {
	err := safewalk.Walk(folder, maxEntries, func(rel string, info fs.FileInfo) error {
		return safefile.CheckMode(r.path(rel), info)
	}, func(rel string, e fs.DirEntry) (enter bool, err error) {
		switch {
		case strings.HasPrefix(e.Name(), "."): // an editor's file, or internals of a mounted volume
			return false, nil
		case e.IsDir():
			return true, nil
		case strings.HasSuffix(rel, ".lua"):
			return false, r.file(folder, rel)
		}
		return false, nil
	}, r.keepOld)
	switch {
	case errors.Is(err, safewalk.ErrMany):
		r.keepOld(".", fmt.Errorf("the folder has more than %d files and folders: the rest is ignored", maxEntries))
	case err != nil:
		r.keepOld(".", err)
	}
}

// path returns the absolute path of a path in the folder.
func (r *tenantReader) path(rel string) string { return filepath.Join(r.root, filepath.FromSlash(rel)) }

// file reads one file. It returns an error if the scripts exceed maxTenantBytes, which ends the walk.
func (r *tenantReader) file(folder *os.Root, rel string) error {
	s, err := r.read(folder, rel)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.problem(rel, err) // removed since the listing, or a broken link
	case err != nil:
		r.keepOld(rel, err)
	case r.total+len(s.Source) > maxTenantBytes:
		return fmt.Errorf("the scripts have more than %d bytes together: the rest is ignored", maxTenantBytes)
	default:
		r.classify(rel, s)
	}
	return nil
}

func (r *tenantReader) problem(rel string, err error) {
	r.found.problem(r.path(rel), err)
}

// keepOld notes a problem at a path and keeps the files of before there and below it. "." is
// the folder itself.
func (r *tenantReader) keepOld(rel string, err error) {
	r.problem(rel, err)
	for at, s := range r.before {
		if _, read := r.seen[at]; !read && (rel == "." || at == rel || strings.HasPrefix(at, rel+"/")) {
			r.classify(at, s)
		}
	}
}

// classify adds a file as an object, a module or tests, by its path.
func (r *tenantReader) classify(rel string, s Script) {
	s.File = string(r.tenant) + "/" + rel
	r.total += len(s.Source)
	serves := rel
	of, isTest := strings.CutSuffix(rel, "_test.lua")
	if isTest {
		serves = of + ".lua"
	}
	id, lib, err := parsePath(r.tenant, serves)
	switch {
	case err != nil:
		r.problem(rel, err)
		return
	case isTest:
		r.found.Tests[id] = s
	case lib == "":
		r.found.Objects[id] = s
	case r.libBytes+len(s.Source) > maxLibBytes:
		r.problem(rel, fmt.Errorf("the modules of tenant %s have more than %d bytes together", r.tenant, maxLibBytes))
		return
	default:
		r.libBytes += len(s.Source)
		r.found.Libs[lib] = s
	}
	r.seen[rel] = s
}

// problem notes a problem of a file, up to maxProblems: a tenant can write any number of bad
// files.
func (t *TenantFiles) problem(path string, err error) {
	switch n := len(t.Problems); {
	case n < maxProblems:
		t.Problems = append(t.Problems, fault.Fault{Path: path, Err: err})
	case n == maxProblems:
		t.Problems = append(t.Problems, fault.Fault{Path: filepath.Dir(path), Err: errMoreProblems})
	}
}

// errMoreProblems replaces the problems beyond maxProblems.
var errMoreProblems = fmt.Errorf("more than %d files of this tenant cannot be served: the rest is not reported",
	maxProblems)

// parsePath returns the object id of a script's path, and the module name if it is a module.
func parsePath(tenant object.Tenant, rel string) (id object.ID, lib string, err error) {
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

// read reads a regular file of bounded size. It rejects pipes, which may never end, and
// links that lead out of the tenant's folder. It does not read an unchanged file again.
func (r *tenantReader) read(root *os.Root, rel string) (Script, error) {
	before := r.before[rel]
	f, err := root.OpenFile(rel, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Script{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Script{}, err
	}
	if !info.Mode().IsRegular() {
		return Script{}, errors.New("not a regular file")
	}
	if err := safefile.CheckMode(r.path(rel), info); err != nil {
		return Script{}, err
	}
	if before.read != nil && watch.Same(before.read, info) && !watch.Fresh(info) {
		return before, nil
	}
	src, err := io.ReadAll(io.LimitReader(f, maxSourceBytes+1))
	if err != nil {
		return Script{}, err
	}
	if len(src) > maxSourceBytes {
		return Script{}, fmt.Errorf("larger than %d bytes", maxSourceBytes)
	}
	if bytes.Equal(src, before.Source) {
		src = before.Source // share one copy
	}
	return Script{Script: script.Script{Source: src}, read: info}, nil
}
