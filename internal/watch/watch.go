// Package watch tells that something below some folders may have changed. It is a hint and
// no more: events get lost, queues overflow, and some file systems have none, so whoever
// uses it looks for himself now and then.
package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/hearthhost/hearth/internal/safewalk"
)

// A change is told when nothing more has happened for quiet, and at the latest when latest
// has passed: an editor writes one file in several steps.
const (
	quiet  = 15 * time.Millisecond
	latest = 150 * time.Millisecond
)

// Bounds on what is watched, since whoever owns a folder can make any number in it: the system
// has so many watches for all programs of a user, and nobody may take them from others.
const (
	maxFolders = 16_384
	maxOfOne   = 1_024  // of them in one folder of a root
	maxEntries = 20_000 // files and folders that are looked at in one folder of a root
	maxDirty   = 10_000 // paths that are remembered until they are taken
)

// errMany says that there are more.
var errMany = errors.New("too many folders")

// Folders watches folders with all that is below them. Its methods may be called
// concurrently.
type Folders struct {
	fsn  *fsnotify.Watcher
	told chan struct{}
	done chan struct{}

	covering sync.Mutex // guards what follows
	roots    []string
	watched  map[string]bool
	of       map[string]int // how many of them are in one folder of a root

	mu    sync.Mutex      // guards what follows
	dirty map[string]bool // paths, and whether they are new
	lost  bool            // events were
}

// New returns a watcher of nothing yet. The error is that the system gives no watcher.
func New() (*Folders, error) {
	fsn, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	f := &Folders{fsn: fsn, told: make(chan struct{}, 1), done: make(chan struct{}), dirty: map[string]bool{},
		watched: map[string]bool{}, of: map[string]int{}}
	go f.run() // ends with fsn
	return f, nil
}

// Changed is sent to when there is something to take.
func (f *Folders) Changed() <-chan struct{} { return f.told }

// Take returns the paths that something has happened to since it was last called, and watches
// those that are new folders. all says that they are not all.
func (f *Folders) Take() (paths []string, all bool) {
	f.mu.Lock()
	dirty, all := f.dirty, f.lost
	f.dirty, f.lost = map[string]bool{}, false
	f.mu.Unlock()
	f.covering.Lock()
	defer f.covering.Unlock()
	for path, made := range dirty {
		paths = append(paths, path)
		if !made || strings.HasPrefix(filepath.Base(path), ".") {
			continue
		}
		if info, err := os.Lstat(path); err == nil && info.IsDir() {
			// What the folder holds is found by whoever looks at it now. That it cannot be
			// watched shows when all are covered again.
			_ = f.cover(path, true)
		}
	}
	return paths, all
}

// Cover watches these folders and all below them, as far as they are not watched yet. One
// that is missing is left out, with what is hidden. The error is that there are too many, or too
// many in one folder of them, which costs the others nothing.
func (f *Folders) Cover(roots ...string) error {
	f.covering.Lock()
	defer f.covering.Unlock()
	f.roots, f.watched, f.of = roots, map[string]bool{}, map[string]int{}
	for _, path := range f.fsn.WatchList() {
		f.watched[path] = true
		f.of[f.top(path)]++
	}
	var problem error
	for _, root := range roots {
		if err := f.add(root, false); err != nil {
			return err
		}
		entries, err := os.ReadDir(root)
		if err != nil {
			continue // it is gone, or not ours to read: nothing to watch
		}
		for _, e := range entries {
			if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
				continue
			}
			if err := f.cover(filepath.Join(root, e.Name()), false); err != nil && problem == nil {
				problem = err
			}
		}
	}
	return problem
}

// top returns the folder of a root that a path is in, or the path if it is in none.
func (f *Folders) top(path string) string {
	for _, root := range f.roots {
		if rel, ok := strings.CutPrefix(path, root+string(filepath.Separator)); ok {
			first, _, _ := strings.Cut(rel, string(filepath.Separator))
			return filepath.Join(root, first)
		}
	}
	return path
}

// add watches one folder; again says that another one of that name may have been watched.
func (f *Folders) add(path string, again bool) error {
	top, known := f.top(path), f.watched[path]
	switch {
	case known && !again:
		return nil
	case known: // and counted
	case len(f.watched) >= maxFolders:
		return fmt.Errorf("%w: more than %d", errMany, maxFolders)
	case f.of[top] >= maxOfOne:
		return fmt.Errorf("%w: more than %d in %s", errMany, maxOfOne, top)
	}
	if err := f.fsn.Add(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if !known {
		f.watched[path] = true
		f.of[top]++
	}
	return nil
}

// cover watches a folder and those below, as add does.
func (f *Folders) cover(path string, again bool) error {
	if err := f.add(path, again); err != nil {
		return err
	}
	dir, err := os.OpenRoot(path)
	if err != nil {
		return nil // it is gone, or not ours to read: nothing to watch
	}
	defer dir.Close()
	err = safewalk.Walk(dir, maxEntries, nil, func(rel string, e fs.DirEntry) (bool, error) {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			return false, nil
		}
		return true, f.add(filepath.Join(path, filepath.FromSlash(rel)), again)
	}, func(string, error) {}) // likewise
	if errors.Is(err, safewalk.ErrMany) {
		return nil // what was not looked at is not served either
	}
	return err
}

// Close ends the watching.
func (f *Folders) Close() error {
	err := f.fsn.Close()
	<-f.done
	return err
}

// run gathers events until the watcher is closed.
func (f *Folders) run() {
	defer close(f.done)
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	var first time.Time // of what was not told yet
	note := func() {
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		timer.Reset(min(quiet, max(0, latest-now.Sub(first))))
	}
	for {
		select {
		case e, ok := <-f.fsn.Events:
			if !ok {
				return
			}
			f.event(e)
			note()
		case _, ok := <-f.fsn.Errors:
			if !ok {
				return
			}
			f.mu.Lock()
			f.lost = true
			f.mu.Unlock()
			note()
		case <-timer.C:
			first = time.Time{}
			select {
			case f.told <- struct{}{}:
			default: // it was told, and not taken yet
			}
		}
	}
}

// event notes a path. It does nothing that takes long: more events wait.
func (f *Folders) event(e fsnotify.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.dirty) >= maxDirty {
		f.lost = true
		return
	}
	f.dirty[e.Name] = f.dirty[e.Name] || e.Has(fsnotify.Create)
}
