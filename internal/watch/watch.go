// Package watch reports that files below some folders may have changed. Its reports are hints: events get lost, queues
// overflow, and some file systems send no events. Callers must also rescan their folders from time to time.
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

// A change is reported after quietTime without another event, and at the latest after maxDelay: an editor writes one
// file in several steps.
const (
	quietTime = 15 * time.Millisecond
	maxDelay  = 150 * time.Millisecond
)

// Limits of the watched folders. The owner of a folder can create any number of folders in it, and the system has a
// fixed number of watches for all programs of a user.
const (
	maxFolders = 16_384
	maxPerTop  = 1_024  // watched folders in one folder of a root
	maxEntries = 20_000 // files and folders that are read in one folder of a root
	maxDirty   = 10_000 // changed paths that are kept until Take
)

// errMany is returned for folders above a limit.
var errMany = errors.New("too many folders")

// Folders watches folders and all folders below them. Its methods may be called concurrently.
type Folders struct {
	fsn     *fsnotify.Watcher
	changed chan struct{} // holds one
	done    chan struct{} // closed when run has ended

	covering sync.Mutex // guards the fields below
	roots    []string
	watched  map[string]bool
	perTop   map[string]int // watched folders in each folder of a root

	mu    sync.Mutex      // guards the fields below
	dirty map[string]bool // changed paths; true for new ones
	lost  bool            // events were lost
}

// New returns a watcher without folders. It fails if the system has no watcher left for this user.
func New() (*Folders, error) {
	fsn, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	f := &Folders{
		fsn:     fsn,
		changed: make(chan struct{}, 1),
		done:    make(chan struct{}),
		dirty:   map[string]bool{},
		watched: map[string]bool{},
		perTop:  map[string]int{},
	}
	go f.run() // ends with fsn
	return f, nil
}

// Changed returns a channel that receives a value when Take has paths to return.
func (f *Folders) Changed() <-chan struct{} { return f.changed }

// Take returns the paths that have changed since the last call, and watches the new folders among them. all reports
// that events were lost, so any path may have changed.
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
			// The caller reads the new folder now. The next Cover returns the error of a folder
			// that cannot be watched.
			_ = f.cover(path, true)
		}
	}
	return paths, all
}

// Cover watches these folders and all folders below them. It skips missing and hidden folders. With too many folders
// in one folder of a root it returns an error, and still watches the other folders of the root.
func (f *Folders) Cover(roots ...string) error {
	f.covering.Lock()
	defer f.covering.Unlock()
	f.roots = roots
	f.watched, f.perTop = map[string]bool{}, map[string]int{}
	for _, path := range f.fsn.WatchList() {
		f.watched[path] = true
		f.perTop[f.top(path)]++
	}
	var problem error
	for _, root := range roots {
		if err := f.add(root, false); err != nil {
			return err
		}
		entries, err := os.ReadDir(root)
		if err != nil {
			continue // it is missing or cannot be read
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

// top returns the folder of a root that contains a path, or the path itself outside the roots.
func (f *Folders) top(path string) string {
	for _, root := range f.roots {
		if rel, ok := strings.CutPrefix(path, root+string(filepath.Separator)); ok {
			first, _, _ := strings.Cut(rel, string(filepath.Separator))
			return filepath.Join(root, first)
		}
	}
	return path
}

// add watches one folder. With again it does so even if a folder of this name was watched before: that one may have
// been removed.
func (f *Folders) add(path string, again bool) error {
	top, known := f.top(path), f.watched[path]
	switch {
	case known && !again:
		return nil
	case known: // it is in the counts
	case len(f.watched) >= maxFolders:
		return fmt.Errorf("%w: more than %d", errMany, maxFolders)
	case f.perTop[top] >= maxPerTop:
		return fmt.Errorf("%w: more than %d in %s", errMany, maxPerTop, top)
	}
	if err := f.fsn.Add(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if !known {
		f.watched[path] = true
		f.perTop[top]++
	}
	return nil
}

// cover is add for a folder and all folders below it.
func (f *Folders) cover(path string, again bool) error {
	if err := f.add(path, again); err != nil {
		return err
	}
	dir, err := os.OpenRoot(path)
	if err != nil {
		return nil // it is missing or cannot be read
	}
	defer dir.Close()
	err = safewalk.Walk(dir, maxEntries, nil, func(rel string, e fs.DirEntry) (bool, error) {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			return false, nil
		}
		return true, f.add(filepath.Join(path, filepath.FromSlash(rel)), again)
	}, func(string, error) {}) // an unreadable folder cannot be watched
	if errors.Is(err, safewalk.ErrMany) {
		return nil // the catalog does not read the rest either
	}
	return err
}

// Close stops watching and waits for the goroutine to end.
func (f *Folders) Close() error {
	err := f.fsn.Close()
	<-f.done
	return err
}

// run collects events until the watcher is closed.
func (f *Folders) run() {
	defer close(f.done)
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	var first time.Time // of the unreported events
	note := func() {
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		timer.Reset(min(quietTime, max(0, maxDelay-now.Sub(first))))
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
			case f.changed <- struct{}{}:
			default: // reported, and not taken yet
			}
		}
	}
}

// event records a path. It must be fast, or the queue of events overflows.
func (f *Folders) event(e fsnotify.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.dirty) >= maxDirty {
		f.lost = true
		return
	}
	f.dirty[e.Name] = f.dirty[e.Name] || e.Has(fsnotify.Create)
}
