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

// newIn prepares a folder and returns the error of host.New in it.
func newIn(t *testing.T, policyText string, prepare func(dir string) error) error {
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
	_, err = host.New(host.Config{Policy: p, Worker: []string{os.Args[0], "worker"}, Shim: []string{os.Args[0], "shim"}})
	return err
}

// TestFoldersOfOthers: a host does not start if other users can write its folders, and its
// error has the fix.
func TestFoldersOfOthers(t *testing.T) {
	for _, name := range []string{"scripts", "plugins", "state", "."} {
		for mode, ok := range map[fs.FileMode]bool{0o777: false, 0o777 | fs.ModeSticky: name == ".", 0o775: true, 0o700: true} {
			var at string
			err := newIn(t, everything, func(dir string) error {
				at = filepath.Join(dir, name)
				return os.Chmod(at, mode)
			})
			if ok != (err == nil) || !ok && !strings.Contains(err.Error(), "chmod o-w "+at) {
				t.Errorf("%s of mode %v: %v", name, mode, err)
			}
		}
		if os.Geteuid() == 0 && name != "." {
			err := newIn(t, everything, func(dir string) error { return os.Chown(filepath.Join(dir, name), 65534, 65534) })
			if err == nil || !strings.Contains(err.Error(), "belongs to uid 65534") {
				t.Errorf("%s of another user: %v", name, err)
			}
		}
	}
}

// TestFoldersInEachOther: a tenant's folder and the host's state must be separate.
func TestFoldersInEachOther(t *testing.T) {
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
		err := newIn(t, text+"\n"+everything, prepare)
		if ok != (err == nil) || !ok && !strings.Contains(err.Error(), "name separate folders") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestOpenedWhileItServes makes a folder or a file world-writable while the host serves: the
// host ignores new content there and keeps the old one, until the mode is corrected.
func TestOpenedWhileItServes(t *testing.T) {
	for _, name := range []string{"scripts", "scripts/acme", "scripts/acme/deep", "scripts/acme/deep/v.lua"} {
		t.Run(name, func(t *testing.T) {
			l := liveHost(t, everything)
			l.put("scripts/acme/deep/v.lua", version(1))
			l.reload()
			l.want("acme.deep.v", "version", int64(1))
			at := filepath.Join(l.dir, name)
			before, err := os.Stat(at)
			if err != nil {
				t.Fatal(err)
			}
			// In place: a file that is renamed there has a mode of its own.
			if err := os.WriteFile(filepath.Join(l.dir, "scripts/acme/deep/v.lua"), []byte(version(2)), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(at, before.Mode()|0o002|fs.ModeSticky); err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(name, ".lua") {
				l.put("scripts/acme/deep/mallory.lua", version(666))
			}
			for range 3 {
				l.reload()
			}
			got, err := l.c.Object("acme.deep.v").Call(t.Context(), "version")
			if err != nil || got != int64(1) && got != int64(2) { // it may have been read before the chmod
				t.Errorf("version() = %v, %v", got, err)
			}
			l.unknown("acme.deep.mallory", "version")
			if !strings.Contains(l.refusals(), "chmod o-w "+at) {
				t.Errorf("refusals:\n%s\nwant chmod o-w %s", l.refusals(), at)
			}
			if err := os.Chmod(at, before.Mode()); err != nil {
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

// TestTenantsFolderOfItsOwner: an account that deploys may own a tenant's folder.
func TestTenantsFolderOfItsOwner(t *testing.T) {
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
