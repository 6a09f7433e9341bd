package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/supervise"
)

// catalog is what the scripts folder holds: <tenant>/<name>.lua are objects,
// <tenant>/<folder>/<name>.lua too, <tenant>/lib/ are modules for require.
// It is immutable.
type catalog struct {
	tenants  map[object.Tenant]*tenantFiles
	ids      []object.ID                  // sorted
	plugins  map[object.ID]*policy.Plugin // by the objects that they serve
	problems []problem                    // what lies there and is not served
}

// tenantFiles is the folder of one tenant.
type tenantFiles struct {
	objects map[object.ID]supervise.Script
	libs    map[string]supervise.Script
}

// problem is a file that is not served, and why.
type problem struct {
	path string
	err  error
}

// maxSourceBytes bounds what is read of one file; the engine's own bound is lower and
// says so with the object's name.
const maxSourceBytes = 1 << 20

// readCatalog reads the scripts folder of a policy. A missing folder is an error, a bad
// file only a problem.
func readCatalog(p *policy.Policy) (*catalog, error) {
	entries, err := os.ReadDir(p.Scripts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the scripts folder %s does not exist; make it, or name another with scripts = \"…\" in the policy", p.Scripts)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the scripts folder: %w", err)
	}
	c := &catalog{tenants: map[object.Tenant]*tenantFiles{}, plugins: map[object.ID]*policy.Plugin{}}
	for _, e := range entries {
		name := e.Name()
		path := filepath.Join(p.Scripts, name)
		switch {
		case !e.IsDir() || strings.HasPrefix(name, "."):
			continue
		case !object.ValidName(name) || name == "Pyro":
			c.problem(path, errors.New("not a tenant's name: letters, digits, '_' and '-', and not Pyro"))
		case !p.Serves(object.Tenant(name)):
			c.problem(path, fmt.Errorf("the policy has no tenant %q { }", name))
		default:
			c.readTenant(path, object.Tenant(name))
		}
	}
	c.readPlugins(p)
	slices.Sort(c.ids)
	return c, nil
}

func (c *catalog) problem(path string, err error) {
	c.problems = append(c.problems, problem{path, err})
}

// readTenant reads one tenant's folder.
func (c *catalog) readTenant(root string, tenant object.Tenant) {
	t := &tenantFiles{objects: map[object.ID]supervise.Script{}, libs: map[string]supervise.Script{}}
	c.tenants[tenant] = t
	folder, err := os.OpenRoot(root)
	if err != nil {
		c.problem(root, err)
		return
	}
	defer folder.Close()
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			c.problem(path, err)
			return nil
		}
		if e.IsDir() || !strings.HasSuffix(path, ".lua") || strings.HasSuffix(path, "_test.lua") {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if err := c.readScript(t, tenant, folder, filepath.ToSlash(rel)); err != nil {
			c.problem(path, err)
		}
		return nil
	})
	if err != nil {
		c.problem(root, err)
	}
}

// readScript adds one file as an object or a module.
func (c *catalog) readScript(t *tenantFiles, tenant object.Tenant, folder *os.Root, rel string) error {
	name := strings.ReplaceAll(strings.TrimSuffix(rel, ".lua"), "/", ".")
	if strings.Count(name, ".") != strings.Count(rel, "/") {
		return errors.New("a dot in a file or folder name: an object's name has letters, digits, '_' and '-'")
	}
	id, err := object.ParseID(string(tenant) + "." + name)
	if err != nil {
		return err
	}
	src, err := readFile(folder, rel)
	if err != nil {
		return err
	}
	s := supervise.Script{File: string(tenant) + "/" + rel, Source: src}
	if lib, ok := strings.CutPrefix(name, "lib."); ok {
		t.libs[lib] = s
		return nil
	}
	t.objects[id] = s
	c.ids = append(c.ids, id)
	return nil
}

// readFile reads a regular file of bounded size: not a pipe that never ends, and not a
// link that leads out of the tenant's folder to somebody else's file.
func readFile(root *os.Root, rel string) ([]byte, error) {
	f, err := root.OpenFile(rel, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	src, err := io.ReadAll(io.LimitReader(f, maxSourceBytes+1))
	if err != nil {
		return nil, err
	}
	if len(src) > maxSourceBytes {
		return nil, fmt.Errorf("larger than %d bytes", maxSourceBytes)
	}
	return src, nil
}

// has reports whether the catalogue holds an object.
func (c *catalog) has(id object.ID) bool {
	if c.plugins[id] != nil {
		return true
	}
	t := c.tenants[id.Tenant()]
	if t == nil {
		return false
	}
	_, ok := t.objects[id]
	return ok
}

// ObjectIDs returns the ids of the objects that a host would serve under a policy, sorted.
// A missing scripts folder is an error, as it is for the host.
func ObjectIDs(p *policy.Policy) ([]object.ID, error) {
	c, err := readCatalog(p)
	if err != nil {
		return nil, err
	}
	return c.ids, nil
}
