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

// TestFolders: what happens below a folder is told, in folders that are made later too.
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
	told := func(path string) {
		t.Helper()
		late := time.After(time.Minute)
		for {
			select {
			case <-f.Changed():
				if paths, all := f.Take(); all || slices.Contains(paths, path) {
					return
				}
			case <-late:
				t.Fatalf("nobody told of %s", path)
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
	told(a)
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	told(sub) // and watched from now on
	b := filepath.Join(sub, "b")
	write(b)
	told(b)
	if err := os.Rename(b, a); err != nil {
		t.Fatal(err)
	}
	told(a)
	if err := os.RemoveAll(sub); err != nil {
		t.Fatal(err)
	}
	told(sub)
	// It comes back, and nothing is known of what was there.
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	told(sub)
	write(b)
	told(b)
}

// TestOneWhoMakesFolders: what one makes of them beyond measure is not watched, and what lies
// after it is.
func TestOneWhoMakesFolders(t *testing.T) {
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
	if err := f.Cover(dir); err == nil || !strings.Contains(err.Error(), "more than 1024 in "+filepath.Join(dir, "acme")) {
		t.Errorf("Cover() = %v, want it to say whose folders are too many", err)
	}
	path := filepath.Join(last, "b")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case <-f.Changed():
		if paths, all := f.Take(); all || !slices.Contains(paths, path) {
			t.Errorf("told of %v, want %s", paths, path)
		}
	case <-time.After(time.Minute):
		t.Error("nobody told of the neighbour's file")
	}
}
