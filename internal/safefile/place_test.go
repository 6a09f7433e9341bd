package safefile_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/internal/safefile"
)

// TestKeysThatOthersMaySwap reads a key where everybody may rename files: bob's could be
// put in the place of alice's, and he would be she.
func TestKeysThatOthersMaySwap(t *testing.T) {
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
		for mode, ok := range map[fs.FileMode]bool{0o777: false, 0o777 | fs.ModeSticky: true, 0o775: true, 0o755: true} {
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

// TestLinkOfAnother has somebody prepare a link to the host's folder in one that is
// everybody's: it can lead clients elsewhere later, once the host has started.
func TestLinkOfAnother(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make a link of another user")
	}
	const nobody = 65534
	all, own := t.TempDir(), t.TempDir()
	if err := os.Chmod(all, 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	link, over := filepath.Join(all, "state"), filepath.Join(own, "over")
	for name, to := range map[string]string{link: own, over: filepath.Join("..", filepath.Base(filepath.Dir(link)), "state")} {
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
	}
	if filepath.Dir(all) != filepath.Dir(own) {
		t.Fatalf("%s and %s are not beside each other", all, own)
	}
	if err := safefile.Place(filepath.Join(over, "hearth.sock")); err != nil {
		t.Errorf("through own links: %v", err)
	}
	if err := os.Lchown(link, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{link, over} {
		if err := safefile.Place(filepath.Join(dir, "hearth.sock")); err == nil || !strings.Contains(err.Error(), link) {
			t.Errorf("Place() in %s = %v, want it to name %s", dir, err, link)
		}
	}
	if err := safefile.Place(filepath.Join(own, "hearth.sock")); err != nil {
		t.Errorf("by its own name: %v", err)
	}
	if err := os.Chown(own, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if err := safefile.Place(filepath.Join(own, "hearth.sock")); err == nil {
		t.Error("in somebody else's folder: no error")
	}
}
