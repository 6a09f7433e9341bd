package safewalk_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hearthhost/hearth/internal/safewalk"
)

// walk walks a folder and returns the visited and the unreadable paths.
func walk(t *testing.T, dir string, max int) (visited, failed []string, err error) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	err = safewalk.Walk(root, max, nil, func(rel string, _ fs.DirEntry) (bool, error) {
		visited = append(visited, rel)
		return filepath.Base(rel) != "skipped", nil
	}, func(rel string, err error) { failed = append(failed, rel+": "+err.Error()) })
	return visited, failed, err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWalk(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	for _, name := range []string{"b/c", "skipped/d"} {
		must(t, os.MkdirAll(filepath.Join(dir, name), 0o755))
	}
	must(t, os.WriteFile(filepath.Join(outside, "secret"), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "b", "f"), nil, 0o600))
	must(t, os.Symlink(outside, filepath.Join(dir, "a")))
	visited, failed, err := walk(t, dir, 5)
	want := []string{"a", "b", "skipped", "b/c", "b/f"}
	if !slices.Equal(visited, want) || len(failed) > 0 || err != nil {
		t.Errorf("visited %v, failed %v, %v; want %v", visited, failed, err, want)
	}
	if visited, _, err := walk(t, dir, 4); len(visited) != 4 || !errors.Is(err, safewalk.ErrMany) {
		t.Errorf("at most 4: visited %v, %v", visited, err)
	}
	deep := filepath.Join(dir, strings.Repeat("x/", safewalk.MaxDepth))
	must(t, os.MkdirAll(filepath.Join(deep, "y"), 0o755))
	_, failed, err = walk(t, dir, 1000)
	if len(failed) != 1 || !strings.Contains(failed[0], "nested folders") || err != nil {
		t.Errorf("a deep one: failed %v, %v", failed, err)
	}
}

// TestFolderBecomesLink replaces a folder by a link out of the root during the walk: no name outside is visited.
func TestFolderBecomesLink(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "secret"), nil, 0o600))
	folder, link, swap := filepath.Join(dir, "swapped"), filepath.Join(dir, "link"), filepath.Join(dir, "aside")
	must(t, os.Mkdir(folder, 0o755))
	must(t, os.WriteFile(filepath.Join(folder, "own"), nil, 0o600))
	must(t, os.Symlink(outside, link))
	var over atomic.Bool
	done := make(chan error, 1)
	go func() { // ends with over, and is waited for
		for !over.Load() {
			for _, step := range [][2]string{{folder, swap}, {link, folder}, {folder, link}, {swap, folder}} {
				if err := os.Rename(step[0], step[1]); err != nil {
					done <- fmt.Errorf("swapping: %w", err)
					return
				}
			}
		}
		done <- nil
	}()
	for range 3000 {
		visited, _, err := walk(t, dir, 100)
		if err != nil || slices.ContainsFunc(visited, func(p string) bool { return strings.HasSuffix(p, "secret") }) {
			t.Errorf("visited %v, %v: a file outside the root was visited", visited, err)
			break
		}
	}
	over.Store(true)
	must(t, <-done)
}
