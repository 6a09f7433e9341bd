package watch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hearthhost/hearth/internal/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestFolders: changes below a folder are reported, also in folders that are created later.
func TestFolders(t *testing.T) {
	dir := t.TempDir()
	f, err := watch.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := f.Cover(dir, filepath.Join(dir, "missing")); err != nil {
		t.Fatal(err)
	}
	awaitChange := func(path string) {
		t.Helper()
		late := time.After(time.Minute)
		for {
			select {
			case <-f.Changed():
				if paths, all := f.Take(); all || slices.Contains(paths, path) {
					return
				}
			case <-late:
				t.Fatalf("no change of %s was reported", path)
			}
		}
	}
	write := func(path string) {
		t.Helper()
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := filepath.Join(dir, "a")
	write(a)
	awaitChange(a)
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	awaitChange(sub) // and watched from now on
	b := filepath.Join(sub, "b")
	write(b)
	awaitChange(b)
	if err := os.Rename(b, a); err != nil {
		t.Fatal(err)
	}
	awaitChange(a)
	if err := os.RemoveAll(sub); err != nil {
		t.Fatal(err)
	}
	awaitChange(sub)
	// A new folder of the same name is watched like any other.
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	awaitChange(sub)
	write(b)
	awaitChange(b)
}

// TestTooManyFolders: folders above the limit of one tenant are not watched, and those of the next tenant are.
func TestTooManyFolders(t *testing.T) {
	dir := t.TempDir()
	for n := range 1100 {
		if err := os.MkdirAll(filepath.Join(dir, "acme", fmt.Sprint(n)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	last := filepath.Join(dir, "zeta", "lib")
	if err := os.MkdirAll(last, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := watch.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	err = f.Cover(dir)
	if err == nil || !strings.Contains(err.Error(), "more than 1024 in "+filepath.Join(dir, "acme")) {
		t.Errorf("Cover() = %v, want the tenant with too many folders", err)
	}
	path := filepath.Join(last, "b")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case <-f.Changed():
		if paths, all := f.Take(); all || !slices.Contains(paths, path) {
			t.Errorf("Take() = %v, want %s", paths, path)
		}
	case <-time.After(time.Minute):
		t.Error("no change of the other tenant's file was reported")
	}
}
