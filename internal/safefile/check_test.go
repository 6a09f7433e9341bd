package safefile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/internal/safefile"
)

// TestKeyInWritableFolder: where every user can rename files, bob's key could replace alice's, and bob would
// authenticate as alice.
func TestKeyInWritableFolder(t *testing.T) {
	above := filepath.Join(t.TempDir(), "above")
	dir := filepath.Join(above, "keys")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "alice.key")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, open := range []string{dir, above} {
		modes := map[fs.FileMode]bool{0o777: false, 0o777 | fs.ModeSticky: true, 0o775: true, 0o755: true}
		for mode, ok := range modes {
			if err := os.Chmod(open, mode); err != nil {
				t.Fatal(err)
			}
			_, err := safefile.Read(path, 9)
			if ok != (err == nil) || !ok && !strings.Contains(err.Error(), "chmod o-w "+open) {
				t.Errorf("%s of mode %v: %v", open, mode, err)
			}
		}
		if err := os.Chmod(open, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLinkOfAnotherUser: another user creates a link to the host's folder in a world-writable folder. After the
// host has started, that user could lead clients to another socket.
func TestLinkOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make a link of another user")
	}
	const nobody = 65534
	all, own := t.TempDir(), t.TempDir()
	if err := os.Chmod(all, 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	link, over := filepath.Join(all, "state"), filepath.Join(own, "over")
	relative := filepath.Join("..", filepath.Base(filepath.Dir(link)), "state")
	for name, to := range map[string]string{link: own, over: relative} {
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
	}
	if filepath.Dir(all) != filepath.Dir(own) {
		t.Fatalf("%s and %s are not beside each other", all, own)
	}
	if err := safefile.CheckPath(filepath.Join(over, "hearth.sock")); err != nil {
		t.Errorf("through links of this user: %v", err)
	}
	if err := os.Lchown(link, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{link, over} {
		err := safefile.CheckPath(filepath.Join(dir, "hearth.sock"))
		if err == nil || !strings.Contains(err.Error(), link) {
			t.Errorf("CheckPath() in %s = %v, want it to name %s", dir, err, link)
		}
	}
	if err := safefile.CheckPath(filepath.Join(own, "hearth.sock")); err != nil {
		t.Errorf("by its own name: %v", err)
	}
	if err := os.Chown(own, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if err := safefile.CheckPath(filepath.Join(own, "hearth.sock")); err == nil {
		t.Error("in a folder of another user: no error")
	}
}

// TestCheckFile: CheckFile rejects a file, or a folder of a file, that another user owns or every user can write.
func TestCheckFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "policy.hcl")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	check := func() error {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return safefile.CheckFile(path, info)
	}
	if err := check(); err != nil {
		t.Errorf("CheckFile() of an own file = %v", err)
	}
	for _, name := range []string{path, dir} {
		before, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, 0o777); err != nil {
			t.Fatal(err)
		}
		want := name + " is world-writable (mode 0777); run chmod o-w " + name
		if err := check(); err == nil || err.Error() != want {
			t.Errorf("CheckFile() = %v, want %s", err, want)
		}
		if err := os.Chmod(name, before.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("only root can create a file of another user")
	}
	for _, name := range []string{path, dir} {
		if err := os.Chown(name, 65534, -1); err != nil {
			t.Fatal(err)
		}
		err := check()
		if err == nil || !strings.Contains(err.Error(), "belongs to uid 65534") ||
			!strings.Contains(err.Error(), "run chown 0 "+name) {
			t.Errorf("CheckFile() of uid 65534's %s = %v, want the owner and the chown", name, err)
		}
		if err := os.Chown(name, 0, -1); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCheckFolder: CheckFolder rejects a world-writable folder with the sticky bit, in which other users can add
// files but not replace them.
func TestCheckFolder(t *testing.T) {
	dir := t.TempDir()
	for mode, ok := range map[fs.FileMode]bool{0o755: true, 0o775: true, 0o777: false, 0o777 | fs.ModeSticky: false} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if err := safefile.CheckFolder(dir); ok != (err == nil) {
			t.Errorf("CheckFolder() of mode %v = %v", mode, err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := safefile.CheckFolder(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("CheckFolder() of a missing folder = %v, want fs.ErrNotExist", err)
	}
}
