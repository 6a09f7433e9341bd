package host_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/policy/policyfile"
)

// newError creates a host folder, calls prepare, and returns the error of host.New.
func newError(t *testing.T, policyText string, prepare func(dir string) error) error {
	t.Helper()
	_, dir := makeHost(t, everything)
	for _, name := range []string{"plugins/acme", "state"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "policy.hcl")
	if err := os.WriteFile(file, []byte("plugins = \"plugins\"\n"+policyText), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := prepare(dir); err != nil {
		t.Fatal(err)
	}
	p, err := policyfile.Load(file, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	_, err = host.New(host.Config{
		Policy: p,
		Worker: []string{os.Args[0], "worker"},
		Shim:   []string{os.Args[0], "shim"},
	})
	return err
}

// TestWritableFolders creates folders that other users can write: host.New fails, and its error has the fix.
func TestWritableFolders(t *testing.T) {
	for _, name := range []string{"scripts", "plugins", "state", "."} {
		for mode, ok := range map[fs.FileMode]bool{
			0o777:                 false,
			0o777 | fs.ModeSticky: name == ".",
			0o775:                 true,
			0o700:                 true,
		} {
			var folder string
			err := newError(t, everything, func(dir string) error {
				folder = filepath.Join(dir, name)
				return os.Chmod(folder, mode)
			})
			if ok != (err == nil) || !ok && !strings.Contains(err.Error(), "chmod o-w "+folder) {
				t.Errorf("%s of mode %v: %v", name, mode, err)
			}
		}
		if os.Geteuid() == 0 && name != "." {
			err := newError(t, everything, func(dir string) error {
				return os.Chown(filepath.Join(dir, name), 65534, 65534)
			})
			if err == nil || !strings.Contains(err.Error(), "belongs to uid 65534") {
				t.Errorf("%s of another user: %v", name, err)
			}
		}
	}
}

// TestSeparateFolders nests the host's state or audit log and its other folders. host.New requires separate folders.
func TestSeparateFolders(t *testing.T) {
	none := func(string) error { return nil }
	for text, ok := range map[string]bool{
		"":                            true,
		"state = \"scripts/state\"":   false,
		"state = \"scripts\"":         false,
		"scripts = \"state/scripts\"": false,
		"state = \"scriptsandmore\"":  true,
		"state = \"link/state\"":      false,
		"audit { file = \"scripts/acme/audit.jsonl\" }": false,
		"audit { file = \"plugins/audit.jsonl\" }":      false,
		"audit { file = \"state/deep/audit.jsonl\" }":   true,
		"audit { file = \"elsewhere/audit.jsonl\" }":    true,
		"state = \"elsewhere\"\nscripts = \"scripts/\"": true,
	} {
		prepare := none
		if strings.Contains(text, "link") {
			prepare = func(dir string) error { return os.Symlink("scripts", filepath.Join(dir, "link")) }
		} else if strings.Contains(text, "state/scripts") {
			prepare = func(dir string) error { return os.Mkdir(filepath.Join(dir, "state/scripts"), 0o755) }
		}
		err := newError(t, text+"\n"+everything, prepare)
		if ok != (err == nil) || !ok && !strings.Contains(err.Error(), "name separate folders") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestWritableWhileServing makes a folder or a file world-writable under a running host. The host keeps the old content
// and ignores new content there until the mode is corrected.
func TestWritableWhileServing(t *testing.T) {
	for _, name := range []string{"scripts", "scripts/acme", "scripts/acme/deep", "scripts/acme/deep/v.lua"} {
		t.Run(name, func(t *testing.T) {
			l := liveHost(t, everything)
			l.put("scripts/acme/deep/v.lua", version(1))
			l.reload()
			l.want("acme.deep.v", "version", int64(1))
			path := filepath.Join(l.dir, name)
			before, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			// Write the file in place: a replaced file would have a new mode.
			file := filepath.Join(l.dir, "scripts/acme/deep/v.lua")
			if err := os.WriteFile(file, []byte(version(2)), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, before.Mode()|0o002|fs.ModeSticky); err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(name, ".lua") {
				l.put("scripts/acme/deep/mallory.lua", version(666))
			}
			for range 3 {
				l.reload()
			}
			got, err := l.c.Object("acme.deep.v").Call(t.Context(), "version")
			if err != nil || got != int64(1) && got != int64(2) { // the host may have read it before the chmod
				t.Errorf("version() = %v, %v", got, err)
			}
			l.unknown("acme.deep.mallory", "version")
			if !strings.Contains(l.refusals(), "chmod o-w "+path) {
				t.Errorf("refusals:\n%s\nwant chmod o-w %s", l.refusals(), path)
			}
			if err := os.Chmod(path, before.Mode()); err != nil {
				t.Fatal(err)
			}
			l.reload()
			l.want("acme.deep.v", "version", int64(2))
			if strings.Contains(l.refusals(), "chmod") {
				t.Errorf("still refused:\n%s", l.refusals())
			}
		})
	}
}

// TestTenantFolderOwner gives a tenant's folder to another account, such as one that deploys scripts: the host serves
// its scripts.
func TestTenantFolderOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder to another user")
	}
	l := liveHost(t, everything)
	if err := os.Chown(filepath.Join(l.dir, "scripts/acme"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	l.put("scripts/acme/v.lua", version(1))
	l.reload()
	l.want("acme.v", "version", int64(1))
}
